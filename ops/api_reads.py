"""The API's reads and commands for a command line: the same functions, one request, more patience."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from carbonstream.api.app import wall_clock_ms
from carbonstream.api.database import Commands, Database
from carbonstream.api.services import Services
from carbonstream.api.stream.hub import Hub
from carbonstream.api.stream.resume import Rereader
from carbonstream.connectors.database import command_pool, connect, reading_pool
from carbonstream.schemas.settings import Settings

PATIENCE_S: Final = 300  # a year of a province is read to the end


@asynccontextmanager
async def services(settings: Settings) -> AsyncIterator[Services]:
    """What the routes' functions take. Raises NotReady where the database does not answer."""
    connect(settings, application="command").close()
    async with (
        reading_pool(settings, application="command", size=1, timeout_s=PATIENCE_S) as reads,
        command_pool(settings, application="command", timeout_s=PATIENCE_S) as commands,
    ):
        yield Services(
            settings,
            Database(reads, PATIENCE_S),
            Commands(commands, PATIENCE_S),
            Hub(),
            Rereader(settings),
            wall_clock_ms,
        )
