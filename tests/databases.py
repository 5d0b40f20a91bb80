"""Databases of their own for tests, on a running server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from carbonstream.connectors.migrations import migrate
from carbonstream.schemas.settings import Settings


def create_database(server: str, purpose: str) -> str:
    """URL of a new, empty database beside the one of `server`; its name begins with the purpose."""
    name = f"{purpose}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


def drop_database(server: str, url: str) -> None:
    """Drop it, also when others are connected."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {urlsplit(url).path[1:]} with (force)")


@contextmanager
def fresh_database(server: str, purpose: str) -> Iterator[str]:
    """The same, dropped at the end."""
    url = create_database(server, purpose)
    try:
        yield url
    finally:
        drop_database(server, url)


@contextmanager
def migrated_database(server: str, purpose: str, **settings: Any) -> Iterator[Settings]:
    """Settings of one with the tables, dropped at the end."""
    with fresh_database(server, purpose) as url:
        of_it = Settings(database=url, **settings)
        migrate(of_it)
        yield of_it
