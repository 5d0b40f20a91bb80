"""The sink's loop: one thread reads and decodes carbon.emissions, the other writes batches.

While a batch is being written the next one gathers, so batches grow with the load by themselves. Any error ends
this round: the session, its locks and what was not committed are given up together, and a new round begins.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from dataclasses import replace
from typing import Any, Final

import numpy as np
import orjson
import psycopg
from confluent_kafka import Consumer, Message, TopicPartition

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.database import connect
from carbonstream.connectors.layout import check_layout
from carbonstream.connectors.rounds import RoundsService
from carbonstream.connectors.sinks.timescale.ownership import APPLICATION, rebalance
from carbonstream.connectors.sinks.timescale.writer import Batch, Writer
from carbonstream.processors.directory import ENTRY, Directory, place_key
from carbonstream.processors.rows import Position, concatenate, follow, rows_made
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Check, Outcome
from carbonstream.schemas.errors import BrokenChain
from carbonstream.schemas.settings import Settings

REBALANCE_S: Final = 2.0
# A transaction costs much the same for few rows as for many (each total it meets is one upsert), so after a long one
# the next gathers for half as long, at most this: the larger batches halve the database's work at full load.
REST: Final = 0.5
LONGEST_REST_S: Final = 0.2
READ_AHEAD: Final = 400  # messages beyond the batch being gathered
DIRECTORY: Final = """
select m.number, s.entity, s.enterprise, coalesce(s.park, 0), s.class, m.carrier, s.shard, m.boundary,
  m.kind = 'register', m.interval_s, s.site_id
from meter m join site s using (site_id)
"""
PLACED: Final = """
select meter, (extract(epoch from valid_from) * 1000)::bigint, levels from meter_counting order by meter, valid_from
"""
LOST: Final = (
    "carbon.emissions no longer holds what follows the answer to offset {}, stored last (retention); "
    "run `carbonstream repair`"
)


class Sink(RoundsService):
    """Runs rounds until stopped; a broken chain stops its partition, a layout that has changed when a round
    begins ends the process."""

    name = "timescale"

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.topic = config.topic(topics.EMISSIONS)

    def _round(self) -> None:
        with connect(self.config, application=APPLICATION.removeprefix("carbonstream ")) as connection:
            topic_id = check_layout(self.config, connection, (topics.READINGS, topics.EMISSIONS))[
                topics.READINGS
            ]
            connection.commit()
            writer = Writer(connection)
            directory = load_directory(connection)
            owned: set[int] = set()
            while not self.stopping.is_set():
                owned = rebalance(connection, self.config.partitions, owned)
                if not owned:
                    self.stopping.wait(REBALANCE_S)
                    continue
                directory, owned = self._drain(connection, writer, directory, owned, topic_id)

    def _drain(
        self,
        connection: psycopg.Connection,
        writer: Writer,
        directory: Directory,
        owned: set[int],
        topic_id: str,
    ) -> tuple[Directory, set[int]]:
        """Read and write with a fixed set of partitions until the fair share changes; what is owned then."""
        positions = load_positions(connection, owned)
        masters = max(_masters_end(position) for position in positions.values())
        reader = Reader(self.config, self.topic, positions, topic_id, self.log)
        reader.start()
        until = time.monotonic() + REBALANCE_S
        try:
            while not self.stopping.is_set():
                batch = reader.next(0.2)
                if batch is not None:
                    ends = max(_masters_end(position) for position in batch.positions.values())
                    if ends > masters or not directory.knows(
                        batch.readings.number[batch.readings.number >= 0]
                    ):
                        directory, masters = load_directory(connection), ends
                    self._write(writer, batch, directory)
                if time.monotonic() > until:
                    until = time.monotonic() + REBALANCE_S
                    fair = rebalance(connection, self.config.partitions, owned)
                    if fair != owned:
                        return directory, fair
        finally:
            reader.stop()
            for n in positions:
                telemetry.STANDING_STILL.remove("timescale", str(n))
        return directory, owned

    def _write(self, writer: Writer, batch: Batch, directory: Directory) -> None:
        began = time.monotonic()
        path = writer.write(batch, directory)
        telemetry.SECONDS.labels("timescale", path).observe(time.monotonic() - began)
        telemetry.RECORDS.labels("timescale", self.topic).inc(len(batch.frames))
        counts = np.bincount(batch.readings.code, minlength=1)
        for code in counts.nonzero()[0].tolist():
            telemetry.READINGS.labels("timescale", Outcome(code).name.lower()).inc(int(counts[code]))
        for document in batch.frames:
            for finding in document["findings"]:
                telemetry.FINDINGS.labels(Check(finding["check"]).name.lower()).inc()


def _masters_end(position: Position) -> tuple[int, int]:
    """How far meters and sites had come: when it moves, a meter's entry may have changed."""
    return position.reference.get(topics.REF_METERS, 0), position.reference.get(topics.REF_SITES, 0)


