"""The API's login of its own may read and nothing else, whatever it says to the server."""

from __future__ import annotations

import asyncio
import uuid
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from carbonstream.connectors.database import reading_pool
from carbonstream.schemas.settings import Settings


def test_a_login_for_reading_cannot_take_the_owners_rights_back(database: Settings) -> None:
    name, password = f"reader_{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    role = sql.Identifier(name)
    url = urlsplit(database.database)
    netloc = f"{name}:{password}@{url.netloc.rpartition('@')[2]}"
    reading = database.model_copy(update={"read_database": urlunsplit(url._replace(netloc=netloc))})

    async def read_and_try_to_write() -> tuple[int, str]:
        async with reading_pool(reading, application="test", size=1) as pool, pool.connection() as connection:
            row = await (await connection.execute("select count(*) from meter")).fetchone()
            assert row is not None
            await connection.execute("reset role")
            await connection.execute("set default_transaction_read_only = off")
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
                await connection.execute("delete from meter")
            return row[0], str(refused.value)

    with psycopg.connect(database.database, autocommit=True) as owner:
        owner.execute(sql.SQL("create role {} login password {}").format(role, sql.Literal(password)))
        try:
            owner.execute(sql.SQL("grant carbonstream_read to {}").format(role))
            meters, refusal = asyncio.run(read_and_try_to_write())
        finally:
            owner.execute(sql.SQL("drop role {}").format(role))
    assert meters > 0
    assert "permission denied" in refusal
