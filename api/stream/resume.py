"""Where a client that comes back has to go on, and what it missed, read again from Kafka.

In the ring: straight from memory. Before it: one more reader goes through the part in between. Expired, too
long, or of other topics: the client is told to reload.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from enum import Enum, auto
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from carbonstream.api.stream.events import meaning_of, with_id
from carbonstream.api.stream.feed import record_of
from carbonstream.api.stream.positions import Vector, reaches
from carbonstream.api.stream.ring import Filter, Ring
from carbonstream.connectors.kafka import check, reader
from carbonstream.schemas.errors import CarbonstreamError
from carbonstream.schemas.settings import Settings

LONGEST: Final = 100_000  # records; at some 50,000/s a client waits 2 s, more is sooner reloaded
AT_ONCE: Final = 4  # readers beside the feed: 2 MB of buffers each
POLL: Final = 500


class Way(Enum):
    """How a position is reached."""

    RING = auto()
    KAFKA = auto()
    RELOAD = auto()


class TooOld(CarbonstreamError):
    """What came after the client's position is no longer in Kafka, or too much to read again."""


def way_to(at: Vector, ring: Ring) -> Way:
    """How to go on from `at`."""
    if reaches(at, ring.floor):
        return Way.RING
    gap = sum(max(0, here - there) for there, here in zip(at, ring.vector, strict=True))
    return Way.KAFKA if gap <= LONGEST else Way.RELOAD


class Rereader:
    """Reads parts of the streamed topics again, a few clients at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def events(
        self, ring: Ring, at: Vector, end: Vector, wanted: Filter
    ) -> AsyncGenerator[tuple[bytes, Vector]]:
        """Batches of wire bytes (b"": nothing yet, Kafka may be away) from `at` to `end`, with the position
        after each.

        Raises TooOld where records of the part have expired.
        """
        slots = ring.layout.slots
        number = {(self._settings.topic(t), p): i for i, (t, p) in enumerate(slots)}
        left = {i for i, (a, b) in enumerate(zip(at, end, strict=True)) if a < b}
        now = list(at)
        async with self._turn:
            consumer = await asyncio.to_thread(self._assigned, {i: at[i] for i in left}, slots)
            try:
                while left:
                    wire = []
                    for message in await asyncio.to_thread(consumer.consume, POLL, 0.1):
                        slot = number[str(message.topic()), message.partition() or 0]
                        offset, error = message.offset() or 0, message.error()
                        if error is not None and error.code() != KafkaError._PARTITION_EOF:
                            _expired(error)
                            check(message)
                            continue
                        if slot not in left:
                            continue
                        if error is not None or offset >= end[slot]:  # the rest was compacted away
                            now[slot] = end[slot]
                            left.discard(slot)
                            continue
                        now[slot] = offset + 1
                        record = record_of(message, slot, slots[slot][0])
                        meaning = meaning_of(record)
                        if meaning is not None and wanted.wants(record.topic, meaning.entity):
                            wire.append(with_id(ring.layout.encode(tuple(now)), meaning.body))
                        if now[slot] >= end[slot]:
                            left.discard(slot)
                    yield b"".join(wire), tuple(now)
            except KafkaException as error:
                raise TooOld(f"Kafka cannot be read again from there: {error}") from error
            finally:
                await asyncio.to_thread(consumer.close)

    def _assigned(self, positions: dict[int, int], slots: tuple[tuple[str, int], ...]) -> Consumer:
        consumer = reader(
            self._settings, **{"enable.partition.eof": True, "queued.max.messages.kbytes": 2_048}
        )
        consumer.assign(
            [
                TopicPartition(self._settings.topic(slots[i][0]), slots[i][1], offset)
                for i, offset in positions.items()
            ]
        )
        return consumer


def _expired(error: KafkaError) -> None:
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise TooOld("the records after it have expired")
