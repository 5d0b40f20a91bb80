"""Send planned frames: in order, without gaps, at the pace asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, Message

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.framing import Columns, Stamp, headers, record
from carbonstream.connectors.sources.replay.plan import Piece, with_slots
from carbonstream.connectors.sources.ticker import Ticks
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

# Longer than a broker takes to come back after a kill (some 10 s); then the person in front should know.
SILENCE_S: Final = 60.0
POLL_S: Final = 0.1

Progress = Callable[[int, int], None]  # readings acknowledged, readings in all


class Pace(NamedTuple):
    """When frames go out. slot_ms: event time sent in one go (None: no slots); speed: multiple of event time,
    0 as fast as it goes; ticks: virtual time, each slot begins with the tick of its end.
    """

    slot_ms: int | None
    speed: float
    ticks: bool


class Sending:
    """One run over the planned frames. first_seq: seq of each shard's first frame."""

    def __init__(
        self,
        settings: Settings,
        stamp: Stamp,
        first_seq: dict[int, int],
        pace: Pace,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self._stamp, self._first_seq, self._pace, self._progress, self._stop = (
            stamp,
            first_seq,
            pace,
            progress,
            stop,
        )
        self._topic = settings.topic(topics.READINGS)
        self._partitions = settings.partitions_of(topics.READINGS)
        self._producer = kafka.producer(settings, **kafka.GAPLESS)
        self._ticks = Ticks(settings, self._producer) if pace.ticks else None
        self._failed: KafkaError | None = None
        self._heard = time.monotonic()
        self._acknowledged = 0  # readings
        self._all = 0
        self.frames = 0  # acknowledged in this run

    def run(self, columns: Columns, planned: list[Piece], held: dict[int, int]) -> bool:
        """Send what Kafka does not hold. True when all is acknowledged, False when stopped before.

        held: highest seq of each shard that Kafka has. Raises NotReady when Kafka stays silent or refuses a
        frame.
        """
        due = [piece for piece in planned if self._seq(piece) > held.get(piece.shard, -1)]
        self._all = len(columns)
        self._acknowledged = self._all - sum(len(piece.rows) for piece in due)
        self._progress(self._acknowledged, self._all)
        try:
            if self._pace.slot_ms is None:
                self._send_all(columns, due)
            elif due:
                self._send_in_slots(columns, due, self._pace.slot_ms)
            self._flush()
        except BaseException:
            self._producer.purge()  # what is not acknowledged is sent again by the next run
            raise
        return self._acknowledged == self._all

    def _seq(self, piece: Piece) -> int:
        return self._first_seq[piece.shard] + piece.number

    def _send_in_slots(self, columns: Columns, due: list[Piece], slot_ms: int) -> None:
        """A slot's tick goes before its readings, as a reading comes after the end of its interval."""
        began, first, last = time.monotonic(), due[0].slot, due[-1].slot
        for slot, its_pieces in with_slots(due):
            if self._pace.speed:
                self._wait_until(began + (slot - first) * slot_ms / 1_000 / self._pace.speed)
            if self._stop.is_set():
                return
            self._tick((slot + 1) * slot_ms)
            self._send_all(columns, its_pieces)
        self._tick((last + 2) * slot_ms)

    def _tick(self, time_ms: int) -> None:
        ticks = self._ticks
        if ticks is not None:
            self._retried(lambda: ticks.send(time_ms))

    def _wait_until(self, at: float) -> None:
        while not self._stop.is_set() and (left := at - time.monotonic()) > 0:
            self._producer.poll(0)
            self._stop.wait(min(left, POLL_S))
            self._report()

    def _send_all(self, columns: Columns, due: list[Piece]) -> None:
        for piece in due:
            if self._stop.is_set():
                return
            self._send(piece, columns.rows(piece.rows))

    def _send(self, piece: Piece, columns: Columns) -> None:
        seq, readings = self._seq(piece), len(columns)
        value = record(self._stamp, piece.shard, seq, columns)

        def delivered(error: KafkaError | None, _message: Message) -> None:
            self._heard = time.monotonic()
            if error is not None:
                self._failed = self._failed or error
            else:
                self.frames += 1
                self._acknowledged += readings

        def produce() -> None:
            self._producer.produce(
                self._topic,
                value,
                partition=partition_of(piece.shard, self._partitions),
                headers=headers(self._stamp, piece.shard, seq),  # type: ignore[arg-type]
                on_delivery=delivered,
            )

        self._retried(produce)
        self._producer.poll(0)
        self._report()

    def _retried(self, produce: Callable[[], None]) -> None:
        """Wait for room in the producer's queue, and for nothing where there is some."""
        if not len(self._producer):
            self._heard = time.monotonic()
        while True:
            self._check()
            try:
                produce()
            except BufferError:
                self._producer.poll(POLL_S)
                self._report()
            else:
                return

    def _flush(self) -> None:
        while self._producer.flush(POLL_S):
            self._report()
            self._check()
        self._report()
        self._check()

    def _check(self) -> None:
        if self._failed is not None:
            raise NotReady(f"Kafka refused a frame: {self._failed}; when that is mended, call again to go on")
        if len(self._producer) and time.monotonic() - self._heard > SILENCE_S:
            raise NotReady(
                f"Kafka acknowledged nothing for {SILENCE_S:.0f} s; when it is back, call again to go on"
            )

    def _report(self) -> None:
        self._progress(self._acknowledged, self._all)
