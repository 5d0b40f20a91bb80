"""warn and relay on real servers, conditions as the rules tell them, and commands as the api writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
from confluent_kafka import Producer

from carbonstream.connectors import kafka
from carbonstream.schemas import topics
from carbonstream.schemas.frames import TYPE_OPERATION
from carbonstream.schemas.periods import local_text, to_ms
from carbonstream.schemas.warnings import Warning as WarningRecord
from carbonstream.streams.warn_book import write_warnings
from tests.topics import messages
from tests.warn.conftest import Pipeline, running
from tests.warn.steel import SHANGHAI

NOON = datetime(2026, 11, 2, 12, tzinfo=SHANGHAI)  # a Monday


def told(
    id_: str, version: int = 1, *, active: bool = True, at: datetime = NOON, **other: Any
) -> WarningRecord:
    """A change as the rules tell it; the entity is the id's second to fourth part."""
    rule, kind, name, *_ = id_.split(":")
    fields = {
        "id": id_, "version": version, "rule": rule, "entity": f"{kind}:{name}", "indicator": "co2",
        "period": "2026-11-01", "level": "100", "severity": "alert", "state": "active" if active else "cleared",
        "bucket": local_text(at), "backfill": False, "snapshot": {}, "changed_at": local_text(at),
    } | other  # fmt: skip
    return WarningRecord.model_validate(fields)


def warning_id(n: int, rule: str = "target-level") -> str:
    return f"{rule}:site:s-{n}:co2:2026-11:100"


@dataclass
class Control:
    """The control room's side of a running warn."""

    pipeline: Pipeline
    now: datetime = NOON
    producer: Producer | None = None

    def turn(self, to: datetime) -> None:
        """The sink has stored up to `to`, and watch forwards the tick."""
        self.now = to
        with psycopg.connect(self.pipeline.settings.database) as connection:
            connection.execute("update position set tick_ms = %s", (to_ms(to),))
        self._produce(
            topics.SIGNALS,
            [
                {"partition": n, "time": to_ms(to), "source_offset": 0}
                for n in range(self.pipeline.settings.partitions)
            ],
        )

    def tell(self, *records: WarningRecord) -> None:
        """The rules tell these, in one transaction of their own; the clock wakes warn."""
        with psycopg.connect(self.pipeline.settings.database) as connection:
            write_warnings(connection, records)
        self.turn(self.now + timedelta(seconds=1))

    def command(self, id_: str, kind: str, *warnings: str, by: str = "Li Na", **other: Any) -> None:
        """As the api writes it."""
        body = {"id": id_, "kind": kind, "by": by, "at": local_text(self.now), "warnings": warnings, **other}
        self._produce(topics.COMMANDS, [body])

    def raw(self, value: bytes) -> None:
        """Anything on warn.commands."""
        self._produce(topics.COMMANDS, [value])

    def _produce(self, topic: str, values: Sequence[Any]) -> None:
        if self.producer is None:
            self.producer = kafka.producer(self.pipeline.settings, **{"linger.ms": 0})
        for value in values:
            body = value if isinstance(value, bytes) else orjson.dumps(value)
            self.producer.produce(self.pipeline.settings.topic(topic), body, None, topics.COMMANDS_PARTITION)
        assert self.producer.flush(30) == 0

    def answered(self, id_: str) -> tuple[str, list[dict[str, str]]]:
        """(outcome, targets), once warn has answered."""
        sql = "select outcome, targets from warning_command where id = %s"
        self.pipeline.until(f"{id_} is answered", lambda: bool(self.pipeline.query(sql, id_)))
        ((outcome, targets),) = self.pipeline.query(sql, id_)
        return outcome, targets

    def state(self, id_: str) -> str | None:
        rows = self.pipeline.query("select state from warning_operator where id = %s", id_)
        return str(rows[0][0]) if rows else None

    def until_state(self, id_: str, state: str) -> None:
        self.pipeline.until(f"{id_} is {state}", lambda: self.state(id_) == state)

    def until_done(self, id_: str, operation: str) -> None:
        """Wait until this is the last that was done to a warning."""
        self.pipeline.until(
            f"{operation} of {id_}", lambda: [o for o, *_ in self.operations(id_)][-1:] == [operation]
        )

    def operations(self, id_: str) -> list[tuple[Any, ...]]:
        """(operation, from, to, by, why) of a warning, in order."""
        return self.pipeline.query(
            "select operation, from_state, to_state, by, why from warning_operation "
            "where warning = %s order by change",
            id_,
        )

    def relayed(self) -> list[dict[str, Any]]:
        """Operations as subscribers of carbon.warnings read them, in the order of each warning."""
        self.pipeline.until(
            "the outbox is told", lambda: self.pipeline.query("select count(*) from outbox") == [(0,)]
        )
        return [
            orjson.loads(message.value() or b"")
            for message in messages(self.pipeline.settings, topics.WARNINGS)
            if kafka.type_of(message.headers()) == TYPE_OPERATION  # type: ignore[arg-type]
        ]


@contextmanager
def controlled(folder: Path) -> Iterator[Control]:
    """Running relay and warn; the clock stands at NOON."""
    with running(folder, "", virtual_time=True, services=("relay", "warn")) as pipeline:
        control = Control(pipeline)
        control.turn(NOON)
        yield control
