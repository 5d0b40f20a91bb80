"""The whole pipeline on real servers: services as processes of their own, a fresh database, topics of their own."""

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
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import psycopg
import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options, replay
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.ops.local import Addresses
from carbonstream.ops.supervisor import Supervisor
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.schemas import topics
from carbonstream.schemas.frames import TYPE_OPERATION
from carbonstream.schemas.settings import Settings
from tests.api.conftest import TOKEN, Served, served
from tests.databases import create_migrated, drop_database

if TYPE_CHECKING:
    from tests.warn.desk import Control

SERVICES = ("relay", "timescale", "convert", "watch", "warn")
DEMO = Path(str(files("carbonstream.schemas") / "reference" / "demo"))
WAIT_S = 240.0  # for a machine that has other work to do; alone it takes seconds
Told = tuple[str, int, str, datetime]  # id, version, state, bucket


@dataclass
class Pipeline:
    """Running services, and what to ask of them."""

    settings: Settings
    supervisor: Supervisor

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.database, autocommit=True) as connection:
            return connection.execute(sql, parameters).fetchall()

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for a condition of the database."""
        give_up = time.monotonic() + WAIT_S
        while not condition():
            if time.monotonic() > give_up:
                raise TimeoutError(f"not within {WAIT_S} s: {what}")
            threading.Event().wait(0.02)

    def until_told(self, changes: int) -> None:
        """Wait until the history has this many entries."""
        self.until(f"{changes} changes of warnings", lambda: len(self.history()) >= changes)

    def load(self, **paths: Path) -> None:
        with psycopg.connect(self.settings.database) as connection:
            load_files(connection, paths, datetime.now(UTC))

    def replay(self, path: Path, options: Options) -> None:
        replay(self.settings, path, options)

    def kill(self, name: str) -> None:
        """kill -9, and wait until the supervisor has started it again."""
        pid = self.supervisor.pid(name)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.until(f"{name} is restarted", lambda: self.supervisor.pid(name) not in (None, pid))

    def history(self) -> list[Told]:
        return self.query("select id, version, state, bucket from warning_history order by id, version")

    def relayed(self) -> list[tuple[str, int, str, datetime]]:
        """What subscribers of carbon.warnings read of conditions, sorted; every copy of it."""
        self.until("the outbox is told", lambda: self.query("select count(*) from outbox") == [(0,)])
        consumer = kafka.reader(self.settings)
        told = []
        for partition in range(self.settings.partitions):
            topic = self.settings.topic(topics.WARNINGS)
            first, end = kafka.end_offsets_of(consumer, topic, partition)
            for message in kafka.read_range(consumer, topic, partition, first, end):
                if kafka.type_of(message.headers()) == TYPE_OPERATION:  # type: ignore[arg-type]
                    continue
                r = orjson.loads(message.value() or b"")
                told.append((r["id"], r["version"], r["state"], datetime.fromisoformat(r["bucket"])))
        consumer.close()
        return sorted(told)

    def settle(self) -> None:
        """Return when warn has judged what meter.readings holds now: stored by the sink, told by the relay, read."""
        sent = self._ends(topics.READINGS)
        self.until(
            "the sink has stored everything",
            lambda: all(at >= end for at, end in zip(self._stored(), sent, strict=True)),
        )
        marks = "select (select count(*) from change_mark) + (select count(*) from outbox)"
        self.until("the relay has told everything", lambda: self.query(marks) == [(0,)])
        told = self._ends(topics.TOTALS)
        # a partition ends with the mark of the relay's transaction, which no reader sees
        self.until(
            "warn has read everything",
            lambda: all(at >= end - 1 for at, end in zip(self._read(), told, strict=True)),
        )

    def _ends(self, name: str) -> list[int]:
        consumer = kafka.reader(self.settings)
        ends = [
            kafka.end_offsets_of(consumer, self.settings.topic(name), partition)[1]
            for partition in range(self.settings.partitions)
        ]
        consumer.close()
        return ends

    def _stored(self) -> list[int]:
        return [
            offset + 1 for (offset,) in self.query("select source_offset from position order by partition")
        ]

    def _read(self) -> list[int]:
        sql = "select next_offset from warn_position where topic = %s order by partition"
        return [offset for (offset,) in self.query(sql, topics.TOTALS)]


@contextmanager
def running(
    servers: Addresses,
    folder: Path,
    targets: str,
    *,
    virtual_time: bool,
    services: tuple[str, ...] = SERVICES,
    is_covered: bool = False,
) -> Iterator[Pipeline]:
    """The demo's plant with these targets, and the services it needs; in virtual time a test sends the ticks.

    is_covered: see tests.running.
    """
    broker, server = servers.kafka, servers.database
    database = create_migrated(server, "warn")
    settings = Settings(
        kafka=broker,
        database=database,
        topic_prefix=f"{uuid.uuid4().hex[:12]}.",
        partitions=2,
        state_dir=folder / "state",
        virtual_time=virtual_time,
        metrics_port=0,
    )
    create_topics(settings)
    record_layout(settings)
    targets_file = folder / "targets.csv"
    targets_file.write_text("entity,indicator,period,value,unit,levels\n" + targets)
    with psycopg.connect(settings.database) as connection:
        load_packaged(connection, datetime.now(UTC))
    with psycopg.connect(settings.database) as connection:
        paths = {"sites": DEMO / "sites.csv", "meters": DEMO / "meters.csv", "targets": targets_file}
        load_files(connection, paths, datetime.now(UTC))
    given = ("kafka", "database", "topic_prefix", "partitions", "state_dir", "virtual_time", "metrics_port")
    environment = dict(os.environ) | {f"CARBONSTREAM_{n.upper()}": str(getattr(settings, n)) for n in given}
    if not is_covered:
        environment.pop("COVERAGE_PROCESS_CONFIG", None)
    names = services if virtual_time else (*services, "ticker")
    supervisor = Supervisor(names, environment, logs=folder / "logs")
    supervisor.start()
    watching = threading.Thread(target=supervisor.run, daemon=True)
    watching.start()
    try:
        pipeline = Pipeline(settings, supervisor)
        pipeline.until(
            "reference data are told", lambda: pipeline.query("select count(*) from outbox") == [(0,)]
        )
        yield pipeline
    finally:
        supervisor.stop()
        watching.join()
        kafka_topics = [settings.topic(t.name) for t in topics.CATALOGUE]
        client = kafka.admin(settings)  # must outlive its futures
        for future in client.delete_topics(kafka_topics).values():
            future.result(30)
        drop_database(server, database)


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
