"""Where the chain of carbon.emissions is broken: the next answer does not follow the one that was stored last."""

from __future__ import annotations

from typing import NamedTuple

import orjson
from confluent_kafka import Consumer

from carbonstream.connectors import kafka
from carbonstream.schemas import topics
from carbonstream.schemas.settings import Settings


class Break(NamedTuple):
    """first, last: offsets of meter.readings without an answer; at: offset of carbon.emissions that comes instead."""

    partition: int
    first: int
    last: int
    at: int


def find_break(
    settings: Settings, consumer: Consumer, partition: int, source_at: int, emissions_at: int
) -> Break | None:
    """The break after a stored position; None where the chain goes on or nothing comes yet.

    source_at, emissions_at: offsets of meter.readings and carbon.emissions that were stored last, -1 none.
    """
    topic = settings.topic(topics.EMISSIONS)
    first, end = kafka.end_offsets_of(consumer, topic, partition)
    for message in kafka.read_range(consumer, topic, partition, max(first, emissions_at + 1), end):
        origin = orjson.loads(message.value() or b"{}")["origin"]
        if origin["offset"] <= source_at:
            continue  # a second copy
        if origin["previous"] == source_at:
            return None
        return Break(partition, source_at + 1, origin["previous"], message.offset() or 0)
    return None
