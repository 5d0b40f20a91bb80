"""Carbonstream as it runs: every service a process of its own, on real servers, for tests that must see it whole."""

from __future__ import annotations

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

from psycopg import OperationalError

from carbonstream.connectors.database import connect
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.local import addresses, start
from carbonstream.ops.supervisor import Supervisor
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.schemas.settings import Settings, as_environment
from tests.databases import create_migrated, drop_database, query
from tests.topics import delete_topics

T = TypeVar("T")
DEMO = Path(str(files("carbonstream.schemas") / "reference" / "demo"))
PROFILE = os.environ.get("CARBONSTREAM_TEST_PROFILE", "test")  # of the servers all tests share
STEEL = Path(str(files("carbonstream.schemas") / "reference" / "steel" / "Steel_industry_data.csv.gz"))
SERVICES = ("relay", "timescale", "convert", "watch", "ledger", "warn", "ticker")


@dataclass
class Running:
    """A running Carbonstream with topics and a database of its own."""

    settings: Settings
    supervisor: Supervisor

    @property
    def environment(self) -> dict[str, str]:
        """For a process of the same settings."""
        return environment_of(self.settings)

    def pid(self, service: str) -> int:
        """The service's process, once it runs."""
        return eventually(lambda: self.supervisor.pid(service), f"{service} runs")

    def kill(self, service: str) -> None:
        """kill -9; the supervisor starts it again."""
        os.kill(self.pid(service), signal.SIGKILL)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return query(self.settings.database, statement, values)

    def stored(self, source: str) -> int:
        """Readings of a source that the sink has decided about; -1 while the database is away."""
        try:
            rows = self.query(
                "select coalesce(sum(readings), 0) from ledger where source = %s and hop = 'outcome'", source
            )
        except OperationalError:
            return -1
        return int(rows[0][0])


@contextmanager
def running(
    state: Path,
    *,
    services: tuple[str, ...] = SERVICES,
    tables: dict[str, Path] | None = None,
    is_covered: bool = False,
    profile: str = PROFILE,
    **given: Any,
) -> Iterator[Running]:
    """Everything started, reference data in force (in virtual time the test sends the ticks for it)."""
    with (
        prepared(state, tables, profile, **given) as settings,
        supervised(settings, *services, is_covered=is_covered) as supervisor,
    ):
        if not settings.virtual_time:
            wait_until_in_force(settings, 90)
        yield Running(settings, supervisor)


@contextmanager
def prepared(
    state: Path, tables: dict[str, Path] | None = None, profile: str = PROFILE, **given: Any
) -> Iterator[Settings]:
    """Settings of topics and a database of their own on these servers, reference data loaded: the demo's plant unless
    told otherwise."""
    start(profile)
    kafka_address, server = addresses(profile)
    own = {
        "kafka": kafka_address,
        "database": create_migrated(server, "run"),
        "topic_prefix": f"{uuid.uuid4().hex[:10]}.",
        "partitions": 2,
        "state_dir": state,
        "metrics_port": 0,
        "api_token": "a token for tests",
        "checkpoint_s": 2.0,
    }
    settings = Settings(**own | given)
    try:
        create_topics(settings)
        record_layout(settings)
        load(settings, tables or {t: DEMO / f"{t}.csv" for t in ("sites", "meters", "targets")})
        yield settings
    finally:
        try:
            delete_topics(settings)
        finally:
            drop_database(server, settings.database)


@contextmanager
def supervised(settings: Settings, *services: str, is_covered: bool = False) -> Iterator[Supervisor]:
    """Some services with these settings, each a process that is started again when it ends.

    is_covered: they count their lines, and take twice as long; a few tests that go through most of them suffice, and
    one killed by -9 reports nothing.
    """
    environment = environment_of(settings)
    if not is_covered:
        environment.pop("COVERAGE_PROCESS_CONFIG", None)
    supervisor = Supervisor(services, environment, logs=settings.state_dir / "logs")
    supervisor.start()
    watcher = threading.Thread(target=supervisor.run)
    watcher.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        watcher.join()


def environment_of(settings: Settings) -> dict[str, str]:
    """This process's environment, with what was given of the settings."""
    return dict(os.environ) | as_environment(settings, settings.model_fields_set)


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
