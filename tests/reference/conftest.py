"""A fresh, migrated database for each test of reference data, on the local servers of profile `test`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from carbonstream.connectors.migrations import migrate
from carbonstream.ops.local import addresses, start
from carbonstream.schemas.settings import Settings


@pytest.fixture(scope="session")
def server() -> str:
    """URL of a superuser's database on a running server."""
    profile = os.environ.get("CARBONSTREAM_TEST_PROFILE", "test")
    start(profile, only="postgres")
    return addresses(profile).database


@pytest.fixture
def empty_database_settings(server: str) -> Iterator[Settings]:
    """Settings of a database nobody has migrated."""
    name = f"reference_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    yield Settings(database=urlunsplit(urlsplit(server)._replace(path=f"/{name}")))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def database_settings(empty_database_settings: Settings) -> Settings:
    """Settings of a migrated database without reference data."""
    migrate(empty_database_settings)
    return empty_database_settings
