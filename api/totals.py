"""GET /v1/totals: an entity's quantities, CO2 and standard coal by period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from carbonstream.api.coefficients import Coefficient, months_between
from carbonstream.api.decimals import exact_text, optional_text, quantity_text
from carbonstream.api.declared import add_declared
from carbonstream.api.inferring import Inferred, by_bucket, sum_of
from carbonstream.api.parameters import Here, Parameters, Text, parse_as_of
from carbonstream.api.problems import RESPONSES
from carbonstream.api.ranges import Range, buckets_in, parse_range, period_of
from carbonstream.api.services import Services
from carbonstream.api.spans import entity_metering, entity_spans
from carbonstream.api.totalling import Tally, TotalRow, tallies, total_of
from carbonstream.processors.expectation import completeness, coverage
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import SHANGHAI, local_iso, local_text, next_bucket, to_datetime, to_ms

router = APIRouter(tags=["totals"], responses=RESPONSES)
Exact = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["477325.090194"])]
GRAINS: Final = {g.name.lower(): g for g in Grain}
DEFAULT_PERIOD: Final = {Grain.HOUR: Grain.DAY, Grain.DAY: Grain.MONTH}  # the others: this year
SQL: Final = """
select entity, bucket, class as class_, carrier, readings, quantity, estimated, co2_kg, kgce, coefficient,
       coefficient_month, kgce_coefficient
from totals_of(%(entities)s, %(grain)s::smallint, %(from)s, %(to)s, %(as_of)s)
"""
# with what is inferred, in one statement: both are resolved by the same coefficients
WITH_INFERRED: Final = """
select entity, bucket, class as class_, carrier, readings, quantity, estimated, co2_kg, kgce, coefficient,
       coefficient_month, kgce_coefficient, null::bigint as ratio
from totals_of(%(entities)s, %(grain)s::smallint, %(from)s, %(to)s, %(as_of)s)
union all
select entity, bucket, class, carrier, 0, quantity, 0, co2_kg, kgce, coefficient, null, kgce_coefficient, ratio
from inferred_of(%(entities)s, %(grain)s::smallint, %(from)s, %(to)s, %(as_of)s)
"""
# quantities too as they were known then
AS_OF: Final = WITH_INFERRED.replace("totals_of", "totals_as_of")


OLDEST_MISSING: Final = """
select since, start from oldest_missing(%(entities)s::int[], %(from)s::timestamptz[], %(to)s::timestamptz[])
"""


@dataclass(frozen=True, slots=True)
class _OldestMissing:
    since: datetime
    start: datetime


class TotalsQuery(Parameters):
    """What is asked for."""

    entity: Text = Field(examples=["enterprise:ENT-1"])
    grain: Literal["hour", "day", "month", "quarter", "year"] = "day"
    from_: Text | None = Field(None, alias="from", examples=["2024-01"])
    to: Text | None = Field(None, examples=["2025-01"])
    indicator: Literal["all", "co2", "energy"] = "all"
    as_of: Text | None = Field(
        None,
        description="coefficients published and corrections recorded by then",
        examples=["2025-12-30"],
    )


class Quantity(BaseModel):
    """One carrier's quantity."""

    value: Exact = Field(examples=["959640.310"])
    unit: str = Field(examples=["kWh"])
    estimated: Exact = Field(description="how much of the value is estimated", examples=["0.000"])
    declared: Exact = Field(
        description="how much of the value was declared, not measured", examples=["0.000"]
    )


class InferredQuantity(BaseModel):
    """One fuel's inferred quantity."""

    value: Exact
    unit: str


class InferredFigures(BaseModel):
    """Fuels inferred from electricity at sites that do not meter them; beside the metered figures, not in them."""

    quantity: dict[str, InferredQuantity]
    co2_kg: Exact | None
    kgce: Exact | None
    share: float | None = Field(description="of metered and inferred CO2 together, cut to 4 decimals")


