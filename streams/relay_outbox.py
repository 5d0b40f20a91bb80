"""The relay's outbox: reference changes, warnings and what else was committed to be told, in the order of its rows."""

from __future__ import annotations

import threading
from typing import Any, Final

import orjson
import psycopg
import structlog
from confluent_kafka import Producer
from psycopg.types.json import Jsonb

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.database import one_row
from carbonstream.schemas import frames, topics
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of, shard_of

OUTBOX_PASS: Final = 10_000
ANY: Final = "select exists (select from outbox)"
TAKE_OUTBOX: Final = """
delete from outbox where id in (select id from outbox order by id limit %s) returning id, topic, shard_key, key, value
"""
SET_ASIDE: Final = """
insert into outbox_set_aside (id, topic, shard_key, key, value, bytes) values (%s, %s, %s, %s, %s, %s)
"""
ENTITIES: Final = (topics.REF_SITES, topics.REF_METERS)  # who is a part of what, and what is expected of it
LARGEST: Final = topics.MAX_RECORD_BYTES - (16 << 10)  # beside its value a record has a key and headers
TYPES: Final = {  # of what the outbox holds
    topics.WARNINGS: frames.TYPE_WARNING,
    topics.TOTALS: frames.TYPE_RESTATED,
}


def tell_outbox(
    config: Settings, connection: psycopg.Connection[Any], producer: Producer, reference: threading.Event
) -> bool:
    """One pass; False: there was nothing to tell. What no record can hold is set aside, counted and kept.

    connection: in autocommit. reference: is set before sites or meters are told.
    """
    if not one_row(connection, ANY)[0]:
        return False
    set_aside: list[dict[str, Any]] = []
    with connection.transaction():
        rows = sorted(connection.execute(TAKE_OUTBOX, (OUTBOX_PASS,)).fetchall())
        if any(topic in ENTITIES for _, topic, *_ in rows):
            reference.set()
        with kafka.transaction(producer):
            for id_, topic, shard_key, key, value in rows:
                record = None if value is None else orjson.dumps(value)
                if record is not None and len(record) > LARGEST:
                    connection.execute(SET_ASIDE, (id_, topic, shard_key, key, Jsonb(value), len(record)))
                    set_aside.append({"id": id_, "topic": topic, "key": key, "bytes": len(record)})
                    continue
                tell(config, producer, topic, type_of(topic, value), shard_key, key, record)
    telemetry.RECORDS.labels("relay", "outbox").inc(len(rows))
    for row in set_aside:
        telemetry.FAULTS.labels("relay", "record too large").inc()
        structlog.get_logger(service="relay").error("record too large, kept in outbox_set_aside", **row)
    return True


def tell(
    config: Settings,
    producer: Producer,
    topic: str,
    type_: str,
    shard_key: str,
    key: str,
    record: bytes | None,
) -> None:
    """Hand a record to the producer, waiting where its queue is full. record None: a tombstone."""
    partition = partition_of(shard_of(shard_key), config.partitions_of(topic))
    headers = frames.cloud_event_headers(type_, "relay", key)
    while True:
        try:
            producer.produce(
                config.topic(topic),
                record,
                key.encode(),
                partition,
                headers=headers,  # type: ignore[arg-type]
            )
            producer.poll(0)
            return
        except BufferError:
            producer.poll(0.1)


def type_of(topic: str, value: Any) -> str:
    """CloudEvents type of an outbox row."""
    if topic == topics.WARNINGS and "operation" in value:
        return frames.TYPE_OPERATION
    return TYPES.get(topic, f"carbonstream.{topic}.v1")
