"""The ref.* topics as one process reads them: every record in memory, handed to each partition up to a tick's offsets.

Partitions stand at different ticks, so each applies records for itself; the log is shared and only grows.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

import orjson
from confluent_kafka import Consumer, TopicPartition

from carbonstream.connectors import kafka
from carbonstream.processors.frames import Refusal, Tick
from carbonstream.processors.reference import Reference
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

POLL_S: Final = 0.2
ELECTED_S: Final = 10.0  # within it a leader knows how far its topic is committed
# Topics convert has use for; a tick's offsets of the others are noted but not read.
READ: Final = (topics.REF_SITES, topics.REF_METERS, topics.REF_COEFFICIENTS, topics.REF_RULES)


@dataclass(slots=True)
class _Log:
    records: list[tuple[int, int | None, bytes | None]] = field(
        default_factory=list
    )  # (offset, shard, value)
    position: int = 0  # offset after the last record seen, compacted ones included


class ReferenceLog:
    """Reads ref.* in a thread of its own. `catch_up` blocks; everything else is immediate."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._logs = {name: _Log() for name in READ}
        self._changed = threading.Condition()
        self._ends: dict[str, int] = {}  # topic without prefix -> its end when it was last asked for
        self._beyond_until = 0.0  # monotonic: from then on a tick that names more is refused
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._read, name="reference", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        names = {self._settings.topic(name): name for name in READ}
        consumer = kafka.reader(self._settings, **{"auto.offset.reset": "earliest"} | kafka.STAYING)
        try:
            consumer.assign([TopicPartition(full, 0, 0) for full in names])
            while True:
                messages = consumer.consume(2_000, POLL_S)
                with self._changed:
                    for message in messages:
                        kafka.check(message)
                        if message.error() is None:
                            name, value = names[message.topic() or ""], message.value()
                            record = (message.offset() or 0, _shard_in(name, value), value)
                            self._logs[name].records.append(record)
                    for at in consumer.position([TopicPartition(full, 0) for full in names]):
                        if at.offset > 0:  # past compacted records and transaction markers too
                            self._logs[names[at.topic]].position = at.offset
                    self._changed.notify_all()
        except Exception as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    @property
    def has_failed(self) -> bool:
        """Whether the reader has ended; every catch_up that must wait raises why."""
        return self._failure is not None

    def catch_up(self, offsets: dict[str, int], timeout_s: float = 60.0) -> None:
        """Return when every record below `offsets` (topic without prefix -> end offset) is here.

        Raises NotReady on time-out, or whatever ended the reader.
        """
        until = time.monotonic() + timeout_s
        with self._changed:
            for name in READ:
                while self._logs[name].position < offsets.get(name, 0):
                    if self._failure is not None:
                        raise self._failure
                    left = until - time.monotonic()
                    if left <= 0:
                        raise NotReady(
                            f"{name} ends at {self._logs[name].position}, a tick names {offsets[name]}"
                        )
                    self._changed.wait(left)

    def taken(self, tick: Tick) -> Tick | Refusal:
        """The tick, once every record below its offsets is here; a refusal where it names more than there is. Blocks.

        A ticker names what it saw committed, so only a false tick names more; a leader that has just been elected may
        not know for a moment how far its topic is committed. Raises as `catch_up`.
        """
        consumer = kafka.reader(self._settings)
        try:
            for name, named in tick.reference.items():
                while named > self._end(consumer, name):
                    if time.monotonic() > self._beyond_until:
                        return Refusal(
                            Outcome.INVALID_FRAME,
                            f"reference: {name} ends at {self._ends[name]}, the tick names {named}",
                        )
                    time.sleep(POLL_S)
        finally:
            consumer.close()
        self.catch_up(tick.reference)
        return tick

    def _end(self, consumer: Consumer, name: str) -> int:
        """End offset of a topic now. Where it is not the one of before, a new leader is given its moment."""
        _, end = kafka.end_offsets_of(consumer, self._settings.topic(name), 0)
        if self._ends.get(name) != end:
            self._ends[name], self._beyond_until = end, time.monotonic() + ELECTED_S
        return end

    def has(self, offsets: dict[str, int]) -> bool:
        """Whether every record below `offsets` is here, or is known to be there where it is not read."""
        return all(
            end <= (self._logs[name].position if name in READ else self._ends.get(name, 0))
            for name, end in offsets.items()
        )

    def apply(self, reference: Reference, offsets: dict[str, int]) -> None:
        """Bring `reference` up to `offsets`; it never goes back."""
        for name in READ:
            end, done = offsets.get(name, 0), reference.offsets.get(name, 0)
            if end <= done:
                continue
            records = self._logs[name].records
            for i in range(_first_at(records, done), len(records)):
                offset, shard, value = records[i]
                if offset >= end:
                    break
                # other partitions' meters, seven of eight, need not be decoded again for each
                if shard is None or partition_of(shard, reference.partitions) == reference.partition:
                    reference.apply(name, offset, value)
            reference.offsets[name] = end
        for name, end in offsets.items():
            if name not in READ:
                reference.offsets[name] = max(end, reference.offsets.get(name, 0))


def _shard_in(name: str, value: bytes | None) -> int | None:
    """The shard a record is of; None where it is for all."""
    if name != topics.REF_METERS or value is None:
        return None
    shard: int = orjson.loads(value)["shard"]
    return shard


def _first_at(records: list[tuple[int, int | None, bytes | None]], offset: int) -> int:
    """Position of the first record at or after `offset`."""
    low, high = 0, len(records)
    while low < high:
        middle = (low + high) // 2
        if records[middle][0] < offset:
            low = middle + 1
        else:
            high = middle
    return low
