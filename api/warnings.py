"""GET /v1/warnings: what targets were reached, now and before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.decimals import optional_text
from carbonstream.api.parameters import Here, Parameters, PathText, Text
from carbonstream.api.problems import RESPONSES, Problem, invalid
from carbonstream.api.ranges import parse_time
from carbonstream.schemas.periods import YEAR_2000_MS, local_text, to_datetime

router = APIRouter(tags=["warnings"], responses=RESPONSES)
COLUMNS: Final = """
select id, version, rule, entity, indicator, period, level, severity, state, bucket, backfill,
       snapshot, raised_at, changed_at
from warning
"""
LIST: Final = (
    COLUMNS
    + """
where (%(entity)s::text is null or entity = %(entity)s) and (%(state)s::text is null or state = %(state)s)
  and changed_at >= %(since)s
  and (%(before)s::timestamptz is null or (changed_at, id) < (%(before)s, %(before_id)s))
order by changed_at desc, id desc limit %(limit)s
"""
)
ONE: Final = COLUMNS + "where id = %(id)s"
HISTORY: Final = """
select version, state, bucket, backfill, changed_at, snapshot from warning_history
where id = %(id)s order by version
"""


class WarningsQuery(Parameters):
    """Which warnings."""

    entity: Text | None = Field(None, examples=["enterprise:ENT-1"])
    state: Literal["active", "cleared"] | None = None
    since: Text | None = Field(None, description="changed then or later", examples=["2024-03"])
    limit: int = Field(100, ge=1, le=1_000)
    after: Text | None = Field(None, description="`next` of the page before")


@dataclass(frozen=True, slots=True)
class WarningRow:
    """A warning as stored."""

    id: str
    version: int
    rule: str
    entity: str
    indicator: str
    period: date
    level: Decimal | None
    severity: str
    state: str
    bucket: datetime
    backfill: bool
    snapshot: Mapping[str, Any]
    raised_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class _Change:
    version: int
    state: str
    bucket: datetime
    backfill: bool
    changed_at: datetime
    snapshot: Mapping[str, Any]


class RaisedWarning(BaseModel):
    """The present state of one warning."""

    id: str = Field(description="rule:entity:indicator:period:level")
    version: int
    rule: str = Field(examples=["target-level"])
    entity: str
    indicator: str = Field(examples=["co2"])
    period: str = Field(description="first local day of the target's period", examples=["2024-01-01"])
    level: str | None = Field(examples=["90"])
    severity: str
    state: str
    bucket: str = Field(description="event time: the local hour or day in which it came true")
    backfill: bool = Field(description="raised about the past: summarised, not announced")
    snapshot: dict[str, Any] = Field(
        description="total, coefficients, target, rule version: enough to recompute it"
    )
    raised_at: str
    changed_at: str


class Change(BaseModel):
    """One change of a warning."""

    version: int
    state: str
    bucket: str
    backfill: bool
    changed_at: str
    snapshot: dict[str, Any]


class WarningDetail(RaisedWarning):
    """One warning and all its changes, oldest first."""

    history: list[Change]


class Warnings(BaseModel):
    """One page, the latest change first."""

    warnings: list[RaisedWarning]
    next: str | None = Field(description="pass as `after` for the next page; null: this is the last")


@router.get("/warnings")
async def warnings(query: Annotated[WarningsQuery, Query()], here: Here) -> Warnings:
    """Warnings, the latest change first."""
    before, before_id = _cursor(query.after)
    since = to_datetime(YEAR_2000_MS if query.since is None else parse_time(query.since, "since").start)
    rows = await here.database.rows(
        WarningRow,
        LIST,
        {
            "entity": query.entity,
            "state": query.state,
            "since": since,
            "before": before,
            "before_id": before_id,
            "limit": query.limit + 1,
        },
    )
    shown = rows[: query.limit]
    following = f"{shown[-1].changed_at.isoformat()}|{shown[-1].id}" if len(rows) > query.limit else None
    return Warnings(warnings=[RaisedWarning(**_fields(row)) for row in shown], next=following)


@router.get("/warnings/{warning_id:path}")
async def warning(warning_id: PathText, here: Here) -> WarningDetail:
    """One warning with its history."""
    row = await here.database.row(WarningRow, ONE, {"id": warning_id})
    if row is None:
        raise Problem(404, f"no warning {warning_id!r}", remedy="GET /v1/warnings lists them")
    history = [
        Change(
            version=change.version,
            state=change.state,
            bucket=local_text(change.bucket),
            backfill=change.backfill,
            changed_at=local_text(change.changed_at),
            snapshot=dict(change.snapshot),
        )
        for change in await here.database.rows(_Change, HISTORY, {"id": warning_id})
    ]
    return WarningDetail(**_fields(row), history=history)


def _fields(row: WarningRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "rule": row.rule,
        "entity": row.entity,
        "indicator": row.indicator,
        "period": row.period.isoformat(),
        "level": optional_text(row.level),
        "severity": row.severity,
        "state": row.state,
        "bucket": local_text(row.bucket),
        "backfill": row.backfill,
        "snapshot": dict(row.snapshot),
        "raised_at": local_text(row.raised_at),
        "changed_at": local_text(row.changed_at),
    }


def _cursor(after: str | None) -> tuple[datetime | None, str]:
    if after is None:
        return None, ""
    at, _, id_ = after.partition("|")
    try:
        before = datetime.fromisoformat(at)
        if before.tzinfo is None or not 2000 <= before.year < 2101:
            raise ValueError("out of range")
    except ValueError as error:
        raise invalid(
            "after", f"{after!r} is not a cursor", "pass `next` of the page before, unchanged"
        ) from error
    return before, id_
