"""A fresh, migrated database for each test of reference data, on the local servers of profile `test`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from carbonstream.ops.load import load_packaged
from carbonstream.schemas.settings import Settings
from tests.databases import fresh_database, migrated_database

NOW = datetime(2026, 3, 1, tzinfo=UTC)
Connection = psycopg.Connection[tuple[Any, ...]]
Write = Callable[..., Path]


@pytest.fixture
def empty_database_settings(server: str) -> Iterator[Settings]:
    """Settings of a database nobody has migrated."""
    with fresh_database(server, "reference") as url:
        yield Settings(database=url)


@pytest.fixture
def database_settings(server: str) -> Iterator[Settings]:
    """Settings of a migrated database without reference data."""
    with migrated_database(server, "reference") as settings:
        yield settings


@pytest.fixture(scope="session")
def packaged_settings(server: str) -> Iterator[Settings]:
    """Settings of a migrated database with the packaged reference data; whoever uses it rolls back."""
    with migrated_database(server, "reference") as settings:
        with psycopg.connect(settings.database, autocommit=True) as opened:
            load_packaged(opened, NOW)
            opened.execute("delete from outbox")
        yield settings


@pytest.fixture
def connection(packaged_settings: Settings) -> Iterator[Connection]:
    """A connection to the packaged database, in a transaction that is rolled back after the test."""
    with (
        psycopg.connect(packaged_settings.database) as opened,
        opened.transaction(force_rollback=True),
    ):
        yield opened


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes NAME.csv from its header and rows, and gives its path."""

    def to_file(name: str, header: str, *rows: str) -> Path:
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return to_file
