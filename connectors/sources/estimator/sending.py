"""Estimates as frames of meter.readings, and how far Kafka has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from confluent_kafka import KafkaError, Message, Producer
from numpy.typing import NDArray

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.estimator.tables import MeterName
from carbonstream.connectors.sources.framing import Columns, Stamp, by_shard, frames, frames_needed, headers
from carbonstream.connectors.sources.sequence import SequenceStore
from carbonstream.schemas import topics
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.frames import SOURCE_ESTIMATOR
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

Ints = NDArray[np.int64]
DELIVERY_TIMEOUT_MS: Final = 60_000
PATIENT: Final[dict[str, Any]] = {"delivery.timeout.ms": DELIVERY_TIMEOUT_MS}


@dataclass(frozen=True, slots=True)
class Told:
    """Estimates of one meter that are to be sent."""

    meter: int
    end: Ints
    quantity: Ints  # thousandths
    quality: int


class Sender:
    """Sends estimates and knows how far Kafka has them. `sent_to`: offset by partition that must be stored first."""

    def __init__(self, config: Settings, store: SequenceStore) -> None:
        self.config, self.store = config, store
        self.topic = config.topic(topics.READINGS)
        self.producer: Producer = kafka.producer(config, **PATIENT)
        consumer = kafka.reader(config)
        try:  # what an earlier process sent lies before the present end
            self.sent_to = {
                n: kafka.end_offsets_of(consumer, self.topic, n)[1] - 1 for n in range(config.partitions)
            }
        finally:
            consumer.close()

    def send(self, told: list[Told], names: dict[int, MeterName]) -> None:
        """Send and wait until Kafka has acknowledged all. Raises NotReady where it has not: look again."""
        self.send_columns(columns_of(told, names), Mode.ESTIMATE)

    def send_columns(self, columns: Columns, mode: Mode) -> None:
        """The same, in a mode of the estimator's."""
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)
                return
            n = message.partition() or 0
            self.sent_to[n] = max(self.sent_to[n], message.offset() or 0)

        stamp = Stamp(SOURCE_ESTIMATOR, mode, wall_ms())
        for shard, its_columns in by_shard(columns):
            first = self.store.take(mode, shard, frames_needed(len(its_columns)))
            for seq, value in frames(stamp, shard, first, its_columns):
                self.producer.produce(
                    self.topic,
                    value,
                    partition=partition_of(shard, self.config.partitions),
                    headers=headers(stamp, shard, seq),  # type: ignore[arg-type]
                    on_delivery=delivered,
                )
                self.producer.poll(0)
        if self.producer.flush(DELIVERY_TIMEOUT_MS / 1_000 + 5) or failures:
            raise NotReady(f"Kafka did not acknowledge estimates: {failures[:1]}")


def columns_of(told: list[Told], names: dict[int, MeterName]) -> Columns:
    """Readings of several meters, in base units."""
    count = [len(t.end) for t in told]
    units = np.array([CARRIER_BY_NUMBER[names[t.meter].carrier].base_unit.value for t in told], object)
    return Columns(
        [names[t.meter].meter_id for t in told],
        np.repeat(np.arange(len(told)), count),
        None,
        np.concatenate([t.end for t in told]),
        np.concatenate([t.quantity for t in told]) / 1_000,
        np.repeat(units, count),
        np.repeat(np.array([t.quality for t in told], np.int64), count),
    )
