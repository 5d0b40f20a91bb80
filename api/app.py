"""The application: routes, guards, and what lives as long as the process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from starlette.exceptions import HTTPException

from carbonstream.api import (
    check_parameters,
    consistency,
    declarations,
    entities,
    explain,
    findings,
    freshness,
    health,
    locks,
    meters,
    notices,
    operating,
    operator_view,
    overview,
    problems,
    publications,
    readings,
    session,
    totals,
    warning_rules,
    warnings,
)
from carbonstream.api.auth import UsedCodes
from carbonstream.api.board_files import DIST, BoardFiles
from carbonstream.api.database import Commands, Database
from carbonstream.api.edge import Edge
from carbonstream.api.services import Services
from carbonstream.api.stream import route as stream
from carbonstream.api.stream.feed import Feed
from carbonstream.api.stream.hub import Hub
from carbonstream.api.stream.resume import Rereader
from carbonstream.connectors.database import command_pool, reading_pool
from carbonstream.schemas.settings import Settings

COMMAND_S: Final = 30  # an approval for 10,000 sites takes 1.2 s on a busy machine
ABOUT = """Reads of meters' CO2 by period, warnings, freshness, and a live stream; publishing of coefficients, and
operators' commands.

Figures are exact decimal strings: quantities in the carrier's base unit with three decimals, CO2 (kg) and
standard coal (kgce) with every digit; nothing is rounded. null means unknown, never zero. Times are local
(Asia/Shanghai); ranges are half-open. Errors are application/problem+json (RFC 9457) and name the field."""


def create_app(settings: Settings, *, now_ms: Callable[[], int] | None = None, board: Path = DIST) -> FastAPI:
    """The ASGI application. `now_ms`: the clock, UTC milliseconds; the wall clock where absent."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        hub = Hub()
        async with (
            reading_pool(settings, application="api") as pool,
            command_pool(settings, application="api commands", timeout_s=COMMAND_S) as commands,
        ):
            app.state.services = Services(
                settings,
                Database(pool),
                Commands(commands, COMMAND_S),
                hub,
                Rereader(settings),
                now_ms or wall_clock_ms,
                UsedCodes(settings.state_dir / "used-codes.json"),
            )
            feed = Feed(settings, hub)
            feed.start()
            try:
                yield
            finally:
                hub.close()
                await feed.stop()
                if (producer := app.state.services.producer) is not None:
                    await producer.close()

    app = FastAPI(
        title="Carbonstream",
        version="1",
        description=ABOUT,
        lifespan=lifespan,
        # the interactive pages load scripts from elsewhere, which the content security policy forbids
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # one address a resource; with a slash more it is not found, and says so
    )
    problems.install(app)
    app.include_router(health.router)
    app.include_router(session.router)
    app.include_router(_v1())
    app.mount("/", BoardFiles(board), name="board")
    app.add_middleware(Edge)
    return app


def _v1() -> APIRouter:
    """All of /v1 behind one guard, also what does not exist. A meter's readings come before the meter, and all
    else of warnings before a warning: ids have slashes.
    """
    guarded = APIRouter(prefix="/v1", dependencies=[Depends(session.authorised)])
    for resource in (
        totals, entities, readings, findings, meters, check_parameters, warning_rules, operating, operator_view,
        warnings, freshness, consistency, overview, stream, publications, locks, declarations, explain,
        notices,
    ):  # fmt: skip
        guarded.include_router(resource.router)
    guarded.include_router(operating.who)

    @guarded.get("/{path:path}", include_in_schema=False)
    async def nothing(path: str) -> None:
        raise HTTPException(404)

    return guarded


def wall_clock_ms() -> int:
    """UTC milliseconds now."""
    return time.time_ns() // 1_000_000
