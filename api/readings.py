"""GET /v1/meters/SITE/METER/readings and /emissions: stored intervals with their CO2.

A row carries no factor: its CO2 is its quantity times the coefficient in force for its month, resolved when
asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from carbonstream.api.coefficients import Coefficient, months_between
from carbonstream.api.decimals import EXACT, MILLI, exact_text, optional_text, quantity_text
from carbonstream.api.meters import MeterRow, find_meter
from carbonstream.api.parameters import Here, Parameters, PathText, Text, parse_as_of
from carbonstream.api.problems import RESPONSES, invalid
from carbonstream.api.ranges import Range, parse_range, parse_time, period_of
from carbonstream.api.services import Services
from carbonstream.schemas.carriers import CARRIER_BY_ID
from carbonstream.schemas.codes import Grain, RowFlag
from carbonstream.schemas.periods import HOUR_MS, SHANGHAI, local_text, to_datetime

router = APIRouter(tags=["meters"], responses=RESPONSES)

# A row is cut at hour borders, so one that starts in [from, to) ends within [from, to + 1 h]: the bounds on
# `time` let the chunks outside be skipped.
ROWS: Final = """
select r.start, r.time as end, r.quantity, r.raw_index, r.quality, r.flags,
       date_trunc('month', r.start at time zone 'Asia/Shanghai')::date as month
from reading r
where r.meter = %(meter)s and r.time >= %(from)s and r.time <= %(latest)s and r.time > %(after)s
  and r.start >= %(from)s and r.start < %(to)s
order by r.time limit %(limit)s
"""
IN_FORCE: Final = """
select m.month, k.id as coefficient
from meter t
join site s using (site_id)
join carrier c on c.number = t.carrier
cross join unnest(%(months)s::date[]) as m (month)
cross join lateral coefficient_for(s.class, t.carrier, c.co2_kind, m.month, %(as_of)s) k
where t.number = %(meter)s
"""
BEFORE_ALL: Final = datetime(1999, 1, 1, tzinfo=SHANGHAI)


class ReadingsQuery(Parameters):
    """Which readings; without from and to, today's."""

    from_: Text | None = Field(None, alias="from", examples=["2024-03-05"])
    to: Text | None = Field(None, examples=["2024-03-06"])
    limit: int = Field(1_000, ge=1, le=10_000)
    after: Text | None = Field(None, description="`next` of the page before")
    as_of: Text | None = Field(None, description="coefficients as published by then")


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """A stored row. `month`: the local month it starts in."""

    start: datetime
    end: datetime
    quantity: int
    raw_index: int | None
    quality: int
    flags: int
    month: date


@dataclass(frozen=True, slots=True)
class _InForce:
    month: date
    coefficient: int


class Emission(BaseModel):
    """CO2 of one stored interval."""

    start: str = Field(examples=["2024-03-05T08:00:00+08:00"])
    end: str = Field(examples=["2024-03-05T08:15:00+08:00"])
    co2_kg: str | None = Field(description="exact; null where no coefficient is known", examples=["1.576758"])
    coefficient: int | None = Field(description="key into `coefficients`")


class Reading(Emission):
    """One stored interval."""

    quantity: str = Field(examples=["3.170"])
    raw_index: str | None = Field(
        description="a register's index at the end, before the multiplier; else null"
    )
    quality: int = Field(description="Green Button ESPI: 0 valid, 8 reference day, 9 interpolated ...")
    apportioned: bool = Field(description="a part of a reading that crossed a local hour")
    declared: bool = Field(description="a part of an amount that was declared, not measured")
    edited: bool = Field(
        description="stands in the place of what was stored before; /v1/explain/reading tells why"
    )
    void: bool = Field(description="what stood here was struck or withdrawn: no energy, no reading")


class InForce(BaseModel):
    """A coefficient behind these rows."""

    scope: str
    month: str
    value: str = Field(examples=["0.4974"])
    unit: str
    document: str
    published_at: str
    carried_months: int = Field(description="most months it was carried past its own month in these rows")


class Emissions(BaseModel):
    """One page of a meter's emissions."""

    meter: str
    unit: str = Field(description="of co2_kg", examples=["kg"])
    rows: list[Emission]
    coefficients: dict[str, InForce]
    next: str | None = Field(description="pass as `after` for the next page; null: this is the last")


class Readings(BaseModel):
    """One page of a meter's readings."""

    meter: str
    unit: str = Field(description="of quantity: the carrier's base unit", examples=["kWh"])
    rows: list[Reading]
    coefficients: dict[str, InForce]
    next: str | None = Field(description="pass as `after` for the next page; null: this is the last")


