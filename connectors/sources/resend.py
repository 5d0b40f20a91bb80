"""Readings that were accepted before into meter.readings again, as a source of their own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
from confluent_kafka import KafkaError, Message

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.framing import Columns, Stamp, headers, record
from carbonstream.connectors.sources.sequence import SequenceStore
from carbonstream.processors.frames import MISSING
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

FLUSH_S: Final = 60.0
POLL_S: Final = 0.1


class Again(NamedTuple):
    """One reading to be sent again. Times in UTC ms; start None: the meter's interval; unit None: the meter's own."""

    meter: str
    start: int | None
    end: int
    value: float
    unit: str | None


class Resending:
    """Sends frames, in mode backfill where nothing else is said: when they came first they were judged by the clock of
    that day.

    Raises SourceInUse while another process sends as the same source, NotReady where Kafka does not take them.
    """

    def __init__(self, settings: Settings, source: str, mode: Mode = Mode.BACKFILL) -> None:
        self._settings = settings
        self._topic, self._partitions = (
            settings.topic(topics.READINGS),
            settings.partitions_of(topics.READINGS),
        )
        self._store = SequenceStore(settings.state_dir, source, wall_ms())
        self._stamp = Stamp(source, mode, wall_ms())
        self._producer = kafka.producer(settings, **kafka.GAPLESS)
        self._failed: KafkaError | None = None
        self.reached: dict[int, int] = {}  # highest acknowledged offset by partition

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close()

    def send(self, shard: int, readings: Sequence[Again], more: Mapping[str, Any] | None = None) -> None:
        """Queue one frame: at most 500 readings, all of `shard`."""
        seq = self._store.take(self._stamp.mode, shard)
        value = record(self._stamp, shard, seq, columns_of(readings), more)
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value,
                    partition=partition_of(shard, self._partitions),
                    headers=headers(self._stamp, shard, seq),  # type: ignore[arg-type]
                    on_delivery=self._delivered,
                )
                break
            except BufferError:
                self._producer.poll(POLL_S)
        self._producer.poll(0)

    def flush(self) -> None:
        """Return when Kafka has acknowledged all of it."""
        left = self._producer.flush(FLUSH_S)
        if left or self._failed is not None:
            self._producer.purge()
            raise NotReady(
                f"Kafka at {self._settings.kafka} did not take all frames ({self._failed or 'no answer'}); call again: "
                "what it took is recognised"
            )

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed = self._failed or error
            return
        partition, offset = message.partition() or 0, message.offset() or 0
        self.reached[partition] = max(offset, self.reached.get(partition, -1))


def columns_of(readings: Sequence[Again]) -> Columns:
    """Readings as a frame's columns."""
    at: dict[str, int] = {}
    meter = [at.setdefault(reading.meter, len(at)) for reading in readings]
    start = [MISSING if reading.start is None else reading.start for reading in readings]
    units = np.array([reading.unit for reading in readings], object)
    return Columns(
        tuple(at),
        np.array(meter, np.int64),
        np.array(start, np.int64),
        np.array([reading.end for reading in readings], np.int64),
        np.array([reading.value for reading in readings], np.float64),
        units if any(unit is not None for unit in units) else None,
    )


def wait_until_stored(settings: Settings, reached: Mapping[int, int], timeout_s: float) -> bool:
    """Whether the sink has passed these offsets of meter.readings (by partition) within the time."""
    until = time.monotonic() + timeout_s
    with connect(settings, application="resend", autocommit=True) as connection:
        while True:
            at: dict[int, int] = dict(
                connection.execute("select partition, source_offset from position").fetchall()
            )
            if all(at.get(n, -1) >= offset for n, offset in reached.items()):
                return True
            if time.monotonic() > until:
                return False
            time.sleep(POLL_S)