class Figures(BaseModel):
    """Quantities and emissions of one or more buckets."""

    readings: int = Field(description="measured intervals; estimates are none")
    expected: int = Field(description="readings due in the whole period by the meters' validity")
    completeness: float | None = Field(
        description="readings / expected, cut to 4 decimals; null where none is due"
    )
    coverage: float | None = Field(
        description="share of the entity's sites that were metered in the period, the least where there are several; "
        "null where it has none"
    )
    estimated_share: float | None = Field(
        description="share that is estimated, rounded up to 4 decimals; of the CO2 where there are several carriers"
    )
    oldest_missing: str | None = Field(
        description="start of the oldest interval of an interval meter known to be missing; null: none"
    )
    quantity: dict[str, Quantity] = Field(description="by carrier")
    co2_kg: Exact | None = Field(None, description="null where unknown; left out with indicator=energy")
    kgce: Exact | None = Field(None, description="null where unknown; left out with indicator=co2")
    missing_coefficients: list[str] = Field(description="carriers without a CO2 coefficient: co2_kg is null")
    missing_calorific: list[str] = Field(description="carriers without a calorific coefficient: kgce is null")
    provisional: bool = Field(
        description="may still change: not over, incomplete, estimated or without a coefficient"
    )
    inferred: InferredFigures | None = Field(None, description="left out where nothing is inferred")


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

    async def page() -> bytes:
        return (await read_totals(query, here)).model_dump_json(exclude_unset=True).encode()

    content = await here.running.get(f"totals {query.model_dump_json()}", page)
    return Response(content, media_type="application/json")


async def read_totals(query: TotalsQuery, here: Services) -> Totals:
    """As the route answers."""
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
            WITH_INFERRED if query.as_of is None else AS_OF,
            {
                "entities": [entity],
                "grain": min(grain, Grain.MONTH),
                "from": to_datetime(whole.start),
                "to": to_datetime(whole.end),
                "as_of": as_of,
            },
        )
    metered, inferred = [r for r in rows if r.ratio is None], [r for r in rows if r.ratio is not None]
    tallied = tallies(metered, grain, starts, spans, now_ms)
    inferred_at = by_bucket(inferred, grain)
    if tallied:
        await add_declared(here, entity, grain, whole, tallied)
    metering = await entity_metering(here, query.entity)
    missing = await _missing(here, entity, grain, tallied)
    for at, tally in tallied.items():
        tally.coverage = coverage(at, next_bucket(grain, at), metering)
        tally.oldest_missing = missing.get(at)
    return Totals(
        entity=query.entity,
        grain=query.grain,
        as_of=None if query.as_of is None else local_text(as_of),
        unit={"co2": "kg", "energy": "kgce"},
        buckets=[
            Bucket(bucket=local_iso(at), **figures(tally, query.indicator, inferred_at.get(at)))
            for at, tally in tallied.items()
        ],
        sum=Figures(
            **figures(total_of(tallied.values()), query.indicator, sum_of(inferred) if inferred else None)
        ),
        coefficients=await used_coefficients(here, rows, query.indicator),
    )


async def _missing(here: Services, entity: int, grain: Grain, buckets: dict[int, Tally]) -> dict[int, int]:
    """Start of the oldest missing interval by bucket, UTC ms."""
    incomplete = [at for at, tally in buckets.items() if tally.readings < tally.expected]
    if not incomplete:
        return {}
    asked = {
        "entities": [entity] * len(incomplete),
        "from": [to_datetime(at) for at in incomplete],
        "to": [to_datetime(next_bucket(grain, at)) for at in incomplete],
    }
    rows = await here.database.rows(_OldestMissing, OLDEST_MISSING, asked)
    return {to_ms(row.since): to_ms(row.start) for row in rows}


def figures(tally: Tally, indicator: str, inferred: Inferred | None = None) -> dict[str, object]:
    """Fields of Figures; those of the indicator not asked for are left out."""
    fields: dict[str, object] = {
        "readings": tally.readings,
        "expected": tally.expected,
        "completeness": completeness(tally.readings, tally.expected),
        "coverage": tally.coverage,
        "estimated_share": tally.estimated_share,
        "oldest_missing": None if tally.oldest_missing is None else local_iso(tally.oldest_missing),
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
    if inferred is not None:
        fields["inferred"] = inferred.shown(tally.known_co2_kg)
    return fields


async def used_coefficients(here: Services, rows: list[TotalRow], indicator: str) -> list[UsedCoefficient]:
    """The coefficients of `rows` for the indicator, each with the most months it was carried."""
    newest: dict[int, TotalRow] = {}
    for row in rows:
        for id_ in (
            row.coefficient if indicator != "energy" else None,
            row.kgce_coefficient if indicator != "co2" else None,
            row.ratio,
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
        published_at=local_text(coefficient.published_at),
        carried_months_max=months_between(coefficient.month, newest.bucket.astimezone(SHANGHAI).date()),
    )