@router.get("/meters/{meter_id:path}/readings", response_model=Readings)
async def readings(meter_id: PathText, query: Annotated[ReadingsQuery, Query()], here: Here) -> Response:
    """Intervals that start within [from, to), in the order of their ends, each with its CO2 and its
    coefficient.
    """
    meter, rows, in_force, book, following = await _page(here, meter_id, query)
    answer = Readings(
        meter=meter_id,
        unit=CARRIER_BY_ID[meter.carrier].base_unit.value,
        rows=[
            Reading(
                start=local_text(row.start),
                end=local_text(row.end),
                quantity=quantity_text(row.quantity),
                raw_index=None if row.raw_index is None else quantity_text(row.raw_index),
                quality=row.quality,
                co2_kg=_co2(row, in_force, book),
                coefficient=in_force.get(row.month),
                apportioned=bool(row.flags & RowFlag.APPORTIONED),
                declared=bool(row.flags & RowFlag.DECLARED),
                edited=bool(row.flags & RowFlag.EDITED),
                void=bool(row.flags & RowFlag.VOID),
            )
            for row in rows
        ],
        coefficients=_named(in_force, book),
        next=following,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/meters/{meter_id:path}/emissions", response_model=Emissions)
async def emissions(meter_id: PathText, query: Annotated[ReadingsQuery, Query()], here: Here) -> Response:
    """The same rows as `readings`, their CO2 alone."""
    _, rows, in_force, book, following = await _page(here, meter_id, query)
    answer = Emissions(
        meter=meter_id,
        unit="kg",
        rows=[
            Emission(
                start=local_text(row.start),
                end=local_text(row.end),
                co2_kg=_co2(row, in_force, book),
                coefficient=in_force.get(row.month),
            )
            for row in rows
        ],
        coefficients=_named(in_force, book),
        next=following,
    )
    return Response(answer.model_dump_json(), media_type="application/json")


Page = tuple[MeterRow, list[ReadingRow], dict[date, int], dict[int, Coefficient], str | None]


async def _page(here: Services, meter_id: str, query: ReadingsQuery) -> Page:
    """Meter, rows, the coefficient in force by month, those coefficients, and the cursor of the next page."""
    within = parse_range(query.from_, query.to, period_of(Grain.DAY, here.now_ms()))
    after, as_of = _cursor(query.after), parse_as_of(query.as_of)
    meter = await find_meter(here, meter_id)
    found = await here.database.rows(
        ReadingRow,
        ROWS,
        {"meter": meter.number, "after": after, "limit": query.limit + 1, **_bounds(within)},
    )
    rows = found[: query.limit]
    in_force: dict[date, int] = {}
    if months := sorted({row.month for row in rows}):
        resolved = await here.database.rows(
            _InForce, IN_FORCE, {"meter": meter.number, "months": months, "as_of": as_of}
        )
        in_force = {r.month: r.coefficient for r in resolved}
    book = dict(await here.coefficients.look_up(here.database, in_force.values()))
    following = local_text(rows[-1].end) if len(found) > query.limit else None
    return meter, rows, in_force, book, following


def _bounds(within: Range) -> dict[str, datetime]:
    return {
        "from": to_datetime(within.start),
        "to": to_datetime(within.end),
        "latest": to_datetime(within.end + HOUR_MS),
    }


def _cursor(after: str | None) -> datetime:
    if after is None:
        return BEFORE_ALL
    at = parse_time(after, "after")
    if at.end > at.start:
        raise invalid("after", f"{after!r} is not a cursor", "pass `next` of the page before, unchanged")
    return to_datetime(at.start)


def _co2(row: ReadingRow, in_force: dict[date, int], book: dict[int, Coefficient]) -> str | None:
    id_ = in_force.get(row.month)
    if id_ is None:
        return None
    return optional_text(EXACT.multiply(EXACT.multiply(Decimal(row.quantity), book[id_].value), MILLI))


def _named(in_force: dict[date, int], book: dict[int, Coefficient]) -> dict[str, InForce]:
    newest = {id_: month for month, id_ in sorted(in_force.items())}
    return {
        str(id_): InForce(
            scope=book[id_].scope,
            month=f"{book[id_].month:%Y-%m}",
            value=exact_text(book[id_].value),
            unit=book[id_].unit,
            document=book[id_].document,
            published_at=local_text(book[id_].published_at),
            carried_months=months_between(book[id_].month, month),
        )
        for id_, month in newest.items()
    }
