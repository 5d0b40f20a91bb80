"""What meter.readings holds, as a test sees it."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka.admin import NewTopic

from carbonstream.connectors import kafka
from carbonstream.processors.frames import Frame, Refusal, Tick, parse_record
from carbonstream.schemas import topics
from carbonstream.schemas.settings import Settings


class Held(NamedTuple):
    """One record."""

    partition: int
    offset: int
    headers: dict[str, str]
    record: Frame | Tick | Refusal


def create_topics(settings: Settings) -> None:
    new = [
        NewTopic(settings.topic(t.name), settings.partitions_of(t.name), 1, config=t.config())
        for t in topics.CATALOGUE
    ]
    client = kafka.admin(settings)  # must live until its futures are done
    for created in client.create_topics(new).values():
        created.result()
    names = [topic.topic for topic in new]
    while len(kafka.topic_ids(settings, names)) < len(names):
        continue  # created at the controller, not yet known to the broker


def delete_topics(settings: Settings) -> None:
    client = kafka.admin(settings)
    for deleted in client.delete_topics([settings.topic(t.name) for t in topics.CATALOGUE]).values():
        deleted.result()


def held(settings: Settings) -> list[Held]:
    """Every record of meter.readings, partition by partition."""
    consumer = kafka.reader(settings)
    topic = settings.topic(topics.READINGS)
    found: list[Held] = []
    for partition in range(settings.partitions):
        first, end = kafka.end_offsets_of(consumer, topic, partition)
        for message in kafka.read_range(consumer, topic, partition, first, end):
            headers = {k: bytes(v).decode() for k, v in message.headers() or ()}
            record = parse_record(message.value(), headers.get("ce_type", ""))
            found.append(Held(partition, message.offset(), headers, record))
    consumer.close()
    return found


def frames(settings: Settings) -> list[Frame]:
    return [h.record for h in held(settings) if isinstance(h.record, Frame)]


def ticks(settings: Settings) -> list[tuple[int, Tick]]:
    return [(h.partition, h.record) for h in held(settings) if isinstance(h.record, Tick)]


def readings(found: list[Frame]) -> list[tuple[str, int, float]]:
    """(meter, end, value) of every reading in every frame."""
    return [
        (frame.meters[meter], end, value)
        for frame in found
        for meter, end, value in zip(
            frame.meter.tolist(), frame.end.tolist(), frame.value.tolist(), strict=True
        )
    ]
