"""A database of its own for each module, with the meters of tests/processors registered, on the local server."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from carbonstream.schemas.settings import Settings
from tests.databases import migrated_database
from tests.sink import plant


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
