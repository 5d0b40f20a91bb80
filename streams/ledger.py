"""ledger: counts meter.readings by a reader of its own into the ledger's hop `accepted`.

Counts, register states, gaps in the sources' numbers and positions commit together, so every record is counted once.
It runs behind the others on purpose: nothing waits for it. Beside, once an hour, it drops what was kept long enough.
"""

from __future__ import annotations

import threading
import time
from dataclasses import astuple, replace
from math import ceil
from typing import Final

import orjson
import psycopg
import structlog
from confluent_kafka import Consumer, Message, TopicPartition

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.database import connect, integers
from carbonstream.connectors.locks import Only, try_lock, wait_for_lock
from carbonstream.connectors.retention import drop_old
from carbonstream.connectors.rounds import run_rounds
from carbonstream.connectors.sinks.timescale.tables import write_ledger
from carbonstream.processors.accepted import AcceptedCounter
from carbonstream.processors.accepted_frames import Gap
from carbonstream.processors.frames import Tick, parse_record
from carbonstream.processors.judged import Limits
from carbonstream.processors.ledger import Count
from carbonstream.processors.reference import Reference
from carbonstream.processors.release import Origin, release_of
from carbonstream.processors.sequences import runs_of
from carbonstream.schemas import topics
from carbonstream.schemas.errors import LayoutChanged, NotReady
from carbonstream.schemas.frames import TYPE_TICK
from carbonstream.schemas.settings import Settings
from carbonstream.streams.reference_log import ReferenceLog

COMMIT_S: Final = 1.0
# While much comes each partition's turn is so often: a register counts once a commit, however often it was read.
COMMIT_BUSY_S: Final = 10.0
BUSY: Final = 100  # records since the last commit
FETCHED: Final = 500
TIDY_S: Final = 3_600.0
REGISTERS: Final = """
insert into ledger_register as r (meter, partition, end_ms, raw_index, first_end_ms, first_raw_index)
select meter, %s, end_ms, raw_index, first_end_ms, first_raw_index
from unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
  as t (meter, end_ms, raw_index, first_end_ms, first_raw_index)
on conflict (meter) do update set end_ms = excluded.end_ms, raw_index = excluded.raw_index,
  first_end_ms = excluded.first_end_ms, first_raw_index = excluded.first_raw_index
"""
GAPS: Final = """
insert into ledger_gap (partition, source_offset, source, mode, shard, first_seq, last_seq, day)
values (%s, %s, %s, %s, %s, %s, %s, date '1970-01-01' + %s) on conflict do nothing
"""
RELEASED: Final = """
insert into ledger_release (source_topic, partition, source_offset, row) values (%s, %s, %s, %s) on conflict do nothing
"""
RELEASED_BEFORE: Final = """
select r.source_topic, r.partition, r.source_offset, r.row from ledger_release r
join unnest(%s::text[], %s::smallint[], %s::bigint[], %s::int[]) as t (topic, partition, source_offset, row)
  on r.source_topic = t.topic and r.partition = t.partition and r.source_offset = t.source_offset and r.row = t.row
"""
POSITIONS: Final = """
insert into ledger_position as p (partition, source_topic, source_offset, tick_ms, reference, sequences)
values (%s, %s, %s, %s, %s, %s)
on conflict (partition) do update set source_topic = excluded.source_topic, source_offset = excluded.source_offset,
  tick_ms = excluded.tick_ms, reference = excluded.reference, sequences = excluded.sequences
"""