class Reader(threading.Thread):
    """Reads the owned partitions from their positions and makes batches; `next` hands them over.

    Only the first copy of an answer is taken. A partition whose chain is broken stands still, what came before the
    break is stored, and the others go on. Any other error is raised in `next`, behind a batch of what came before it.
    """

    def __init__(
        self, config: Settings, topic: str, positions: dict[int, Position], topic_id: str, log: Any
    ) -> None:
        super().__init__(name="emissions", daemon=True)
        self._config, self._topic, self._topic_id, self._log = config, topic, topic_id, log
        self._positions = positions
        self._broken: set[int] = set()
        self._read_ahead: dict[int, deque[Message]] = {}  # by partition
        for n in positions:
            telemetry.STANDING_STILL.labels("timescale", str(n)).set(0)
        self._out: queue.Queue[Batch | Exception] = queue.Queue(1)
        self._ending = threading.Event()
        self._handed_at = self._wanted_at = 0.0  # monotonic; wanted: 0 while the writer is busy

    def run(self) -> None:
        # every fetch costs the broker as much as storing 200 readings
        consumer = kafka.reader(self._config, **{"fetch.min.bytes": 1 << 17, "fetch.wait.max.ms": 50})
        try:
            consumer.assign(
                [TopicPartition(self._topic, n, p.emissions_offset + 1) for n, p in self._positions.items()]
            )
            while not self._ending.is_set():
                batch = self._gather(consumer)
                if batch is not None:
                    self._put(batch)
        except Exception as error:  # handed to the writing thread, which ends the round
            self._put(error)
        finally:
            consumer.close()

    def _put(self, item: Batch | Exception) -> None:
        while not self._ending.is_set():
            try:
                self._out.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def _gather(self, consumer: Consumer) -> Batch | None:
        """Frames until the writer has rested and sink_linger_ms have passed, or of sink_batch_rows rows.

        Partitions take turns: a year of indexes in one of them, many batches long, does not hold the others up.
        """
        frames: list[dict[str, Any]] = []
        touched: set[int] = set()
        rows, until, most = 0, 0.0, self._config.sink_batch_rows
        while not self._ending.is_set() and rows < most:
            self._read(consumer)
            while self._read_ahead and rows < most:
                number, message = self._take_turn()
                if number in self._broken:
                    continue
                if kafka.is_lost_position(message):
                    self._stand_still(
                        consumer, number, BrokenChain(LOST.format(self._positions[number].source_offset))
                    )
                    continue
                kafka.check(message)
                if message.error() is not None:
                    continue
                document = orjson.loads(message.value() or b"")
                try:
                    is_next = follow(self._positions[number], document, message.offset() or 0, self._topic_id)
                except BrokenChain as error:
                    self._stand_still(consumer, number, error)
                    continue
                touched.add(number)
                if is_next:
                    frames.append(document)
                    rows += rows_made(document)
                else:
                    telemetry.FAULTS.labels("timescale", "second copy").inc()
            if touched and not until:
                until = time.monotonic() + self._config.sink_linger_ms / 1_000
            if not touched and not self._ending.is_set():
                continue
            if until and time.monotonic() >= until and self._is_due():
                break
        return self._batch(frames, touched)

    def _read(self, consumer: Consumer) -> None:
        """What has come since, behind what was read and is still to be taken."""
        left = sum(map(len, self._read_ahead.values()))
        if left < READ_AHEAD:
            for message in consumer.consume(200, 0.0 if left else 0.02):
                self._read_ahead.setdefault(message.partition() or 0, deque()).append(message)

    def _take_turn(self) -> tuple[int, Message]:
        number = next(iter(self._read_ahead))
        waiting = self._read_ahead.pop(number)
        message = waiting.popleft()
        if waiting:
            self._read_ahead[number] = waiting  # behind the other partitions
        return number, message

    def _stand_still(self, consumer: Consumer, partition: int, error: BrokenChain) -> None:
        self._broken.add(partition)
        consumer.pause([TopicPartition(self._topic, partition)])
        telemetry.STANDING_STILL.labels("timescale", str(partition)).set(1)
        self._log.error("partition stands still", partition=partition, error=str(error))

    def _batch(self, frames: list[dict[str, Any]], touched: set[int]) -> Batch | None:
        if not touched:
            return None
        return Batch(frames, concatenate(frames), {n: replace(self._positions[n]) for n in touched})

    def _is_due(self) -> bool:
        """Whether the writer waits for a batch, and has rested after its last one."""
        wanted = self._wanted_at
        rest = min(REST * (wanted - self._handed_at), LONGEST_REST_S)
        return wanted > 0 and time.monotonic() >= wanted + rest

    def next(self, timeout_s: float) -> Batch | None:
        """The next batch, or None after the time-out. Raises what ended the thread."""
        self._wanted_at = self._wanted_at or time.monotonic()
        try:
            item = self._out.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._handed_at, self._wanted_at = time.monotonic(), 0.0
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self) -> None:
        """End the thread; what it had gathered is read again by whoever owns the partitions next."""
        self._ending.set()
        self.join()


def load_positions(connection: psycopg.Connection, owned: set[int]) -> dict[int, Position]:
    """Where the owned partitions stand."""
    connection.execute(
        "insert into position (partition) select unnest(%s::smallint[]) on conflict do nothing",
        (sorted(owned),),
    )
    rows = connection.execute(
        "select partition, source_offset, emissions_offset, tick_ms, reference from position "
        "where partition = any (%s)",
        (sorted(owned),),
    ).fetchall()
    connection.commit()
    return {n: Position(source, emissions, tick, reference) for n, source, emissions, tick, reference in rows}


def load_directory(connection: psycopg.Connection) -> Directory:
    """All registered meters."""
    rows = connection.execute(DIRECTORY).fetchall()
    placed = connection.execute(PLACED).fetchall()
    connection.commit()
    directory = Directory()
    if rows:
        numbers = np.array([row[0] for row in rows], np.int64)
        directory.entries = np.zeros(int(numbers.max()) + 1, ENTRY)
        directory.entries[numbers] = np.array([row[1:10] for row in rows], ENTRY)
        directory.site_ids = {row[1]: row[10] for row in rows}
    if placed:
        meter, start, levels = np.array(placed, np.int64).T
        directory.placed_from, directory.placed_levels = place_key(meter, start), levels
    return directory
