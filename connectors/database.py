"""TimescaleDB: connections and the binary COPY format."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg_pool import AsyncConnectionPool

from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

PG_EPOCH_MS: Final = 946_684_800_000  # 2000-01-01T00:00Z, where PostgreSQL counts from
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = b"\xff\xff"


def connect(settings: Settings, *, application: str, autocommit: bool = False) -> psycopg.Connection:
    """A connection of the owner role. Raises NotReady with the remedy when the server does not answer."""
    try:
        return psycopg.connect(
            settings.database,
            autocommit=autocommit,
            application_name=f"carbonstream {application}",
            connect_timeout=10,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        )
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:  # the latter: no address at all
        raise NotReady(
            f"the database does not answer ({error}); start it with `carbonstream local up`"
        ) from error


def command_connection(settings: Settings, *, application: str, timeout_s: int = 2) -> psycopg.Connection:
    """A connection of the role carbonstream_command, in autocommit. Raises OperationalError where none can be had."""
    return psycopg.connect(
        settings.database,
        autocommit=True,
        application_name=f"carbonstream {application}",
        connect_timeout=2,  # the least that libpq takes
        options=f"-c role=carbonstream_command -c statement_timeout={timeout_s}s",
    )


@asynccontextmanager
async def reading_pool(
    settings: Settings, *, application: str, size: int = 8, timeout_s: int = 10
) -> AsyncIterator[AsyncConnectionPool]:
    """A pool whose connections may only read (role carbonstream_read, read-only transactions).

    With the setting read_database they also log in without any right to write.
    """
    options = "-c role=carbonstream_read -c default_transaction_read_only=on"
    database = settings.read_database or settings.database
    async with _pool(database, application, size, options, timeout_s) as pool:
        yield pool


@asynccontextmanager
async def command_pool(
    settings: Settings, *, application: str, timeout_s: int = 10
) -> AsyncIterator[AsyncConnectionPool]:
    """A pool whose connections have the role carbonstream_command: its functions, and notices without their secrets."""
    async with _pool(settings.database, application, 2, "-c role=carbonstream_command", timeout_s) as pool:
        yield pool


@asynccontextmanager
async def _pool(
    database: str, application: str, size: int, options: str, timeout_s: int
) -> AsyncIterator[AsyncConnectionPool]:
    pool = AsyncConnectionPool(
        database,
        min_size=1,
        max_size=size,
        open=False,
        timeout=3.0,
        reconnect_timeout=1.0,  # the default backs off for minutes: an API must be back with its database
        kwargs={
            "application_name": f"carbonstream {application}",
            "autocommit": True,
            "options": f"{options} -c statement_timeout={timeout_s}s",
        },
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def one_row(
    connection: psycopg.Connection, statement: LiteralString, values: Sequence[Any] = ()
) -> tuple[Any, ...]:
    """The only row of a query that always gives one. Raises LookupError where it gave none."""
    row = connection.execute(statement, values).fetchone()
    if row is None:
        raise LookupError(f"no row: {statement}")
    return row


def integers(values: NDArray[np.int64] | Iterable[int]) -> str:
    """An array parameter as PostgreSQL's text; psycopg's own way looks at every element in Python."""
    return "{" + ",".join(map(str, values.tolist() if isinstance(values, np.ndarray) else values)) + "}"


def texts(values: Iterable[str]) -> str:
    """The same of texts."""
    return "{" + ",".join('"' + v.replace("\\", r"\\").replace('"', r"\"") + '"' for v in values) + "}"


def binary_rows(columns: list[tuple[NDArray[np.int64], int]], nullable: int | None = None) -> bytes:
    """Rows in the binary COPY format, without header and trailer; in no particular order.

    columns: (values int64[n], width in bytes 2, 4 or 8), big-endian on the wire.
    nullable: number of the column whose negative values mean NULL.
    """
    if nullable is None:
        return _binary(columns, None)
    null = columns[nullable][0] < 0
    if not null.any():
        return _binary(columns, None)
    if null.all():
        return _binary(columns, nullable)
    with_value, without = np.flatnonzero(~null), np.flatnonzero(null)
    return _binary([(v[with_value], w) for v, w in columns], None) + _binary(
        [(v[without], w) for v, w in columns], nullable
    )


def _binary(columns: list[tuple[NDArray[np.int64], int]], null: int | None) -> bytes:
    """Rows of one shape; column `null` has length -1 and no bytes."""
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for i, (_, width) in enumerate(columns):
        fields.append((f"l{i}", ">i4"))
        if i != null:
            fields.append((f"v{i}", f">i{width}"))
    dtype = np.dtype(fields)
    template = np.zeros(1, dtype)
    template["count"] = len(columns)
    for i, (_, width) in enumerate(columns):
        template[f"l{i}"] = -1 if i == null else width
    rows = np.repeat(template, len(columns[0][0]))
    for i, (values, _) in enumerate(columns):
        if i != null:
            rows[f"v{i}"] = values
    return rows.tobytes()


def pg_time(ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """UTC ms as PostgreSQL's microseconds since 2000."""
    return (ms - PG_EPOCH_MS) * 1_000
