"""GET /v1/totals: an entity's quantities, CO2 and standard coal by period."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from carbonstream.api.coefficients import Coefficient, months_between
from carbonstream.api.decimals import exact_text, optional_text, quantity_text
from carbonstream.api.declared import add_declared
from carbonstream.api.parameters import Here, Parameters, Text, parse_as_of
from carbonstream.api.problems import RESPONSES
from carbonstream.api.ranges import Range, buckets_in, parse_range, period_of
from carbonstream.api.services import Services
from carbonstream.api.spans import entity_spans
from carbonstream.api.totalling import Tally, TotalRow, tallies, total_of
from carbonstream.processors.expectation import completeness
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import SHANGHAI, local_iso, next_bucket, to_datetime

router = APIRouter(tags=["totals"], responses=RESPONSES)
Exact = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["477325.090194"])]
GRAINS: Final = {g.name.lower(): g for g in Grain}
DEFAULT_PERIOD: Final = {Grain.HOUR: Grain.DAY, Grain.DAY: Grain.MONTH}  # the others: this year
SQL: Final = """
select entity, bucket, class as class_, carrier, readings, quantity, estimated, co2_kg, kgce, coefficient,
       coefficient_month, kgce_coefficient
from totals_of(%(entities)s, %(grain)s::smallint, %(from)s, %(to)s, %(as_of)s)
"""


class TotalsQuery(Parameters):
    """What is asked for."""

    entity: Text = Field(examples=["enterprise:ENT-1"])
    grain: Literal["hour", "day", "month", "quarter", "year"] = "day"
    from_: Text | None = Field(None, alias="from", examples=["2024-01"])
    to: Text | None = Field(None, examples=["2025-01"])
    indicator: Literal["all", "co2", "energy"] = "all"
    as_of: Text | None = Field(None, description="coefficients as published by then", examples=["2025-12-30"])


class Quantity(BaseModel):
    """One carrier's quantity."""

    value: Exact = Field(examples=["959640.310"])
    unit: str = Field(examples=["kWh"])
    estimated: Exact = Field(description="how much of the value is estimated", examples=["0.000"])
    declared: Exact = Field(
        description="how much of the value was declared, not measured", examples=["0.000"]
    )


class Figures(BaseModel):
    """Quantities and emissions of one or more buckets."""

    readings: int
    expected: int = Field(description="readings due in the whole period by the meters' validity")
    completeness: float | None = Field(
        description="readings / expected, cut to 4 decimals; null where none is due"
    )
    quantity: dict[str, Quantity] = Field(description="by carrier")
    co2_kg: Exact | None = Field(None, description="null where unknown; left out with indicator=energy")
    kgce: Exact | None = Field(None, description="null where unknown; left out with indicator=co2")
    missing_coefficients: list[str] = Field(description="carriers without a CO2 coefficient: co2_kg is null")
    missing_calorific: list[str] = Field(description="carriers without a calorific coefficient: kgce is null")
    provisional: bool = Field(
        description="may still change: not over, incomplete, estimated or without a coefficient"
    )


class Period(BaseModel):
    """Which local period."""

    bucket: str = Field(description="its start", examples=["2024-01-01T00:00:00+08:00"])


class Bucket(Figures, Period):
    """One local period's figures."""


class UsedCoefficient(BaseModel):
    """A coefficient behind these figures."""

    id: int
    carrier: str
    kind: str = Field(description="calorific: kgce; any other: kg CO2", examples=["electricity_average"])
    scope: str = Field(examples=["region:330000"])
    month: str = Field(description="month it was published for", examples=["2023-01"])
    value: Exact = Field(examples=["0.4974"])
    unit: str = Field(examples=["kgCO2/kWh"])
    document: str
    data_year: int | None
    published_at: str
    carried_months_max: int = Field(description="most months it was carried past its own month")


class Totals(BaseModel):
    """An entity's totals."""

    entity: str
    grain: str
    as_of: str | None
    unit: dict[str, str] = Field(examples=[{"co2": "kg", "energy": "kgce"}])
    buckets: list[Bucket]
    sum: Figures
    coefficients: list[UsedCoefficient]


