"""GET /v1/freshness: how old the newest reading is, how complete today is, how far each partition is
stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES, Problem
from carbonstream.api.ranges import period_of
from carbonstream.api.services import Services
from carbonstream.api.spans import entity_spans
from carbonstream.processors.expectation import completeness, readings_due, until
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import (
    HOUR_MS,
    SECOND_MS,
    local_iso,
    local_text,
    to_datetime,
    to_ms,
)

router = APIRouter(tags=["freshness"], responses=RESPONSES)
ALL: Final = "region:CN"
POSITIONS: Final = "select partition, tick_ms from position order by partition"
TODAY: Final = """
select coalesce(sum(readings), 0)::bigint as readings
from totals_of(array[%(entity)s]::int[], 2::smallint, %(from)s, %(to)s)
"""
# The newest hour with measured rows comes from the totals' key; only that hour's readings are then looked at, newest
# first.
NEWEST_HOUR: Final = """
select max(t.bucket) as at
from entity_part p
cross join lateral (
  select bucket from total_hour t where t.entity = p.part and t.readings > 0 order by bucket desc limit 1
) t
where p.entity = %(entity)s
"""
NEWEST_END: Final = """
select r.time as at from reading r where r.time >= %(from)s and r.time <= %(to)s and r.quality not in (8, 9)
order by r.time desc limit 1
"""
# An array is hashed once; as a join it would be looked up for each of the hour's rows.
NEWEST_END_OF: Final = """
select r.time as at from reading r
where r.time >= %(from)s and r.time <= %(to)s and r.quality not in (8, 9) and r.meter = any (array(
  select m.meter from entity_part p
  join site s on p.part in (s.entity, s.enterprise, s.park, s.class)
  join meter_counts m using (site_id)
  where p.entity = %(entity)s and m.levels <> 0))
order by r.time desc limit 1
"""


class FreshnessQuery(Parameters):
    """Of what; without entity, of everything."""

    entity: Text = ALL


@dataclass(frozen=True, slots=True)
class _Position:
    partition: int
    tick_ms: int


@dataclass(frozen=True, slots=True)
class _Readings:
    readings: int


@dataclass(frozen=True, slots=True)
class _At:
    at: datetime | None


class Partition(BaseModel):
    """How far one partition is stored."""

    partition: int
    tick_age_s: float | None = Field(description="age of the last stored tick; null: none yet")


class Freshness(BaseModel):
    """How fresh an entity's figures are."""

    entity: str
    newest_end: str | None = Field(description="end of the newest measured reading; null: none yet")
    age_s: float | None = Field(description="its age")
    stored_at_tick: str | None = Field(
        description="all readings up to this tick are stored (lowest of the partitions)"
    )
    readings_today: int
    expected_today: int = Field(description="readings due from local midnight until now")
    completeness_today: float | None
    partitions: list[Partition]
    live_meters: int = Field(description="boundary meters in service now, by their validity")


@router.get("/freshness")
async def freshness(query: Annotated[FreshnessQuery, Query()], here: Here) -> Freshness:
    """Freshness of an entity, or of everything; at most a second old."""
    return await freshness_of(here, query.entity)


async def freshness_of(here: Services, entity_id: str) -> Freshness:
    """Freshness of one entity. Raises Problem 404 where there is no such entity."""
    return await here.figures.get(f"freshness {entity_id}", lambda: _read(here, entity_id))


async def _read(here: Services, entity_id: str) -> Freshness:
    now_ms = here.now_ms()
    today = period_of(Grain.DAY, now_ms)
    try:
        entity, spans = await entity_spans(here, entity_id)
    except Problem:
        if entity_id != ALL:
            raise
        entity, spans = -1, []  # nothing is loaded yet
    positions = await here.database.rows(_Position, POSITIONS)
    bounds = {"entity": entity, "from": to_datetime(today.start), "to": to_datetime(today.end)}
    stored = await here.database.row(_Readings, TODAY, bounds)
    newest = await _newest_end(here, entity, everything=entity_id == ALL)
    readings = stored.readings if stored else 0
    expected = int(readings_due(np.array([today.start]), np.array([today.end]), until(spans, now_ms))[0])
    ticked = [p.tick_ms for p in positions if p.tick_ms > 0]
    return Freshness(
        entity=entity_id,
        newest_end=None if newest is None else local_text(newest),
        age_s=None if newest is None else (now_ms - to_ms(newest)) / SECOND_MS,
        stored_at_tick=local_iso(min(ticked)) if ticked else None,
        readings_today=readings,
        expected_today=expected,
        completeness_today=completeness(readings, expected),
        partitions=[
            Partition(
                partition=p.partition,
                tick_age_s=(now_ms - p.tick_ms) / SECOND_MS if p.tick_ms > 0 else None,
            )
            for p in positions
        ],
        live_meters=sum(
            s.meters for s in spans if s.valid_from <= now_ms and (s.valid_to is None or now_ms < s.valid_to)
        ),
    )


async def _newest_end(here: Services, entity: int, *, everything: bool) -> datetime | None:
    hour = await here.database.row(_At, NEWEST_HOUR, {"entity": entity})
    if hour is None or hour.at is None:
        return None
    start_ms = to_ms(hour.at)
    newest = await here.database.row(
        _At,
        NEWEST_END if everything else NEWEST_END_OF,
        {"entity": entity, "from": to_datetime(start_ms), "to": to_datetime(start_ms + HOUR_MS)},
    )
    return newest.at if newest else None
