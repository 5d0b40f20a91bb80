"""A database of its own with the packaged library, a steel works and a paper mill, and their readings of 2024-03."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from carbonstream.ops.cli import app
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.settings import settings as of_this_process
from tests.api.plant import store
from tests.databases import migrated_database, query
from tests.reference.files import FEED, METERS, PAPER, SITES, STEEL

HEADER = "carrier,kind,scope,month,value,unit,document"
POWER = "330502-0002/E02,electricity,interval,kWh,1,,900,true,2024-01-01T00:00:00Z,"
MARCH = datetime(2024, 3, 1, tzinfo=SHANGHAI)


@dataclass
class Plant:
    """The database, and commands run as a person would."""

    settings: Settings
    folder: Path

    def run(self, *arguments: object) -> Result:
        """A command line; its output and exit code."""
        return CliRunner().invoke(app, [str(a) for a in arguments])

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return query(self.settings.database, statement, values)

    def write(self, *rows: str, header: str = HEADER, name: str = "march.csv") -> Path:
        path = self.folder / name
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path


@pytest.fixture
def plant(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    """A steel works and a paper mill in Wuxing, Huzhou, each with one day of quarter-hours of electricity."""
    with migrated_database(server, "coefficients") as settings:
        plant = Plant(settings, tmp_path)
        tables = {
            "sites": plant.write(STEEL, PAPER, header=SITES, name="sites.csv"),
            "meters": plant.write(FEED, POWER, header=METERS, name="meters.csv"),
        }
        with psycopg.connect(settings.database, autocommit=True) as connection:
            load_packaged(connection, datetime.now(UTC))
            load_files(connection, tables, datetime.now(UTC))
            store(connection, "330502-0001/E01", MARCH, [3_170 + i % 7 for i in range(96)])
            store(connection, "330502-0002/E02", MARCH + timedelta(days=9), [1_001] * 96)
            connection.execute("delete from outbox")
        monkeypatch.setenv("CARBONSTREAM_DATABASE", settings.database)
        of_this_process.cache_clear()
        yield plant
        of_this_process.cache_clear()