@router.get("/totals", response_model=Totals)
async def totals(query: Annotated[TotalsQuery, Query()], here: Here) -> Response:
    """Buckets that start within [from, to), each whole; also those for which readings were due and none came.

    Quarters and years are sums of months. Figures are exact decimals: quantities with three decimals, CO2 and
    standard coal with every digit; nothing is rounded.
    """
    grain, now_ms = GRAINS[query.grain], here.now_ms()
    as_of = parse_as_of(query.as_of)
    starts = buckets_in(
        grain, parse_range(query.from_, query.to, period_of(DEFAULT_PERIOD.get(grain, Grain.YEAR), now_ms))
    )
    entity, spans = await entity_spans(here, query.entity)
    rows: list[TotalRow] = []
    whole = Range(0, 0)
    if len(starts):
        whole = Range(int(starts[0]), next_bucket(grain, int(starts[-1])))
        rows = await here.database.rows(
            TotalRow,
            SQL,
            {
                "entities": [entity],
                "grain": min(grain, Grain.MONTH),
                "from": to_datetime(whole.start),
                "to": to_datetime(whole.end),
                "as_of": as_of,
            },
        )
    by_bucket = tallies(rows, grain, starts, spans, now_ms)
    if by_bucket:
        await add_declared(here, entity, grain, whole, by_bucket)
    answer = Totals(
        entity=query.entity,
        grain=query.grain,
        as_of=None if query.as_of is None else as_of.astimezone(SHANGHAI).isoformat(),
        unit={"co2": "kg", "energy": "kgce"},
        buckets=[
            Bucket(bucket=local_iso(at), **figures(tally, query.indicator)) for at, tally in by_bucket.items()
        ],
        sum=Figures(**figures(total_of(by_bucket.values()), query.indicator)),
        coefficients=await used_coefficients(here, rows, query.indicator),
    )
    return Response(answer.model_dump_json(exclude_unset=True), media_type="application/json")


def figures(tally: Tally, indicator: str) -> dict[str, object]:
    """Fields of Figures; those of the indicator not asked for are left out."""
    fields: dict[str, object] = {
        "readings": tally.readings,
        "expected": tally.expected,
        "completeness": completeness(tally.readings, tally.expected),
        "quantity": {
            CARRIER_BY_NUMBER[c].id: {
                "value": quantity_text(q),
                "unit": CARRIER_BY_NUMBER[c].base_unit.value,
                "estimated": quantity_text(tally.estimated[c]),
                "declared": quantity_text(tally.declared.get(c, 0)),
            }
            for c, q in sorted(tally.quantity.items())
        },
        "missing_coefficients": [CARRIER_BY_NUMBER[c].id for c in sorted(tally.missing)],
        "missing_calorific": [CARRIER_BY_NUMBER[c].id for c in sorted(tally.missing_kgce)],
        "provisional": tally.provisional,
    }
    if indicator != "energy":
        fields["co2_kg"] = optional_text(tally.known_co2_kg)
    if indicator != "co2":
        fields["kgce"] = optional_text(tally.known_kgce)
    return fields


async def used_coefficients(here: Services, rows: list[TotalRow], indicator: str) -> list[UsedCoefficient]:
    """The coefficients of `rows` for the indicator, each with the most months it was carried."""
    newest: dict[int, TotalRow] = {}
    for row in rows:
        for id_ in (
            row.coefficient if indicator != "energy" else None,
            row.kgce_coefficient if indicator != "co2" else None,
        ):
            if id_ is not None and (id_ not in newest or newest[id_].bucket < row.bucket):
                newest[id_] = row
    known = await here.coefficients.look_up(here.database, newest)
    return [_used(known[i], newest[i]) for i in sorted(newest)]


def _used(coefficient: Coefficient, newest: TotalRow) -> UsedCoefficient:
    return UsedCoefficient(
        id=coefficient.id,
        carrier=coefficient.carrier,
        kind=coefficient.kind,
        scope=coefficient.scope,
        month=f"{coefficient.month:%Y-%m}",
        value=exact_text(coefficient.value),
        unit=coefficient.unit,
        document=coefficient.document,
        data_year=coefficient.data_year,
        published_at=coefficient.published_at.astimezone(SHANGHAI).isoformat(),
        carried_months_max=months_between(coefficient.month, newest.bucket.astimezone(SHANGHAI).date()),
    )
