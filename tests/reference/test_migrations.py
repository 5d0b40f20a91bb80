"""Migrations: twice, from many processes, after a kill, and whole or not at all."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psycopg
import pytest

from carbonstream.connectors import migrations
from carbonstream.connectors.migrations import migrate
from carbonstream.schemas.carriers import CARRIERS
from carbonstream.schemas.settings import Settings

SQL = sorted(path.stem for path in migrations.FOLDER.glob("*.sql"))


def test_migrating_twice_applies_everything_once(empty_database_settings: Settings) -> None:
    assert migrate(empty_database_settings) == SQL
    assert migrate(empty_database_settings) == []


def test_three_processes_at_once_apply_each_migration_once(empty_database_settings: Settings) -> None:
    # a Pool ends its processes by SIGTERM, and one that is busy writing its coverage may never end
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        applied = list(pool.map(migrate, [empty_database_settings] * 3))
    assert sorted(id_ for ids in applied for id_ in ids) == SQL


def test_a_failing_migration_leaves_nothing_and_the_next_start_goes_on(
    empty_database_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_kept.sql").write_text("create table kept (a int);\n")
    (tmp_path / "0002_broken.sql").write_text("create table half (a int);\nselect no_such_function();\n")
    monkeypatch.setattr(migrations, "FOLDER", tmp_path)
    monkeypatch.setattr(migrations, "_set_carriers", lambda _connection: None)
    monkeypatch.setattr(migrations, "_keep_packaged_parameters", lambda _connection: None)
    with pytest.raises(psycopg.errors.UndefinedFunction):
        migrate(empty_database_settings)
    with psycopg.connect(empty_database_settings.database) as connection:
        found = connection.execute(
            "select to_regclass('kept') is not null, to_regclass('half') is not null"
        ).fetchone()
    assert found == (True, False)
    (tmp_path / "0002_broken.sql").write_text("create table half (a int);\n")
    assert migrate(empty_database_settings) == ["0002_broken"]


def test_the_lock_of_a_process_that_died_holds_nobody_up(empty_database_settings: Settings) -> None:
    dying = psycopg.connect(empty_database_settings.database, autocommit=True)
    dying.execute(f"select pg_advisory_lock({migrations.LOCK})")
    with psycopg.connect(empty_database_settings.database, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s)", [dying.info.backend_pid])
    assert migrate(empty_database_settings) == SQL


def test_the_carrier_table_follows_the_code(database_settings: Settings) -> None:
    with psycopg.connect(database_settings.database) as connection:
        connection.execute("update carrier set name_en = 'stale' where number = 1")
        connection.commit()
        migrate(database_settings)
        rows = connection.execute("select number, id, name_en from carrier order by number").fetchall()
    assert rows == [(c.number, c.id, c.name_en) for c in sorted(CARRIERS, key=lambda c: c.number)]
