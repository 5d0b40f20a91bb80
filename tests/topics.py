"""Topics of a test's own, and what they hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from confluent_kafka import Consumer, Message
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


_reading = threading.Lock()
_kept: dict[str, Consumer] = {}


@contextmanager
def kept_reader(settings: Settings) -> Iterator[Consumer]:
    """A reader of this broker, for one at a time. It is kept: a new one costs the broker 20 ms of CPU, and tests ask
    while they wait."""
    with _reading:
        if settings.kafka not in _kept:
            _kept[settings.kafka] = kafka.reader(settings, **{"reconnect.backoff.max.ms": 500})
        yield _kept[settings.kafka]


def ends(settings: Settings, name: str) -> list[int]:
    """Where each partition of a topic ends; name as in the catalogue."""
    with kept_reader(settings) as reader:
        return [
            kafka.end_offsets_of(reader, settings.topic(name), n)[1]
            for n in range(settings.partitions_of(name))
        ]


def messages(settings: Settings, name: str, *partitions: int) -> list[Message]:
    """Every record of a topic (name as in the catalogue), of these partitions or all, one after the other."""
    topic, found = settings.topic(name), []
    with kept_reader(settings) as reader:
        for n in partitions or range(settings.partitions_of(name)):
            found += kafka.read_range(reader, topic, n, *kafka.end_offsets_of(reader, topic, n))
    return found


def held(settings: Settings) -> list[Held]:
    """Every record of meter.readings, partition by partition."""
    found: list[Held] = []
    for message in messages(settings, topics.READINGS):
        headers = {k: bytes(v).decode() for k, v in message.headers() or ()}
        record = parse_record(message.value(), headers.get("ce_type", ""))
        found.append(Held(message.partition() or 0, message.offset() or 0, headers, record))
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
