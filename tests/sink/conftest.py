"""A database of its own for each module, with the meters of tests/processors registered, on the local server."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest

from carbonstream.ops.local import addresses, start
from carbonstream.schemas.settings import Settings
from tests.databases import migrated_database
from tests.sink import plant

PROFILE = os.environ.get("CARBONSTREAM_TEST_PROFILE", "test")


@pytest.fixture(scope="session")
def server() -> str:
    """URL of a superuser's database on a running server."""
    start(PROFILE, only="postgres")
    return addresses(PROFILE).database


@pytest.fixture(scope="module")
def database(server: str) -> Iterator[Settings]:
    """Settings of a migrated database with registered meters."""
    with migrated_database(server, "sink") as settings:
        with psycopg.connect(settings.database) as connection:
            plant.register(connection)
        yield settings


@pytest.fixture
def sink(database: Settings) -> Iterator[plant.Sink]:
    """A sink over empty tables."""
    with psycopg.connect(database.database) as connection:
        opened = plant.Sink(connection)
        opened.empty()
        yield opened
