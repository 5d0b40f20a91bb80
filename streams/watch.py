"""watch: carbon.emissions -> carbon.signals (each source partition's tick) and meter.rejects.

At least once, with ids that derive from the answered record; it keeps no state, so a restart may tell its
last records again. Records with neither tick nor rejects are passed over without being decoded.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.rounds import RoundsService
from carbonstream.processors.watch import FirstCopies, heads, rejects_frame, tick_signal
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.frames import TYPE_REJECTS, TYPE_SIGNAL, cloud_event_headers
from carbonstream.schemas.settings import Settings
from carbonstream.streams.watchdog import LOOKS, Progress

BATCH: Final = 500
GATHER_S: Final = 0.1  # the longest a tick waits for others to be passed on with
FLUSH_S: Final = 30
FETCHING: Final = {"fetch.min.bytes": 1 << 18, "fetch.wait.max.ms": 100}


class Watch(RoundsService):
    """A member of its group: passes on what its partitions hold, until stopped."""

    name = "watch"

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.first_copies = FirstCopies()
        self.at: dict[int, int] = {}  # the next offset of carbon.emissions, by partition

    def _round(self) -> None:
        config = self.config
        # what is sent goes to partitions named by number
        kafka.partitioned_topic_ids(config, [topics.EMISSIONS, topics.SIGNALS, topics.REJECTS])
        self.first_copies = FirstCopies()
        producer = kafka.producer(config)
        consumer = kafka.member(config, "watch", **FETCHING)
        consumer.subscribe([config.topic(topics.EMISSIONS)], on_revoke=self._revoked, on_lost=self._revoked)
        try:
            progress, looked = Progress(config.watchdog_s), time.monotonic()
            while not self.stopping.is_set():
                self._pass_on(producer, consumer, consumer.consume(BATCH, GATHER_S))
                now = time.monotonic()
                if now - looked > config.watchdog_s / LOOKS:
                    looked = now
                    if stuck := progress.stuck(now, self._standing(consumer)):
                        raise NotReady(f"partitions {stuck} are behind and do not move")
        finally:
            consumer.close()  # commits what is stored

    def _pass_on(self, producer: Producer, consumer: Consumer, messages: Sequence[Message]) -> None:
        refused: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error)

        done: dict[int, int] = {}
        for message in messages:
            kafka.check(message)
            if message.error() is None:
                self._tell(producer, message, delivered)
                done[message.partition() or 0] = (message.offset() or 0) + 1
        if left := producer.flush(FLUSH_S):
            raise NotReady(f"Kafka at {self.config.kafka} has not taken {left} records in {FLUSH_S} s")
        if refused:
            raise KafkaException(refused[0])
        topic = self.config.topic(topics.EMISSIONS)
        if done:
            consumer.store_offsets(offsets=[TopicPartition(topic, p, offset) for p, offset in done.items()])
        for partition, offset in done.items():
            self.at[partition] = offset
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            telemetry.LAG.labels("watch", str(partition)).set(max(end - offset, 0))

    def _standing(self, consumer: Consumer) -> dict[int, tuple[int, int]]:
        """What was passed on of each partition, and how many records it holds beyond, by the broker's own word."""
        standing = {}
        for group in consumer.committed(consumer.assignment(), timeout=10):
            first, end = consumer.get_watermark_offsets(group, timeout=10)
            at = max(first, group.offset, self.at.get(group.partition, 0))
            standing[group.partition] = (at, max(end - at, 0))
            telemetry.LAG.labels("watch", str(group.partition)).set(standing[group.partition][1])
        return standing

    def _tell(self, producer: Producer, message: Message, delivered: Any) -> None:
        said, partition = heads(message.headers()), message.partition() or 0  # type: ignore[arg-type]
        if said.tick is None and not said.rejects:
            return
        if not self.first_copies.take(partition, *said.origin):
            telemetry.FAULTS.labels("watch", "second copy").inc()
            return
        if said.tick is not None:
            producer.produce(
                self.config.topic(topics.SIGNALS),
                tick_signal(partition, said.tick),
                partition=partition % self.config.partitions_of(topics.SIGNALS),
                headers=cloud_event_headers(TYPE_SIGNAL, "watch", f"{said.id}/tick"),  # type: ignore[arg-type]
                on_delivery=delivered,
            )
        if said.rejects:
            producer.produce(
                self.config.topic(topics.REJECTS),
                rejects_frame(message.value() or b""),
                partition=partition,
                headers=cloud_event_headers(TYPE_REJECTS, "watch", f"{said.id}/rejects"),  # type: ignore[arg-type]
                on_delivery=delivered,
            )

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self.first_copies.drop(partition.partition)
            self.at.pop(partition.partition, None)
            with suppress(KeyError):
                telemetry.LAG.remove("watch", str(partition.partition))