class LedgerReader:
    """Runs until stopped, or once to the present end."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.log = structlog.get_logger(service="ledger")
        self.topic = config.topic(topics.READINGS)
        self.stopping = threading.Event()
        self._reference: ReferenceLog | None = None
        self._gaps: list[tuple[int, int, Gap]] = []  # (partition, offset, gap) not yet committed
        self._tidy_at = 0.0  # monotonic
        self.limits = Limits(
            config.live_max_age_s * 1_000,
            config.live_max_ahead_s * 1_000,
            config.backfill_max_ahead_s * 1_000,
        )

    def stop(self) -> None:
        """End at the next commit."""
        self.stopping.set()

    def run(self) -> None:
        """Count for ever; outages are waited out."""
        self.log = telemetry.configure(self.config, "ledger")
        run_rounds(lambda: self._round(is_once=False), self.stopping, self.log)

    def catch_up(self) -> bool:
        """Count up to the present end of meter.readings; False where another ledger reader is at work."""
        return self._round(is_once=True)

    def counted_on(self, connection: psycopg.Connection, to: dict[int, int]) -> list[Count]:
        """What the records behind those that the ledger has counted add, each partition's up to and with an offset; in
        memory only. connection: within a transaction that sees the ledger's state."""
        counters, at = self._load(connection)
        consumer = kafka.reader(self.config)
        counts: list[Count] = []
        try:
            for n, counter in counters.items():
                for message in kafka.read_range(consumer, self.topic, n, at[n] + 1, to.get(n, -1) + 1):
                    self._count(connection, counter, message)
                counts += counter.take()[0]
        finally:
            consumer.close()
        self._gaps.clear()
        return counts

    def counted_between(self, after: dict[int, int], to: dict[int, int]) -> list[Count]:
        """Readings, by line, of the records past `after` up to and with `to`; what registers moved is not known then,
        and no energy is told."""
        consumer = kafka.reader(self.config)
        counts: list[Count] = []
        try:
            for n, last in to.items():
                partitions = self.config.partitions
                counter = AcceptedCounter(n, partitions, self.limits, Reference(n, partitions))
                for message in kafka.read_range(consumer, self.topic, n, after.get(n, -1) + 1, last + 1):
                    counter.count(message.value())
                counts += [replace(count, quantity_wh=0) for count in counter.take()[0] if count.readings]
        finally:
            consumer.close()
        return counts

    def _round(self, *, is_once: bool) -> bool:
        with connect(self.config, application="ledger", autocommit=True) as connection:
            if is_once:
                is_ours = try_lock(connection, Only.LEDGER)
            else:
                is_ours = wait_for_lock(connection, Only.LEDGER, self.stopping)
            if not is_ours:
                return False
            connection.autocommit = False
            counters, at = self._load(connection)
            connection.commit()
            consumer = kafka.reader(
                self.config,
                **{"auto.offset.reset": "earliest", "fetch.min.bytes": 1 << 20} | kafka.STAYING,
            )
            try:
                self._pass_gone(consumer, at)
                ends = (
                    {n: kafka.end_offsets_of(consumer, self.topic, n)[1] for n in counters}
                    if is_once
                    else None
                )
                consumer.assign([TopicPartition(self.topic, n, at[n] + 1) for n in counters])
                self._read(connection, consumer, counters, at, ends)
            finally:
                consumer.close()
            return True

    def _pass_gone(self, consumer: Consumer, at: dict[int, int]) -> None:
        """Move `at` behind the records that retention took, and tell which of them were not counted: what they held
        shows as a difference for ever."""
        for n, offset in at.items():
            first, _ = kafka.end_offsets_of(consumer, self.topic, n)
            at[n] = max(offset, first - 1)
            if 0 <= offset < first - 1:
                telemetry.FAULTS.labels("ledger", "not counted in time").inc(first - 1 - offset)
                self.log.error(
                    "records are gone before they were counted", partition=n, first=offset + 1, last=first - 1,
                    remedy="the ledger must not stand still for longer than meter.readings is kept",
                )  # fmt: skip

    def _read(
        self,
        connection: psycopg.Connection,
        consumer: Consumer,
        counters: dict[int, AcceptedCounter],
        at: dict[int, int],
        ends: dict[int, int] | None,
    ) -> None:
        since = time.monotonic()
        touched: dict[int, None] = {}  # partitions with something to commit, the longest waiting first
        gathered, latest = 0, since
        while not self.stopping.is_set():
            done = ends is not None and all(at[n] >= ends[n] - 1 for n in ends)
            messages: list[Message] = []
            if not done:
                messages = consumer.consume(FETCHED, 0.2)
                gathered += len(messages)
                for message in messages:
                    kafka.check(message)
                    if message.error() is None:
                        n = message.partition() or 0
                        self._count(connection, counters[n], message)
                        at[n] = message.offset() or 0
                        touched[n] = None
            now = time.monotonic()
            latest = now if messages else latest
            if touched and (done or now > since + COMMIT_S):
                is_busy = gathered > BUSY and now < latest + COMMIT_S and not done
                turn = ceil(len(counters) * COMMIT_S / COMMIT_BUSY_S) if is_busy else len(touched)
                due = list(touched)[:turn]
                self._commit(connection, {n: counters[n] for n in due}, at)
                for n in due:
                    del touched[n]
                since, gathered = time.monotonic(), 0
            if done:
                return
            if ends is None and now > self._tidy_at:
                self._tidy_at = now + TIDY_S
                drop_old(connection, self.config)
        if touched:
            self._commit(connection, {n: counters[n] for n in touched}, at)

    def _count(self, connection: psycopg.Connection, counter: AcceptedCounter, message: Message) -> None:
        value, type_ = message.value(), kafka.type_of(message.headers())  # type: ignore[arg-type]
        if type_ == TYPE_TICK or b'"tick"' in (value or b""):
            tick = parse_record(value, type_, self.config.latest_tick(message.timestamp()[1]))
            log = self._reference_log()
            if isinstance(tick, Tick) and not log.has(tick.reference):
                tick = log.taken(tick)
            if isinstance(tick, Tick):
                log.apply(counter.reference, tick.reference)
                counter.advance(tick.time)
                return
        if b'"release_of"' in (value or b""):
            counter.released |= released_before(connection, value)
        counter.count(value)
        self._gaps += [(counter.partition, message.offset() or 0, gap) for gap in counter.take_gaps()]

    def _reference_log(self) -> ReferenceLog:
        """The reference log, one for all rounds as it reads in a thread of its own; a new one when that has ended."""
        if self._reference is None or self._reference.has_failed:
            self._reference = ReferenceLog(self.config)
        return self._reference

    def _load(self, connection: psycopg.Connection) -> tuple[dict[int, AcceptedCounter], dict[int, int]]:
        log = self._reference_log()
        found = kafka.topic_ids(self.config, [self.topic])
        if self.topic not in found:
            raise NotReady(f"topic {self.topic} does not exist; create the topics with `carbonstream topics`")
        self.topic_id, partitions = found[self.topic]
        self._gaps.clear()
        counters: dict[int, AcceptedCounter] = {}
        at: dict[int, int] = {}
        for n in range(partitions):
            counters[n] = AcceptedCounter(n, partitions, self.limits, Reference(n, partitions))
            at[n] = -1
        for n, topic_id, offset, tick, reference, sequences in connection.execute(
            "select partition, source_topic, source_offset, tick_ms, reference, sequences from ledger_position"
        ).fetchall():
            if topic_id != self.topic_id:
                raise LayoutChanged(f"the ledger counted topic {topic_id}, now it is {self.topic_id}")
            counter, at[n] = counters[n], offset
            counter.tick = tick or None
            counter.sequences = {_sequence_key(text): runs_of(kept) for text, kept in sequences.items()}
            log.catch_up(reference)
            log.apply(counter.reference, reference)
        for number, n, *newest_and_first in connection.execute(
            "select meter, partition, end_ms, raw_index, first_end_ms, first_raw_index from ledger_register"
        ).fetchall():
            end, index, *first = newest_and_first
            counters[n].registers.put(number, (end, index), (first[0], first[1]), moved=False)
        return counters, at

    def _commit(
        self, connection: psycopg.Connection, counters: dict[int, AcceptedCounter], at: dict[int, int]
    ) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(GAPS, [(n, offset, *astuple(gap)) for n, offset, gap in self._gaps])
            self._gaps.clear()
            for n, counter in counters.items():
                cursor.executemany(RELEASED, sorted(counter.released))
                counter.released.clear()
                counts, moved = counter.take()
                write_ledger(cursor, "accepted", counts)
                if moved.size:
                    cursor.execute(REGISTERS, [n, *(integers(column) for column in moved)])
                offsets = orjson.dumps(counter.reference.offsets).decode()
                sequences = {
                    f"{source}|{mode}|{shard}": q for (source, mode, shard), q in counter.sequences.items()
                }
                cursor.execute(
                    POSITIONS,
                    (n, self.topic_id, at[n], counter.tick or 0, offsets, orjson.dumps(sequences).decode()),
                )


def released_before(connection: psycopg.Connection, value: bytes | None) -> set[Origin]:
    """Which of the held readings a record releases were counted before."""
    frame = orjson.loads(value or b"")
    ends = frame.get("end") if isinstance(frame, dict) else None
    release = release_of(frame, len(ends)) if isinstance(ends, list) else None
    if release is None or not release.origins:
        return set()
    columns = [list(column) for column in zip(*release.origins, strict=True)]
    with connection.transaction():
        return {Origin(*row) for row in connection.execute(RELEASED_BEFORE, columns)}


def _sequence_key(text: str) -> tuple[str, str, int]:
    source, mode, shard = text.rsplit("|", 2)  # a source's name may hold a bar
    return source, mode, int(shard)
