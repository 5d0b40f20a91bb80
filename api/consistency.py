"""GET /v1/consistency: the history of the indicators of T/CES 6.4.3. GET /v1/sum-checks: meters and their children."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.decimals import exact_text, optional_text, quantity_text
from carbonstream.api.freshness import ALL
from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES, Problem
from carbonstream.api.ranges import Range, parse_range, period_of
from carbonstream.processors.consistency import BY_ID
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, SHANGHAI, local_text, to_datetime

router = APIRouter(tags=["consistency"], responses=RESPONSES)
LAST_DAYS: Final = 7  # without `from`: these, today among them
SQL: Final = """
select c.indicator, c.period, c.part, c.whole, c.value, c.unit, c.target, c.met, c.closed, c.at
from consistency c
where c.entity = %(entity)s and c.period >= %(from)s and c.period < %(to)s
  and (%(indicator)s::text is null or c.indicator = %(indicator)s)
order by c.period, c.indicator
"""
ENTITY: Final = "select id from entity where id = %(entity)s"
SUM_CHECKS: Final = """
select s.parent, s.day, c.id as carrier, c.base_unit as unit, s.supplied, s.accounted, s.children, s.verdict, s.at
from sum_check s join meter m on m.meter_id = s.parent join carrier c on c.number = m.carrier
where s.day >= %(from)s and s.day < %(to)s and (%(site)s::text is null or m.site_id = %(site)s)
order by s.day, s.parent
"""


class ConsistencyQuery(Parameters):
    """Whose, which, when."""

    entity: Text = Field(ALL, examples=["enterprise:ENT-1"])
    indicator: Text | None = Field(None, examples=["timeliness"])
    from_: Text | None = Field(None, alias="from", description="default: the last seven days")
    to: Text | None = None


class SumChecksQuery(Parameters):
    """Whose, when."""

    site: Text | None = Field(None, description="of parent meters of this site", examples=["330502-0001"])
    from_: Text | None = Field(None, alias="from", description="default: the last seven days")
    to: Text | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    indicator: str
    period: date
    part: Decimal
    whole: Decimal
    value: Decimal | None
    unit: str
    target: Decimal
    met: bool | None
    closed: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class _Entity:
    id: str


@dataclass(frozen=True, slots=True)
class _SumCheck:
    parent: str
    day: date
    carrier: str
    unit: str
    supplied: int
    accounted: int
    children: int
    verdict: str
    at: datetime


class Value(BaseModel):
    """An indicator of one local day."""

    indicator: str = Field(examples=["timeliness"])
    name_zh: str = Field(examples=["数据更新及时性"])
    name_en: str = Field(examples=["data in time"])
    day: str = Field(examples=["2024-03-10"])
    part: str = Field(description="exact numerator")
    whole: str = Field(description="exact denominator; for unit % the value is part / whole x 100")
    value: str | None = Field(
        description="rounded to 4 decimals; null: nothing to judge", examples=["99.8500"]
    )
    unit: str = Field(description="% or h")
    aim: str = Field(description="at_least, at_most or below the target")
    target: str = Field(examples=["95"])
    met: bool | None = Field(description="decided exactly; null: nothing to judge")
    closed: bool = Field(description="false: the day goes on")
    at: str = Field(description="the clock of the stored readings when it was computed")
    clause: str = Field(examples=["T/CES 6.4.3"])


class History(BaseModel):
    """The days of one entity."""

    entity: str
    values: list[Value]


class SumCheck(BaseModel):
    """A parent meter's closed day against its children."""

    parent: str
    day: str
    carrier: str
    unit: str
    supplied: str = Field(description="the parent's quantity and its children's own generation")
    accounted: str = Field(description="what the other children measured")
    difference: str
    children: int
    verdict: str = Field(description="within 2 %; short: too little accounted; over: too much; incomplete")
    at: str


class SumChecks(BaseModel):
    """Sum checks by day."""

    sum_checks: list[SumCheck]


@router.get("/consistency")
async def consistency(query: Annotated[ConsistencyQuery, Query()], here: Here) -> History:
    """Indicators and checks of an entity by local day, oldest first."""
    if query.indicator is not None and query.indicator not in BY_ID:
        raise Problem(
            422,
            f"no indicator {query.indicator!r}",
            field="indicator",
            remedy=f"take one of {', '.join(BY_ID)}",
        )
    if await here.database.row(_Entity, ENTITY, {"entity": query.entity}) is None:
        raise Problem(
            404, f"no entity {query.entity!r}", field="entity", remedy="GET /v1/entities lists what there is"
        )
    days = _days(query.from_, query.to, here.now_ms())
    rows = await here.database.rows(_Row, SQL, {"entity": query.entity, "indicator": query.indicator, **days})
    return History(entity=query.entity, values=[_shown(row) for row in rows])


@router.get("/sum-checks")
async def sum_checks(query: Annotated[SumChecksQuery, Query()], here: Here) -> SumChecks:
    """Parent meters against their children, by closed local day."""
    days = _days(query.from_, query.to, here.now_ms())
    rows = await here.database.rows(_SumCheck, SUM_CHECKS, {"site": query.site, **days})
    return SumChecks(
        sum_checks=[
            SumCheck(
                parent=row.parent,
                day=row.day.isoformat(),
                carrier=row.carrier,
                unit=row.unit,
                supplied=quantity_text(row.supplied),
                accounted=quantity_text(row.accounted),
                difference=quantity_text(row.supplied - row.accounted),
                children=row.children,
                verdict=row.verdict,
                at=local_text(row.at),
            )
            for row in rows
        ]
    )


def _days(from_: str | None, to: str | None, now_ms: int) -> dict[str, date]:
    today = period_of(Grain.DAY, now_ms)
    within = parse_range(from_, to, Range(today.start - (LAST_DAYS - 1) * DAY_MS, today.end))
    return {
        "from": to_datetime(within.start).astimezone(SHANGHAI).date(),
        "to": to_datetime(within.end).astimezone(SHANGHAI).date(),
    }


def _shown(row: _Row) -> Value:
    indicator = BY_ID[row.indicator]
    return Value(
        indicator=row.indicator,
        name_zh=indicator.name_zh,
        name_en=indicator.name_en,
        day=row.period.isoformat(),
        part=exact_text(row.part),
        whole=exact_text(row.whole),
        value=optional_text(row.value),
        unit=row.unit,
        aim=indicator.aim.value,
        target=exact_text(row.target),
        met=row.met,
        closed=row.closed,
        at=local_text(row.at),
        clause=f"T/CES {indicator.clause}",
    )
