"""Carbonstream as it runs: every service a process of its own, on real servers, for tests that must see it whole."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from carbonstream.connectors.database import connect
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.local import addresses, start
from carbonstream.ops.supervisor import Supervisor
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.schemas.settings import Settings
from tests.databases import create_migrated

T = TypeVar("T")
DEMO = Path(str(files("carbonstream.schemas") / "reference" / "demo"))
PROFILE = os.environ.get("CARBONSTREAM_TEST_PROFILE", "test")  # of the servers all tests share
STEEL = Path(str(files("carbonstream.schemas") / "reference" / "steel" / "Steel_industry_data.csv.gz"))
SERVICES = ("relay", "timescale", "convert", "watch", "ledger", "warn", "ticker")


@dataclass
class Running:
    """A running Carbonstream with topics and a database of its own."""

    settings: Settings
    environment: dict[str, str]
    supervisor: Supervisor

    def pid(self, service: str) -> int:
        """The service's process, once it runs."""
        return eventually(lambda: self.supervisor.pid(service), f"{service} runs")

    def kill(self, service: str) -> None:
        """kill -9; the supervisor starts it again."""
        os.kill(self.pid(service), signal.SIGKILL)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with connect(self.settings, application="test") as connection:
            return connection.execute(statement, values).fetchall()

    def stored(self, source: str) -> int:
        """Readings of a source that the sink has decided about; -1 while the database is away."""
        try:
            rows = self.query(
                "select coalesce(sum(readings), 0) from ledger where source = %s and hop = 'outcome'", source
            )
        except Exception:
            return -1
        return int(rows[0][0])


@contextmanager
def running(
    profile: str, state: Path, *, services: tuple[str, ...] = SERVICES, tables: dict[str, Path] | None = None,
    is_covered: bool = False, **overrides: Any,
) -> Iterator[Running]:  # fmt: skip
    """Everything started, reference data in force. is_covered: services count their lines, and take twice as long; a
    few tests that go through most of them suffice, and one killed by -9 reports nothing."""
    start(profile)
    kafka, server = addresses(profile)
    database = create_migrated(server, "run")
    given = {
        "kafka": kafka,
        "database": database,
        "topic_prefix": f"{uuid.uuid4().hex[:10]}.",
        "state_dir": state,
        "metrics_port": 0,
        "api_token": "a token for tests",
        "checkpoint_s": 2.0,
        **overrides,
    }
    settings = Settings(**given)
    environment = os.environ | {
        f"CARBONSTREAM_{k.upper()}": json.dumps(v) if isinstance(v, dict | list) else str(v)
        for k, v in given.items()
    }
    if not is_covered:
        environment.pop("COVERAGE_PROCESS_CONFIG", None)
    create_topics(settings)
    record_layout(settings)
    load(settings, tables or {t: DEMO / f"{t}.csv" for t in ("sites", "meters", "targets")})
    supervisor = Supervisor(services, environment, logs=state / "logs")
    supervisor.start()
    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(0.1):
            supervisor.watch()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        if not settings.virtual_time:  # else the test sends the ticks
            wait_until_in_force(settings, 90)
        yield Running(settings, environment, supervisor)
    finally:
        ending.set()
        watcher.join()
        supervisor.end()


def load(settings: Settings, tables: dict[str, Path]) -> None:
    """Packaged reference data and these tables."""
    with connect(settings, application="test") as connection, connection.transaction():
        now = datetime.now(UTC)
        load_packaged(connection, now)
        load_files(connection, tables, now)


def eventually(condition: Callable[[], T], what: str, timeout_s: float = 90.0) -> T:
    """The first true value of a condition; fails with `what` after the time-out."""
    until = time.monotonic() + timeout_s
    waiting = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < until, f"not in {timeout_s} s: {what}"
        waiting.wait(0.1)
    return value
