"""GET /v1/overview: what the board shows first, in one call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from heapq import nsmallest
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field

from carbonstream.api.decimals import optional_text, quantity_text
from carbonstream.api.freshness import ALL, Freshness, freshness_of
from carbonstream.api.parameters import Here
from carbonstream.api.problems import RESPONSES
from carbonstream.api.ranges import period_of
from carbonstream.api.services import Services
from carbonstream.api.totalling import Tally, TotalRow
from carbonstream.api.totals import SQL as TOTALS
from carbonstream.schemas.carriers import CARRIER_BY_ID, CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import local_iso, to_datetime

router = APIRouter(tags=["overview"], responses=RESPONSES)
ELECTRICITY: Final = CARRIER_BY_ID["electricity"].number
SHOWN: Final = 10
ENTITIES: Final = """
select number, id, kind, name_zh, name_en from entity where kind = 'enterprise'
  or (kind = 'industry' and id not like '%%@%%')  -- an industry of a region is part of its industry
  or id = %(all)s
"""
ACTIVE: Final = "select count(*)::int as active from warning where state = 'active'"


@dataclass(frozen=True, slots=True)
class _Entity:
    number: int
    id: str
    kind: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class _Active:
    active: int


class Today(BaseModel):
    """Figures of the local day so far; null where unknown."""

    co2_kg: str | None = Field(examples=["1204.123456"])
    kgce: str | None
    electricity_kwh: str | None
    missing_coefficients: list[str] = Field(description="carriers without a CO2 coefficient: co2_kg is null")


class Share(Today):
    """One industry's or enterprise's figures."""

    entity: str
    name_zh: str
    name_en: str


class ActiveWarnings(BaseModel):
    """Warnings now."""

    active: int


class Overview(BaseModel):
    """The board's first load."""

    day: str = Field(description="start of the local day `today` is of")
    today: Today
    by_industry: list[Share] = Field(description="most CO2 first")
    by_enterprise: list[Share] = Field(description="the ten with most CO2")
    warnings: ActiveWarnings
    freshness: Freshness


@router.get("/overview")
async def overview(here: Here) -> Overview:
    """Today's totals, the largest emitters, warnings and freshness; at most a second old."""
    return await here.figures.get("overview", lambda: _read(here))


async def _read(here: Services) -> Overview:
    today = period_of(Grain.DAY, here.now_ms())
    entities = {e.number: e for e in await here.database.rows(_Entity, ENTITIES, {"all": ALL})}
    rows = await here.database.rows(
        TotalRow,
        TOTALS,
        {
            "entities": list(entities),
            "grain": Grain.DAY,
            "from": to_datetime(today.start),
            "to": to_datetime(today.end),
            "as_of": "infinity",
        },
    )
    tally: dict[int, Tally] = {}
    for row in rows:
        tally.setdefault(row.entity, Tally()).add(row)
    active = await here.database.row(_Active, ACTIVE)
    everything = next((n for n, e in entities.items() if e.id == ALL), None)
    return Overview(
        day=local_iso(today.start),
        today=Today(**_figures(tally.get(everything, Tally()) if everything is not None else Tally())),
        by_industry=_ranked((entities[n], t) for n, t in tally.items() if entities[n].kind == "industry"),
        by_enterprise=_ranked(
            ((entities[n], t) for n, t in tally.items() if entities[n].kind == "enterprise"), SHOWN
        ),
        warnings=ActiveWarnings(active=active.active if active else 0),
        freshness=await freshness_of(here, ALL),
    )


def _ranked(shares: Iterable[tuple[_Entity, Tally]], most: int | None = None) -> list[Share]:
    """Most CO2 first, those whose CO2 is unknown last, then by id; `most` of them, None: all."""

    def rank(share: tuple[_Entity, Tally]) -> tuple[bool, Decimal, str]:
        known = share[1].known_co2_kg
        return known is None, -(known or Decimal(0)), share[0].id

    return [
        Share(entity=e.id, name_zh=e.name_zh, name_en=e.name_en, **_figures(t))
        for e, t in (sorted(shares, key=rank) if most is None else nsmallest(most, shares, key=rank))
    ]


def _figures(tally: Tally) -> dict[str, Any]:
    electricity = tally.quantity.get(ELECTRICITY)
    return {
        "co2_kg": optional_text(tally.known_co2_kg),
        "kgce": optional_text(tally.known_kgce),
        "electricity_kwh": None if electricity is None else quantity_text(electricity),
        "missing_coefficients": [CARRIER_BY_NUMBER[c].id for c in sorted(tally.missing)],
    }
