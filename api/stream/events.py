"""One event of the stream, from a Kafka record to the bytes on the wire (HTML Standard 9.2, event stream
format).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from carbonstream.api.stream.positions import Vector
from carbonstream.schemas import topics
from carbonstream.schemas.frames import TYPE_OPERATION, TYPE_RESTATED

TOTAL: Final = "total"
RESTATED: Final = "restated"
WARNING: Final = "warning"
OPERATION: Final = "operation"
EVERY_ENTITY: Final = ""  # of an event that names none, as `restated`
STREAMED: Final = (topics.TOTALS, topics.WARNINGS)
TOPIC_NAMES: Final = {"totals": topics.TOTALS, "warnings": topics.WARNINGS}  # as `?topics=` names them


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as the feed read it. slot: see Layout; value None: a tombstone."""

    slot: int
    topic: str
    offset: int
    key: bytes | None
    value: bytes | None
    type: str


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """An event in the order of this process. `at`: the position after it; `wire`: complete, with its id."""

    seq: int
    slot: int
    offset: int
    topic: str
    entity: str
    key: str | None  # a later event of the same key replaces this one; None: never replaced
    at: Vector
    body: bytes
    wire: bytes


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a record says to a subscriber: its entity, its replacement key, and its event without id."""

    entity: str
    key: str | None
    body: bytes


def meaning_of(record: Record) -> Meaning | None:
    """The event a record makes, None for a tombstone or a record that is no JSON object.

    A total is absolute, so a later one of its key replaces it; a warning's change is never left out.
    """
    if record.value is None:
        return None
    try:
        document = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    # a line break would end the data line
    value = orjson.dumps(document) if b"\n" in record.value or b"\r" in record.value else record.value
    name, key = OPERATION if record.type == TYPE_OPERATION else WARNING, None
    if record.topic == topics.TOTALS:
        restated = record.type == TYPE_RESTATED
        name, key = (RESTATED, None) if restated else (TOTAL, (record.key or b"").decode(errors="replace"))
    entity = document.get("entity")
    return Meaning(
        entity if isinstance(entity, str) else EVERY_ENTITY,
        key,
        b"event: " + name.encode() + b"\ndata: " + value + b"\n\n",
    )


def with_id(id_: str, body: bytes) -> bytes:
    """The event's bytes with its id line."""
    return b"id: " + id_.encode() + b"\n" + body


def heartbeat(id_: str | None, now_ms: int, kafka: bool) -> bytes:
    """A comment line, for proxies, and an event with the server's time and whether Kafka answers."""
    state = orjson.dumps({"now": now_ms, "kafka": "up" if kafka else "away"})
    body = b"event: heartbeat\ndata: " + state + b"\n\n"
    return b": heartbeat\n" + (body if id_ is None else with_id(id_, body))


def reset(id_: str | None, reason: str) -> bytes:
    """Tells the client that events were lost to it: reload what is shown, then go on from here."""
    body = (
        b"event: reset\ndata: "
        + orjson.dumps({"reason": reason, "remedy": "reload, then go on reading"})
        + b"\n\n"
    )
    return body if id_ is None else with_id(id_, body)
