"""The one Kafka reader of the process: a thread that follows the streamed topics and hands batches to the
hub.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from carbonstream.api.stream.events import STREAMED, Record
from carbonstream.api.stream.hub import Hub
from carbonstream.api.stream.positions import Layout
from carbonstream.connectors.kafka import STAYING, check, reader, topic_ids, type_of
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

# Read back at the start, so that clients of before a restart find their place in memory: with 8 partitions
# 16,000 records, less than the ring holds.
HISTORY: Final = 1_000
PROBE_S: Final = 3.0
PROBE_TIMEOUT_S: Final = 2.0
BATCH: Final = 2_000
IDLE_S: Final = 0.2
URL_SAFE: Final = str.maketrans("+/", "-_")


class Feed:
    """Follows the topics until `stop`; without Kafka it tries again every second and goes on where it was."""

    def __init__(self, settings: Settings, hub: Hub) -> None:
        self._settings = settings
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger(service="api")
        self._stopping = threading.Event()
        self._layout: Layout | None = None
        self._next: list[int] = []
        self._thread = threading.Thread(target=self._run, name="stream feed", daemon=True)

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    async def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except (KafkaException, NotReady) as error:
                self._tell(lambda: self._set_kafka(False))
                self._log.warning("stream without Kafka", error=str(error))
                self._stopping.wait(1.0)

    def _follow(self) -> None:
        """Read until stopped. Raises KafkaException or NotReady when Kafka is away or a position is lost."""
        layout = layout_of(self._settings)
        consumer = reader(
            self._settings, **STAYING, **{"enable.partition.eof": True, "queued.max.messages.kbytes": 8_192}
        )
        try:
            if layout != self._layout:
                self._begin(consumer, layout)
            slots = {(self._settings.topic(t), p): i for i, (t, p) in enumerate(layout.slots)}
            consumer.assign([TopicPartition(t, p, self._next[i]) for (t, p), i in slots.items()])
            self._tell(lambda: self._set_kafka(True))
            self._read(consumer, slots, layout.slots)
        finally:
            consumer.close()

    def _begin(self, consumer: Consumer, layout: Layout) -> None:
        starts, ends = [], []
        for topic, partition in layout.slots:
            first, end = consumer.get_watermark_offsets(
                TopicPartition(self._settings.topic(topic), partition), timeout=10, cached=False
            )
            starts.append(max(first, end - HISTORY))
            ends.append(end)
        self._layout, self._next = layout, starts
        begin, history = tuple(starts), tuple(ends)
        self._tell(lambda: self._hub.restart(layout, begin, history))

    def _read(
        self, consumer: Consumer, slots: dict[tuple[str, int], int], names: tuple[tuple[str, int], ...]
    ) -> None:
        probe_at = time.monotonic() + PROBE_S
        while not self._stopping.is_set():
            messages = self._gather(consumer)
            records: list[Record] = []
            reached: list[tuple[int, int]] = []
            for message in messages:
                slot, offset = slots[str(message.topic()), message.partition() or 0], message.offset() or 0
                error = message.error()
                if error is None:
                    self._next[slot] = offset + 1
                    records.append(record_of(message, slot, names[slot][0]))
                elif error.code() == KafkaError._PARTITION_EOF:
                    reached.append((slot, offset))
                else:
                    self._fail(message, error)
            if records or reached:
                self._tell(lambda r=records, e=reached: self._hub.publish(r, e))  # type: ignore[misc]
            if time.monotonic() >= probe_at:
                self._probe(consumer)
                probe_at = time.monotonic() + PROBE_S

    def _gather(self, consumer: Consumer) -> list[Message]:
        """The first message, and those that come within the hub's window after it."""
        first = consumer.poll(IDLE_S)
        if first is None:
            return []
        messages, until = [first], time.monotonic() + self._hub.window_s
        while len(messages) < BATCH and (left := until - time.monotonic()) > 0:
            message = consumer.poll(left)
            if message is not None:
                messages.append(message)
        return messages

    def _fail(self, message: Message, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            self._layout = None  # the place is gone: begin anew, and clients reload
            raise KafkaException(error)
        check(message)  # errors the client mends by itself pass

    def _probe(self, consumer: Consumer) -> None:
        """Whether the brokers answer: the consumer itself retries in silence."""
        try:
            consumer.list_topics(self._settings.topic(STREAMED[0]), timeout=PROBE_TIMEOUT_S)
            up = True
        except KafkaException:
            up = False
        if up != self._hub.kafka:
            self._tell(lambda: self._set_kafka(up))

    def _set_kafka(self, up: bool) -> None:
        self._hub.kafka = up

    def _tell(self, act: Callable[[], Any]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act)


def layout_of(settings: Settings) -> Layout:
    """The streamed topics as Kafka has them. Raises NotReady where Kafka or a topic is missing."""
    found = topic_ids(settings, [settings.topic(t) for t in STREAMED], timeout_s=3.0)
    missing = [t for t in STREAMED if settings.topic(t) not in found]
    if missing:
        raise NotReady(f"no topic {', '.join(missing)}: run `carbonstream topics`")
    described = [found[settings.topic(t)] for t in STREAMED]
    # the client writes ids in plain base64; Kafka's own tools, and our event ids, in the form safe in URLs
    ids = tuple(id_.translate(URL_SAFE) for id_, _ in described)
    return Layout(STREAMED, ids, tuple(n for _, n in described))


def record_of(message: Message, slot: int, topic: str) -> Record:
    """A polled message as a record; `topic` is the catalogue's name."""
    return Record(
        slot,
        topic,
        message.offset() or 0,
        message.key(),
        message.value(),
        type_of(message.headers()),  # type: ignore[arg-type]
    )
