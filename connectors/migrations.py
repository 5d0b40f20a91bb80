"""Bring the database to the schema in schemas/sql: forward only, safe twice and from many processes at once.

yoyo reads, orders and records the migrations. As it comes it guards them by a row that outlives a killed
process, and marks a migration in another transaction than the one that ran it; both are mended here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import Migration, default_migration_table

from carbonstream.connectors.database import connect
from carbonstream.processors.vee.parameter_sets import PACKAGED
from carbonstream.processors.vee.parameters import DEFAULTS
from carbonstream.schemas import carriers
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

FOLDER: Final = Path(carriers.__file__).parent / "sql"
LOCK: Final = 0x6361_7262  # one key of PostgreSQL's advisory locks, "carb"


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo is not typed
    """A migration and its mark are one transaction; the lock is the session's and dies with it."""

    _is_locked: bool = False

    def apply_one(self, migration: Migration, force: bool = False, mark: bool = True) -> None:
        self.ensure_internal_schema_updated()
        with self.transaction():
            # the file as it is: yoyo would cut it at semicolons and print what its selects return
            self.connection.execute(Path(migration.path).read_bytes())
            self.mark_one(migration, log=False)

    @contextmanager
    def lock(self, timeout: float = 0) -> Iterator[None]:
        if self._is_locked:
            yield
            return
        self.execute(f"select pg_advisory_lock({LOCK})")
        self._is_locked = True
        try:
            yield
        finally:
            self._is_locked = False
            self.execute(f"select pg_advisory_unlock({LOCK})")


def migrate(settings: Settings) -> list[str]:
    """Apply what is missing of schemas/sql, each migration in one transaction, set the carriers, and keep what the
    checks are packaged with.

    Returns the ids of the migrations applied now. A second process waits for the first and finds nothing to
    do. Raises NotReady when the server does not answer, psycopg.Error when a migration fails: of it nothing
    is kept, those before it stand.
    """
    connect(settings, application="migrate").close()  # says the remedy where nobody answers
    uri = parse_uri(settings.database)._replace(scheme="postgresql+psycopg")
    migrations = read_migrations(str(FOLDER))
    if not len(migrations):
        raise NotReady(f"no migrations in {FOLDER}: install the package again")
    with _Backend(uri, default_migration_table) as backend, backend.lock():
        missing = backend.to_apply(migrations)
        applied = [str(migration.id) for migration in missing]
        backend.apply_migrations(missing)
        _set_carriers(backend.connection)
        _keep_packaged_parameters(backend.connection)
    return applied


def _set_carriers(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into carrier (number, id, name_zh, name_en, base_unit, ghg_scope, co2_kind)
            values (%s, %s, %s, %s, %s, %s, %s)
            on conflict (number) do update set (id, name_zh, name_en, base_unit, ghg_scope, co2_kind) =
              (excluded.id, excluded.name_zh, excluded.name_en, excluded.base_unit, excluded.ghg_scope,
               excluded.co2_kind)
            """,
            [
                (c.number, c.id, c.name_zh, c.name_en, c.base_unit.value, c.ghg_scope, c.co2_kind)
                for c in carriers.CARRIERS
            ],
        )


def _keep_packaged_parameters(connection: psycopg.Connection[Any]) -> None:
    """This release's version: what it finds can be explained when a later one finds otherwise."""
    with connection.transaction():
        connection.execute(
            """
            insert into check_parameters (name, version, parameters, state, owner, note, loaded_at)
            values (%s, %s, %s, 'on', 'carbonstream', 'where nothing else is set', now())
            on conflict (name, version) do nothing
            """,
            [PACKAGED.name, PACKAGED.version, Jsonb(DEFAULTS)],
        )
