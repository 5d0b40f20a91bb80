"""A client of the event stream, and a relay that writes what it hears of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from carbonstream.connectors.kafka import producer
from carbonstream.schemas.frames import TYPE_TOTAL, TYPE_WARNING, cloud_event_headers
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.topics import TOTALS, WARNINGS


@dataclass(frozen=True)
class Heard:
    """One event as it came."""

    name: str
    id: str | None
    content: dict[str, Any]


@contextmanager
def listening(client: httpx.Client, last_id: str | None = None, **query: Any) -> Iterator[Iterator[Heard]]:
    """Events of a stream; the first is already there, so what is written after this is heard."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with client.stream("GET", "/v1/stream", params=query, headers=headers) as response:
        assert response.status_code == 200, response.read()
        yield _events(response)


def _events(response: httpx.Response) -> Iterator[Heard]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line == "":
            if "data" in fields:
                yield Heard(fields.get("event", "message"), fields.get("id"), orjson.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


def until(events: Iterator[Heard], last: Callable[[Heard], bool]) -> list[Heard]:
    """All events up to the one wanted, without heartbeats."""
    heard = []
    for event in events:
        if event.name != "heartbeat":
            heard.append(event)
        if last(event):
            return heard
    raise AssertionError(f"the stream ended; heard {heard[-3:]}")


@dataclass
class Written:
    """A record to write."""

    topic: str
    partition: int
    key: str
    content: dict[str, Any]


def total(entity: str, partition: int, co2_kg: int, bucket: str = "2024-03-10T11:00:00+08:00") -> Written:
    """A total of one hour; co2_kg tells it from others."""
    content = {"entity": entity, "grain": "hour", "bucket": bucket, "co2_kg": str(co2_kg)}
    return Written(TOTALS, partition, f"{entity}|hour|{bucket}", content)


def warning(entity: str, partition: int, version: int) -> Written:
    """A change of a warning; the version tells it from others."""
    id_ = f"target-level:{entity}:2024-03:0.9"
    return Written(WARNINGS, partition, id_, {"id": id_, "entity": entity, "version": version})


class Relay:
    """Writes in transactions, as the relay does."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer = producer(settings, transactional_id="test-relay")
        self._producer.init_transactions(30)

    def write(self, *records: Written, commit: bool = True) -> None:
        """All records in one transaction."""
        self._producer.begin_transaction()
        for record in records:
            total_ = record.topic == TOTALS
            self._producer.produce(
                self._settings.topic(record.topic),
                orjson.dumps(record.content),
                record.key.encode(),
                record.partition,
                headers=dict(
                    cloud_event_headers(TYPE_TOTAL if total_ else TYPE_WARNING, "relay", record.key)
                ),
            )
        self._producer.flush(30)
        if commit:
            self._producer.commit_transaction(30)
        else:
            self._producer.abort_transaction(30)
