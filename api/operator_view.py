"""What a control room asks of its warnings as a whole: health of the alarm system, hand-over of a shift."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.operator_shapes import (
    OperationRow,
    OperationShown,
    OperatorRow,
    StandingOf,
    operation_shown,
    standing_of,
)
from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES
from carbonstream.api.ranges import parse_time
from carbonstream.api.services import Services
from carbonstream.processors import alarm_health
from carbonstream.processors.alarm_health import Annunciation, Load
from carbonstream.processors.alarm_states import CLASS_NAMES, PRIORITY_NAMES
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, local_iso, local_text, to_datetime

router = APIRouter(prefix="/warnings", tags=["warnings"], responses=RESPONSES)
SPANS: Final = {"hour": HOUR_MS, "day": DAY_MS, "30 days": 30 * DAY_MS}
SHIFT: Final = timedelta(hours=12)
ALARMS: Final = "ids of warnings, of instant rules and common causes without the time of the episode"
MOST: Final = 200  # of each list of a hand-over; the counts are of all

ANNUNCIATIONS: Final = """
select o.key, (extract(epoch from w.at) * 1000)::bigint as at,
       w.class::int as class_, w.priority::int as priority
from warning_operation w join warning_operator o on o.id = w.warning where w.annunciates and w.at > %(since)s
"""
OPEN: Final = """
select key, (extract(epoch from min(raised_at)) * 1000)::bigint as raised_at from warning_operator
where active and state in ('active-unacked', 'active-acked') group by key
"""
COUNTS: Final = (
    "select state, count(*)::int as count from warning_operator where state <> 'normal' group by state"
)
PAST: Final = (
    "select count(*)::int as count from warning_operator where state = 'suppressed' and quiet = 'past'"
)
STANDING: Final = """
select id, entity, rule, state, change, class::int as class_, priority::int as priority, since, claimed_by, shelf,
       out_of_service, suppressed_by, parent
