"""The whole pipeline on real servers: services as processes of their own, a fresh database, topics of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import orjson
import psycopg
import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options, replay
from carbonstream.ops.load import load_files
from carbonstream.schemas import topics
from carbonstream.schemas.frames import TYPE_OPERATION
from tests.api.conftest import TOKEN, Served, served
from tests.running import DEMO, Running, eventually
from tests.running import running as running_anywhere
from tests.topics import ends, messages

if TYPE_CHECKING:
    from tests.warn.desk import Control

SERVICES = ("relay", "timescale", "convert", "watch", "warn")
WAIT_S = 240.0  # for a machine that has other work to do; alone it takes seconds
Told = tuple[str, int, str, datetime]  # id, version, state, bucket


class Pipeline(Running):
    """Running services, and what to ask of what they tell of warnings."""

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for a condition of the database."""
        eventually(condition, what, WAIT_S)

    def until_told(self, changes: int) -> None:
        """Wait until the history has this many entries."""
        self.until(f"{changes} changes of warnings", lambda: len(self.history()) >= changes)

    def load(self, **paths: Path) -> None:
        with psycopg.connect(self.settings.database) as connection:
            load_files(connection, paths, datetime.now(UTC))

    def replay(self, path: Path, options: Options) -> None:
        replay(self.settings, path, options)

    def kill(self, service: str) -> None:
        """kill -9, and wait until the supervisor has started it again."""
        pid = self.pid(service)
        super().kill(service)
        self.until(f"{service} is restarted", lambda: self.supervisor.pid(service) not in (None, pid))

    def history(self) -> list[Told]:
        return self.query("select id, version, state, bucket from warning_history order by id, version")

    def relayed(self) -> list[tuple[str, int, str, datetime]]:
        """What subscribers of carbon.warnings read of conditions, sorted; every copy of it."""
        self.until("the outbox is told", lambda: self.query("select count(*) from outbox") == [(0,)])
        told = []
        for message in messages(self.settings, topics.WARNINGS):
            if kafka.type_of(message.headers()) == TYPE_OPERATION:  # type: ignore[arg-type]
                continue
            r = orjson.loads(message.value() or b"")
            told.append((r["id"], r["version"], r["state"], datetime.fromisoformat(r["bucket"])))
        return sorted(told)

    def settle(self) -> None:
        """Return when warn has judged what meter.readings holds now: stored by the sink, told by the relay, read."""
        sent = ends(self.settings, topics.READINGS)
        self.until(
            "the sink has stored everything",
            lambda: all(at >= end for at, end in zip(self._stored(), sent, strict=True)),
        )
        marks = "select (select count(*) from change_mark) + (select count(*) from outbox)"
        self.until("the relay has told everything", lambda: self.query(marks) == [(0,)])
        told = ends(self.settings, topics.TOTALS)
        # a partition ends with the mark of the relay's transaction, which no reader sees
        self.until(
            "warn has read everything",
            lambda: all(at >= end - 1 for at, end in zip(self._read(), told, strict=True)),
        )

    def _stored(self) -> list[int]:
        return [
            offset + 1 for (offset,) in self.query("select source_offset from position order by partition")
        ]

    def _read(self) -> list[int]:
        sql = "select next_offset from warn_position where topic = %s order by partition"
        return [offset for (offset,) in self.query(sql, topics.TOTALS)]


@contextmanager
def running(
    folder: Path,
    targets: str,
    *,
    virtual_time: bool,
    services: tuple[str, ...] = SERVICES,
    is_covered: bool = False,
) -> Iterator[Pipeline]:
    """The demo's plant with these targets, and the services it needs; in virtual time a test sends the ticks."""
    file = folder / "targets.csv"
    file.write_text("entity,indicator,period,value,unit,levels\n" + targets)
    with running_anywhere(
        folder,
        services=services if virtual_time else (*services, "ticker"),
        tables={"sites": DEMO / "sites.csv", "meters": DEMO / "meters.csv", "targets": file},
        is_covered=is_covered,
        virtual_time=virtual_time,
    ) as run:
        pipeline = Pipeline(run.settings, run.supervisor)
        pipeline.until(
            "reference data are told", lambda: pipeline.query("select count(*) from outbox") == [(0,)]
        )
        yield pipeline


@pytest.fixture(scope="module")
def api(control: Control) -> Iterator[Served]:
    """The API beside a module's `control`, on its clock."""
    settings = control.pipeline.settings.model_copy(update={"api_token": TOKEN})
    with served(settings, now=lambda: control.now) as running:
        yield running


@pytest.fixture
def client(api: Served) -> Iterator[httpx.Client]:
    """With the token."""
    with api.client() as client:
        yield client
