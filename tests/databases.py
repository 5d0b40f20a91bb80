"""Databases of their own for tests, on a running server.

One with the tables is a copy of a template, a fifth of the time of migrating. TimescaleDB's jobs come to a copy within
a minute only: no test waits for one.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from zlib import crc32

import psycopg

from carbonstream.connectors.migrations import FOLDER, migrate
from carbonstream.schemas.settings import Settings


def spare_the_disk(server: str) -> str:
    """The same server from now on leaves it to the operating system when the disk is written. Tests kill processes,
    never the machine, so nothing more is lost; to make a database and to drop it takes a fifth of the time."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
    return server


def create_database(server: str, purpose: str, template: str = "template0") -> str:
    """URL of a new database beside the one of `server`; its name begins with the purpose.

    template: one that nobody can connect to, as PostgreSQL copies none that somebody is connected to.
    """
    name = f"{purpose}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template} strategy file_copy")
    return url_of(server, name)


def url_of(server: str, name: str) -> str:
    """URL of the database of that name on the same server."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def create_migrated(server: str, purpose: str) -> str:
    """URL of a new database with the tables."""
    return create_database(server, purpose, template_of(server))


@cache
def template_of(server: str) -> str:
    """Name of a database with the tables that nobody can connect to; made once for each state of the migrations."""
    name = f"template_{crc32(b''.join(path.read_bytes() for path in sorted(FOLDER.glob('*.sql')))):08x}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", [crc32(name.encode())])
        known = connection.execute(
            "select datallowconn from pg_database where datname = %s", [name]
        ).fetchone()
        if known == (True,):  # whoever made it ended before it was ready
            drop_database(server, url_of(server, name))
        if known != (False,):
            connection.execute(f"create database {name} template template0")
            migrate(Settings(database=url_of(server, name)))
            connection.execute(f"alter database {name} with allow_connections false")
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
            )
    return name


_asking = threading.Lock()
_kept: dict[str, psycopg.Connection[Any]] = {}


def query(
    database: str, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[tuple[Any, ...]]:
    """Rows of a statement, in a transaction of its own. Raises OperationalError where the server does not answer.

    The connection is kept: tests ask while they wait, and to connect costs 22 ms of CPU, to ask one.
    """
    with _asking:
        kept = _kept.pop(database, None)
        if kept is not None:
            try:
                rows = kept.execute(statement, values).fetchall()
            except psycopg.OperationalError:
                kept.close()  # of a server that was restarted
            else:
                _kept[database] = kept
                return rows
        kept = psycopg.connect(database, autocommit=True, connect_timeout=10)
        _kept[database] = kept
        return kept.execute(statement, values).fetchall()


def drop_database(server: str, url: str) -> None:
    """Drop it, also when others are connected."""
    with _asking:
        if (kept := _kept.pop(url, None)) is not None:
            kept.close()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {urlsplit(url).path[1:]} with (force)")


@contextmanager
def fresh_database(server: str, purpose: str) -> Iterator[str]:
    """URL of a new, empty database, dropped at the end."""
    url = create_database(server, purpose)
    try:
        yield url
    finally:
        drop_database(server, url)


@contextmanager
def migrated_database(server: str, purpose: str, **settings: Any) -> Iterator[Settings]:
    """Settings of one with the tables, dropped at the end."""
    url = create_migrated(server, purpose)
    try:
        yield Settings(database=url, **settings)
    finally:
        drop_database(server, url)
