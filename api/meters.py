"""GET /v1/meters: the meters of a site, and one meter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.decimals import exact_text, optional_text
from carbonstream.api.parameters import Here, Parameters, PathText, Text
from carbonstream.api.problems import RESPONSES, Problem
from carbonstream.schemas.periods import local_text

router = APIRouter(tags=["meters"], responses=RESPONSES)
COLUMNS: Final = """
select m.meter_id, m.number, m.site_id, c.id as carrier, m.kind, m.unit,
       coalesce((select v.multiplier from meter_multiplier v where v.meter_id = m.meter_id and v.superseded_by is null
                 order by v.valid_from desc nulls last limit 1), m.multiplier) as multiplier, m.modulus,
       m.interval_s, m.boundary, m.valid_from, m.valid_to
from meter m join carrier c on c.number = m.carrier
"""
OF_SITE: Final = COLUMNS + 'where m.site_id = %(site)s order by m.meter_id collate "C"'
ONE: Final = COLUMNS + "where m.meter_id = %(meter)s"
SITE: Final = "select site_id from site where site_id = %(site)s"


class MetersQuery(Parameters):
    """Whose meters."""

    site: Text = Field(examples=["330502-0001"])


@dataclass(frozen=True, slots=True)
class MeterRow:
    """A meter as registered."""

    meter_id: str
    number: int
    site_id: str
    carrier: str
    kind: str
    unit: str
    multiplier: Decimal
    modulus: Decimal | None
    interval_s: int
    boundary: bool
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class _Site:
    site_id: str


class Meter(BaseModel):
    """One meter."""

    meter: str = Field(examples=["330502-0001/E01"])
    site: str = Field(examples=["330502-0001"])
    carrier: str = Field(examples=["electricity"])
    kind: str = Field(
        description="register: readings are a counter's index; interval: the interval's quantity"
    )
    unit: str = Field(description="meant where a reading names none", examples=["kWh"])
    multiplier: str = Field(description="CT x PT", examples=["1"])
    modulus: str | None = Field(description="a register rolls over at this index")
    interval_s: int = Field(examples=[900])
    boundary: bool = Field(description="false: a sub-meter, watched but not summed")
    valid_from: str
    valid_to: str | None


class Meters(BaseModel):
    """The meters of one site."""

    meters: list[Meter]


@router.get("/meters")
async def meters(query: Annotated[MetersQuery, Query()], here: Here) -> Meters:
    """All meters of a site in the order of their ids."""
    rows = await here.database.rows(MeterRow, OF_SITE, {"site": query.site})
    if not rows and await here.database.row(_Site, SITE, {"site": query.site}) is None:
        raise Problem(
            404,
            f"no site {query.site!r}",
            field="site",
            remedy="give a site's id without `site:`; GET /v1/entities?kind=site lists them",
        )
    return Meters(meters=[_shown(row) for row in rows])


@router.get("/meters/{meter_id:path}")
async def meter(meter_id: PathText, here: Here) -> Meter:
    """One meter, by SITE/METER."""
    return _shown(await find_meter(here, meter_id))


async def find_meter(here: Here, meter_id: str) -> MeterRow:
    """The meter of this id. Raises Problem 404 where there is none."""
    row = await here.database.row(MeterRow, ONE, {"meter": meter_id})
    if row is None:
        raise Problem(
            404,
            f"no meter {meter_id!r}",
            remedy="a meter's id is SITE/METER; GET /v1/meters?site=SITE lists a site's",
        )
    return row


def _shown(row: MeterRow) -> Meter:
    return Meter(
        meter=row.meter_id,
        site=row.site_id,
        carrier=row.carrier,
        kind=row.kind,
        unit=row.unit,
        multiplier=exact_text(row.multiplier),
        modulus=optional_text(row.modulus),
        interval_s=row.interval_s,
        boundary=row.boundary,
        valid_from=local_text(row.valid_from),
        valid_to=None if row.valid_to is None else local_text(row.valid_to),
    )