from warning_operator
where state = any (%(states)s) and quiet is distinct from 'past' and parent is null
order by rank, priority, class, since desc, id limit %(limit)s
"""
CHANGED: Final = """
select warning, change, operation, version, from_state, to_state, annunciates, at, by, why, command, until
from warning_operation
where at >= %(since)s and (to_state <> from_state or by is not null or operation = 'answer-overdue')
order by at desc, warning, change desc limit %(limit)s
"""
CHANGED_COUNTS: Final = """
select operation, count(*)::int as count from warning_operation where at >= %(since)s group by operation
"""
WINDOWS: Final = """
select id, entities, rules, start, "end", recurrence, by, why, in_force, changes_at from warning_suppression
where ended_at is null order by in_force desc, changes_at, id
"""


class FloodShown(BaseModel):
    """A flood."""

    start: str
    end: str
    annunciated: int


class LoadShown(BaseModel):
    """The load of one span on the operators. Rates: per operator position and 10 minutes."""

    annunciated: int
    rate_mean: float
    rate_max: float
    verdict: str = Field(description="acceptable (mean to 1), manageable (to 2), too much")
    floods: list[FloodShown]
    flood_percent: float
    chattering: list[str] = Field(description=f"3 times within a minute; {ALARMS}")
    top: list[dict[str, Any]] = Field(description=f"the ten that came most often; {ALARMS}")
    priority_percent: dict[str, float] = Field(description="aim: high 5, medium 15, low 80")
    class_percent: dict[str, float] = Field(description="alarm, alert, notice")


class Health(BaseModel):
    """Health of the alarm system (EEMUA 191, ISA-18.2 16)."""

    at: str
    operator_positions: int
    spans: dict[str, LoadShown]
    stale: list[str] = Field(
        description=f"active for more than 24 hours, the oldest first, 200 at most; {ALARMS}"
    )
    stale_count: int
    states: dict[str, int] = Field(description="how many warnings stand how, but for normal")


class Window(BaseModel):
    """A maintenance window or a suppression by rule."""

    id: str
    entities: list[str]
    rules: list[str]
    start: str | None
    end: str | None
    recurrence: str | None
    by: str
    why: str
    in_force: bool
    changes_at: str | None


class Handover(BaseModel):
    """What the next shift must know. Lists hold 200 at most, counts are of all."""

    since: str
    at: str
    counts: dict[str, int]
    past: int = Field(description="active, raised about the past: summarised, not annunciated")
    open: list[StandingOf] = Field(description="to be answered first, then those in hand")
    shelved: list[StandingOf]
    suppressed: list[StandingOf]
    out_of_service: list[StandingOf]
    suppressions: list[Window]
    changed: list[OperationShown] = Field(description="since then, the latest first")
    changed_counts: dict[str, int]


class HandoverQuery(Parameters):
    """Since when."""

    since: Text | None = Field(
        None, description="default: 12 hours ago", examples=["2026-11-02T08:00:00+08:00"]
    )


@dataclass(frozen=True, slots=True)
class _Open:
    key: str
    raised_at: int


@dataclass(frozen=True, slots=True)
class _Count:
    count: int


@dataclass(frozen=True, slots=True)
class _ByState:
    state: str
    count: int


@dataclass(frozen=True, slots=True)
class _ByOperation:
    operation: str
    count: int


@dataclass(frozen=True, slots=True)
class _Window:
    id: str
    entities: list[str]
    rules: list[str]
    start: datetime | None
    end: datetime | None
    recurrence: str | None
    by: str
    why: str
    in_force: bool
    changes_at: datetime | None


@router.get("/health")
async def health(here: Here) -> Health:
    """Load on the operators in the last hour, day and 30 days; stale warnings."""
    return await here.figures.get("alarm health", lambda: read_health(here))


@router.get("/handover")
async def handover(query: Annotated[HandoverQuery, Query()], here: Here) -> Handover:
    """What is open, shelved, suppressed, and what was done since."""
    now = to_datetime(here.now_ms())
    since = now - SHIFT if query.since is None else to_datetime(parse_time(query.since, "since").start)
    return await read_handover(here, since)


async def read_health(here: Services) -> Health:
    """As the route."""
    now, positions = here.now_ms(), here.settings.operator_positions
    since = to_datetime(now - max(SPANS.values()))
    found = await here.database.rows(Annunciation, ANNUNCIATIONS, {"since": since})
    open_ = await here.database.rows(_Open, OPEN)
    stale = alarm_health.stale(((row.key, row.raised_at) for row in open_), now)
    counts = await here.database.rows(_ByState, COUNTS)
    return Health(
        at=local_iso(now),
        operator_positions=positions,
        spans={name: _load(alarm_health.load(found, now, span, positions)) for name, span in SPANS.items()},
        stale=list(stale[:MOST]),
        stale_count=len(stale),
        states={row.state: row.count for row in counts},
    )


async def read_handover(here: Services, since: datetime) -> Handover:
    """As the route."""

    async def standing(*states: str) -> list[StandingOf]:
        values = {"states": list(states), "limit": MOST}
        return [standing_of(row) for row in await here.database.rows(OperatorRow, STANDING, values)]

    changes = await here.database.rows(OperationRow, CHANGED, {"since": since, "limit": MOST})
    counted = await here.database.rows(_ByOperation, CHANGED_COUNTS, {"since": since})
    past = await here.database.row(_Count, PAST)
    return Handover(
        since=local_text(since),
        at=local_iso(here.now_ms()),
        counts={row.state: row.count for row in await here.database.rows(_ByState, COUNTS)},
        past=past.count if past else 0,
        open=await standing("active-unacked", "cleared-unacked", "active-acked"),
        shelved=await standing("shelved"),
        suppressed=await standing("suppressed"),
        out_of_service=await standing("out-of-service"),
        suppressions=[_window(row) for row in await here.database.rows(_Window, WINDOWS)],
        changed=[operation_shown(row) for row in changes],
        changed_counts={row.operation: row.count for row in counted},
    )


def _load(found: Load) -> LoadShown:
    return LoadShown(
        annunciated=found.annunciated,
        rate_mean=round(found.rate_mean, 3),
        rate_max=round(found.rate_max, 3),
        verdict=found.verdict,
        floods=[
            FloodShown(start=local_iso(f.start), end=local_iso(f.end), annunciated=f.annunciated)
            for f in found.floods
        ],
        flood_percent=round(found.flood_percent, 3),
        chattering=list(found.chattering),
        top=[{"warning": id_, "annunciated": count} for id_, count in found.top],
        priority_percent={PRIORITY_NAMES[p]: round(share, 1) for p, share in found.priority_percent.items()},
        class_percent={CLASS_NAMES[c]: round(share, 1) for c, share in found.class_percent.items()},
    )


def _window(row: _Window) -> Window:
    def text(at: datetime | None) -> str | None:
        return None if at is None else local_text(at)

    return Window(
        id=row.id,
        entities=row.entities,
        rules=row.rules,
        start=text(row.start),
        end=text(row.end),
        recurrence=row.recurrence,
        by=row.by,
        why=row.why,
        in_force=row.in_force,
        changes_at=text(row.changes_at),
    )
