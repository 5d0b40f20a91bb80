"""Reads from TimescaleDB, and commands: every answer within 2.8 s, or an error that becomes 503."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from carbonstream.api.problems import Problem

Row = TypeVar("Row")
ANSWER_S: Final = (
    2.8  # the standards give a user's request 3 s, so a database that hangs is told of within 3 s
)
CONNECT_S: Final = 2.0
RECONNECT_S: Final = (
    1.0  # give up soon and let the next request try: back-off would keep us away long after its return
)


class Database:
    """Typed reads over the pool of the role carbonstream_read. Each statement sees one snapshot.

    answer_s: how long whoever asks can wait.
    """

    def __init__(self, pool: AsyncConnectionPool, answer_s: float = ANSWER_S) -> None:
        self._pool, self._answer_s = pool, answer_s
        pool.reconnect_timeout = RECONNECT_S

    async def rows(self, kind: type[Row], sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows as `kind` (a dataclass with the columns' names).

        Raises psycopg.OperationalError, PoolTimeout or TimeoutError when the database does not answer in
        time; connections that a restarted server left dead are replaced first.
        """
        reading = asyncio.ensure_future(self._persistent(kind, sql, values))
        try:
            done, _ = await asyncio.wait({reading}, timeout=self._answer_s)
        except asyncio.CancelledError:
            _abandon(reading)
            raise
        if not done:
            # the driver may take 10 s more to give up a server that hangs: nobody waits for that
            _abandon(reading)
            raise TimeoutError(f"no answer within {self._answer_s} s")
        return reading.result()

    async def row(self, kind: type[Row], sql: str, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first row, None where there is none."""
        found = await self.rows(kind, sql, values)
        return found[0] if found else None

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Several statements that see the same state of the database. Raises TimeoutError after `answer_s`."""
        async with (
            asyncio.timeout(self._answer_s),
            self._pool.connection(CONNECT_S) as connection,
            connection.transaction(),
        ):
            await connection.execute("set transaction isolation level repeatable read")
            yield Snapshot(connection)

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


class Snapshot:
    """Typed reads within one transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def rows(self, kind: type[Row], sql: str, values: Mapping[str, Any] | None = None) -> list[Row]:
        """All rows as `kind`."""
        async with self._connection.cursor(row_factory=class_row(kind)) as cursor:
            await cursor.execute(sql, values)
            return await cursor.fetchall()


class Commands:
    """Calls of the functions that the role carbonstream_command may execute; each is one transaction.

    A call is never repeated by itself: it may have been committed though its answer was lost.
    """

    def __init__(self, pool: AsyncConnectionPool, answer_s: float = ANSWER_S) -> None:
        self._pool, self._answer_s = pool, answer_s

    async def call(self, sql: str, values: Mapping[str, Any]) -> Any:
        """The only value of `sql`. Raises Problem with what the function refuses (SQLSTATE CS and a status)."""
        try:
            async with asyncio.timeout(self._answer_s), self._pool.connection(CONNECT_S) as connection:
                row = await (await connection.execute(sql, values)).fetchone()
        except psycopg.Error as error:
            raise refusal(error) or error from error
        return row[0] if row else None


def refusal(error: psycopg.Error) -> Problem | None:
    """What a function of schemas/sql refused: SQLSTATE CS404, CS409 ... carries the status."""
    state = error.sqlstate or ""
    if not (state.startswith("CS") and state[2:].isdigit()):
        return None
    return Problem(int(state[2:]), error.diag.message_primary or str(error))


def _abandon(reading: asyncio.Future[Any]) -> None:
    reading.add_done_callback(lambda r: None if r.cancelled() else r.exception())
    reading.cancel()
