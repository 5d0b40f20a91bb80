"""The API over a real database and a real broker, served on a port of its own."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
import uvicorn
from confluent_kafka.admin import NewTopic
from fastapi import FastAPI

from carbonstream.api.app import create_app
from carbonstream.connectors.kafka import admin
from carbonstream.ops.local import Addresses
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.topics import TOTALS, WARNINGS
from tests.api import plant
from tests.databases import migrated_database

TOKEN = "a token for tests"
PARTITIONS = 3


@pytest.fixture(scope="session")
def settings(servers: Addresses) -> Iterator[Settings]:
    """Settings of a plant with readings, and of topics of its own."""
    kafka, database = servers.kafka, servers.database
    with migrated_database(database, "api") as of_it:
        settings = Settings(
            kafka=kafka,
            database=of_it.database,
            topic_prefix=f"{uuid.uuid4().hex[:8]}.",
            partitions=PARTITIONS,
            api_token=TOKEN,
            metrics_port=0,
            state_dir=Path("/nonexistent"),
        )
        with psycopg.connect(of_it.database, autocommit=True) as connection:
            plant.found(connection)
            new_year = datetime(2024, 1, 1, tzinfo=plant.NOW.tzinfo)
            plant.store(connection, f"{plant.STEEL}/E01", new_year, [3_170 + i % 7 for i in range(3 * 96)])
            plant.store(connection, f"{plant.STEEL}/E02", new_year, [1_000] * 96)
            plant.store(connection, f"{plant.HEAT}/H01", new_year, [999_999_999_999_999] * 8)
            today = plant.NOW.replace(hour=0)
            plant.store(connection, f"{plant.STEEL}/E01", today, [2_000] * 40)
            plant.store(connection, f"{plant.STEEL}/E01", today + 40 * plant.QUARTER, [2_500] * 4, quality=9)
            plant.store(connection, f"{plant.ANNEX}/G01", today, [1_001] * 44, raw_index=123_456)
            for partition in range(2):
                connection.execute(
                    "insert into position (partition, tick_ms) values (%s, %s)",
                    (partition, to_ms(plant.NOW - timedelta(seconds=2 + partition))),
                )
        make_topics(settings)
        yield settings
        client = admin(settings)
        for future in client.delete_topics([settings.topic(TOTALS), settings.topic(WARNINGS)]).values():
            future.result(30)


def make_topics(settings: Settings) -> None:
    """The two topics the API streams."""
    client = admin(settings)  # its futures end with it
    made = client.create_topics(
        [NewTopic(settings.topic(t), PARTITIONS, 1) for t in (TOTALS, WARNINGS)], operation_timeout=30
    )
    for future in made.values():
        future.result(30)


@dataclass
class Served:
    """A running API."""

    url: str
    app: FastAPI
    settings: Settings
    stop: Callable[[], None]

    def client(self, *, token: str | None = TOKEN) -> httpx.Client:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)


@contextmanager
def served(
    settings: Settings, *, now: Callable[[], datetime] = lambda: plant.NOW, **more: Path
) -> Iterator[Served]:
    """Serve on a free port in a thread of this process."""
    app = create_app(settings, now_ms=lambda: to_ms(now()), **more)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none", timeout_graceful_shutdown=5)
    )
    thread = threading.Thread(target=server.run)
    ready = threading.Event()
    startup = server.startup

    async def announced(sockets: object = None) -> None:
        await startup(sockets)  # type: ignore[arg-type]
        ready.set()

    server.startup = announced  # type: ignore[method-assign]
    thread.start()
    assert ready.wait(30), "the API did not start"
    port = server.servers[0].sockets[0].getsockname()[1]

    def stop() -> None:
        app.state.services.hub.close()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the API did not stop"

    try:
        yield Served(f"http://127.0.0.1:{port}", app, settings, stop)
    finally:
        if thread.is_alive():
            stop()


@pytest.fixture(scope="session")
def api(settings: Settings) -> Iterator[Served]:
    """The API on the plant, at noon of 2024-03-10."""
    with served(settings) as running:
        yield running


@pytest.fixture
def client(api: Served) -> Iterator[httpx.Client]:
    """A client with the token."""
    with api.client() as client:
        yield client
