"""/health/live and /health/ready, for supervisors; without authorisation, as they tell no figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import psycopg
from fastapi import APIRouter, Response
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field

from carbonstream.api.parameters import Here
from carbonstream.connectors.migrations import FOLDER

router = APIRouter(tags=["health"])
KNOWN: Final = frozenset(file.stem for file in FOLDER.glob("*.sql"))
APPLIED: Final = "select migration_id from _yoyo_migration"


@dataclass(frozen=True, slots=True)
class _Applied:
    migration_id: str


class Live(BaseModel):
    """The process answers."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """Whether requests can be answered. Kafka away stops the stream alone, so it does not make the API
    unready.
    """

    status: Literal["ready", "unready"]
    database: str = Field(description="ready, away, or what is missing")
    kafka: Literal["up", "away"]


@router.get("/health/live")
async def live() -> Live:
    """200 as long as the process answers."""
    return Live()


@router.get("/health/ready", responses={503: {"model": Ready}})
async def ready(here: Here, response: Response) -> Ready:
    """200 when the database answers and its schema is migrated, else 503."""
    try:
        applied = {row.migration_id for row in await here.database.rows(_Applied, APPLIED)}
        missing = sorted(KNOWN - applied)
        database = f"schema lacks {', '.join(missing)}: run `carbonstream migrate`" if missing else "ready"
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        database = "no schema: run `carbonstream migrate`"
    except (psycopg.OperationalError, PoolTimeout, TimeoutError):
        database = "away"
    if database != "ready":
        response.status_code = 503
    return Ready(
        status="ready" if database == "ready" else "unready",
        database=database,
        kafka="up" if here.hub.kafka else "away",
    )
