"""TimescaleDB: connections and the binary COPY format."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

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
    except psycopg.OperationalError as error:
        raise NotReady(f"the database does not answer ({error}); start it with `carbonstream local up`") from error


@asynccontextmanager
async def reading_pool(settings: Settings, *, application: str, size: int = 8) -> AsyncIterator[AsyncConnectionPool]:
    """A pool whose connections may only read (role carbonstream_read, read-only transactions)."""
    pool = AsyncConnectionPool(
        settings.database,
        min_size=1,
        max_size=size,
        open=False,
        timeout=3.0,
        kwargs={
            "application_name": f"carbonstream {application}",
            "autocommit": True,
            "options": "-c role=carbonstream_read -c default_transaction_read_only=on -c statement_timeout=10000",
        },
    )
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


def binary_rows(columns: list[tuple[NDArray[np.int64], int]], nulls: dict[int, NDArray[np.bool_]] | None = None) -> bytes:
    """Rows in the binary COPY format, without header and trailer.

    columns: (values int64[n], width in bytes 2, 4 or 8), big-endian on the wire. nulls: column number ->
    bool[n], True where NULL; at most one column may have NULLs.
    """
    n = len(columns[0][0])
    fields: list[tuple[str, str]] = [("count", ">i2")]
    for i, (_, width) in enumerate(columns):
        fields += [(f"l{i}", ">i4"), (f"v{i}", f">i{width}")]
    rows = np.empty(n, np.dtype(fields))
    rows["count"] = len(columns)
    for i, (values, width) in enumerate(columns):
        rows[f"l{i}"] = width
        rows[f"v{i}"] = values
    if not nulls:
        return rows.tobytes()
    ((column, null),) = nulls.items()
    if not null.any():
        return rows.tobytes()
    # a NULL is length -1 and no bytes: cut the value's bytes out of those rows
    rows[f"l{column}"][null] = -1
    size, width = rows.dtype.itemsize, columns[column][1]
    at = rows.dtype.fields[f"v{column}"][1]  # type: ignore[index]
    keep = np.ones((n, size), np.bool_)
    keep[null, at : at + width] = False
    return rows.view(np.uint8).reshape(n, size)[keep].tobytes()


def pg_time(ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """UTC ms as PostgreSQL's microseconds since 2000."""
    return (ms - PG_EPOCH_MS) * 1_000
