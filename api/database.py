"""Reads from TimescaleDB: every answer within 2.8 s, or an error that becomes 503."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

Row = TypeVar("Row")
ANSWER_S: Final = (
    2.8  # the standards give a user's request 3 s, so a database that hangs is told of within 3 s
)
CONNECT_S: Final = 2.0
RECONNECT_S: Final = (
    1.0  # give up soon and let the next request try: back-off would keep us away long after its return
)


class Database:
    """Typed reads over the pool of the role carbonstream_read. Each statement sees one snapshot."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool
        pool.reconnect_timeout = RECONNECT_S

    async def rows(self, kind: type[Row], sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows as `kind` (a dataclass with the columns' names).

        Raises psycopg.OperationalError, PoolTimeout or TimeoutError when the database does not answer in
        2.8 s; connections that a restarted server left dead are replaced first.
        """
        reading = asyncio.ensure_future(self._persistent(kind, sql, values))
        try:
            done, _ = await asyncio.wait({reading}, timeout=ANSWER_S)
        except asyncio.CancelledError:
            _abandon(reading)
            raise
        if not done:
            # the driver may take 10 s more to give up a server that hangs: nobody waits for that
            _abandon(reading)
            raise TimeoutError(f"no answer within {ANSWER_S} s")
        return reading.result()

    async def row(self, kind: type[Row], sql: str, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row, None where there is none."""
        found = await self.rows(kind, sql, values)
        return found[0] if found else None

    async def _persistent(self, kind: type[Row], sql: str, values: Mapping[str, Any] | None) -> list[Row]:
        try:
            return await self._rows(kind, sql, values)
        except psycopg.OperationalError as error:
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise
            await self._pool.check()
            return await self._rows(kind, sql, values)

    async def _rows(self, kind: type[Row], sql: str, values: Mapping[str, Any] | None) -> list[Row]:
        async with (
            self._pool.connection(CONNECT_S) as connection,
            connection.cursor(row_factory=class_row(kind)) as cursor,
        ):
            await cursor.execute(sql, values)
            return await cursor.fetchall()


def _abandon(reading: asyncio.Future[Any]) -> None:
    reading.add_done_callback(lambda r: None if r.cancelled() else r.exception())
    reading.cancel()
