"""Accepted readings into Kafka, and the word that they are safe there."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaException

from carbonstream.connectors import kafka
from carbonstream.connectors.kafka import AcknowledgedProducer
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.framing import Columns, Stamp, by_shard, frames, frames_needed, headers
from carbonstream.connectors.sources.http.problems import Refused, refused
from carbonstream.connectors.sources.sequence import SequenceStore
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Edge, Mode
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

DELIVERY_TIMEOUT_S: Final = 10.0
# 2,000 frames of 500 readings are 25 MB; a broker that is well acknowledges them in a fraction of a second.
MAX_UNACKNOWLEDGED: Final = 2_000
PROBE_S: Final = 1.0
AWAY_S: Final = 5.0  # without an answer for this long Kafka counts as away
PROMPT: Final[dict[str, Any]] = {"delivery.timeout.ms": int(DELIVERY_TIMEOUT_S * 1_000), "linger.ms": 2}


class Receipt(NamedTuple):
    """Where one frame stands in meter.readings."""

    shard: int
    partition: int
    offset: int
    seq: int


class Broker:
    """Whether Kafka is there: asked once a second, on a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic(topics.READINGS)
        self._client = kafka.admin(settings)
        self._seen = float("-inf")

    async def watch(self) -> None:
        """Ask for ever."""
        while True:
            try:
                found = await asyncio.to_thread(self._client.list_topics, self._topic, timeout=AWAY_S)
                if found.topics[self._topic].error is None:
                    self._seen = time.monotonic()
            except KafkaException:
                pass
            await asyncio.sleep(PROBE_S)

    def silent_s(self) -> float:
        """Seconds since it last answered."""
        return time.monotonic() - self._seen

    def is_away(self) -> bool:
        """Whether it has been silent for too long."""
        return self.silent_s() > PROBE_S + AWAY_S


class Delivery:
    """Sends readings for all sources of this process. Lives in one event loop.

    Sequence numbers are given out and frames handed to the producer without a pause between, so that Kafka
    gets them in order.
    """

    def __init__(self, settings: Settings, broker: Broker) -> None:
        self._topic = settings.topic(topics.READINGS)
        self._partitions = settings.partitions_of(topics.READINGS)
        self._broker = broker
        self._producer = AcknowledgedProducer(settings, **PROMPT)
        self._stores: dict[str, SequenceStore] = {}
        self.broken = asyncio.Event()  # the producer cannot go on; only a new process can
        try:
            for source in sorted(set(settings.push_tokens.values())):
                self._stores[source] = SequenceStore(settings.state_dir, source, wall_ms())
        except Exception:
            self._close_stores()
            raise

    async def send(self, source: str, mode: Mode, columns: Columns) -> list[Receipt]:
        """Returns when Kafka has acknowledged every frame with acks=all.

        Raises Refused (BUSY) otherwise. What of it got through is recognised as duplicate when it is sent
        again.
        """
        parts = list(by_shard(columns))
        self._check_room(sum(frames_needed(len(its_columns)) for _, its_columns in parts))
        stamp = Stamp(source, mode, wall_ms())
        sent: list[tuple[int, int, int]] = []
        futures: list[asyncio.Future[int]] = []
        for shard, its_columns in parts:
            first_seq = self._stores[source].take(mode, shard, frames_needed(len(its_columns)))
            partition = partition_of(shard, self._partitions)
            for seq, value in frames(stamp, shard, first_seq, its_columns):
                try:
                    futures.append(
                        self._producer.send(
                            self._topic, value, partition=partition, headers=headers(stamp, shard, seq)
                        )
                    )
                except (BufferError, KafkaException) as error:
                    raise self._failed(error) from error
                sent.append((shard, partition, seq))
        offsets = await asyncio.gather(*futures, return_exceptions=True)
        receipts: list[Receipt] = []
        for (shard, partition, seq), offset in zip(sent, offsets, strict=True):
            if isinstance(offset, BaseException):
                raise self._failed(offset)
            receipts.append(Receipt(shard, partition, offset, seq))
        return receipts

    def _check_room(self, wanted: int) -> None:
        if self.broken.is_set():
            raise refused("service", Edge.BUSY, "starting anew; send again in a moment")
        if self._broker.is_away():
            raise refused(
                "service",
                Edge.BUSY,
                "Kafka does not answer; part may have been accepted: send it all again later, repeats are recognised",
            )
        if len(self._producer) + wanted > MAX_UNACKNOWLEDGED:
            raise refused(
                "service", Edge.BUSY, "too much waits for Kafka; nothing was accepted, send again later"
            )

    def _failed(self, error: BaseException) -> Refused:
        if isinstance(error, KafkaException) and error.args[0].fatal():
            self.broken.set()
        return refused(
            "service",
            Edge.BUSY,
            f"Kafka did not acknowledge ({error}); send all of it again, repeats do no harm",
        )

    async def close(self) -> None:
        """Wait for what is under way, and write the exact sequence numbers."""
        await self._producer.close()
        self._close_stores()

    def _close_stores(self) -> None:
        for store in self._stores.values():
            store.close()
