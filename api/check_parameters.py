"""GET /v1/check-parameters: what the checks are set to, and for which meters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.meters import find_meter
from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES, Problem, invalid
from carbonstream.processors.vee.parameter_sets import PACKAGED, ParameterSets, set_of
from carbonstream.schemas.carriers import CARRIER_BY_ID
from carbonstream.schemas.codes import MeterKind
from carbonstream.schemas.periods import local_text

router = APIRouter(tags=["meters"], responses=RESPONSES)
VERSIONS: Final = """
select name, version, carrier, kind, interval_s, parameters, state, owner, note, loaded_at
from check_parameters order by name, version
"""


class CheckParametersQuery(Parameters):
    """Which sets; without any the newest version of each, also of those that are off."""

    name: Text | None = Field(None, description="every version of one set", examples=["packaged"])
    meter: Text | None = Field(None, description="the one that judges a meter", examples=["330502-0001/E01"])


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    version: int
    carrier: str | None
    kind: str | None
    interval_s: int | None
    parameters: dict[str, str]
    state: str
    owner: str
    note: str
    loaded_at: datetime


class CheckParameters(BaseModel):
    """One version of a set."""

    name: str = Field(examples=["packaged"])
    version: int
    carrier: str | None = Field(description="null: any")
    kind: str | None = Field(description="register or interval; null: any")
    interval_s: int | None = Field(description="null: any")
    parameters: dict[str, str] = Field(
        description="exact decimals, and what follows from each check; docs/data.md says what each means"
    )
    state: str = Field(description="on or off")
    owner: str
    note: str
    loaded_at: str


class CheckParameterSets(BaseModel):
    """By name, oldest version first."""

    sets: list[CheckParameters]


@router.get("/check-parameters", response_model=CheckParameterSets)
async def check_parameters(query: Annotated[CheckParametersQuery, Query()], here: Here) -> dict[str, Any]:
    """What the checks are set to: the newest versions, every version of one set, or the one that judges a meter."""
    if query.name is not None and query.meter is not None:
        raise invalid("meter", "name and meter are both given", "give one of them")
    rows = await here.database.rows(_Row, VERSIONS, {})
    if query.name is not None:
        rows = [row for row in rows if row.name == query.name]
        if not rows:
            raise Problem(
                404, f"no check parameters {query.name!r}", remedy="GET /v1/check-parameters lists them"
            )
    else:
        rows = list({row.name: row for row in rows}.values())
    if query.meter is not None:
        meter = await find_meter(here, query.meter)
        sets = ParameterSets(_set(row) for row in rows if row.name != PACKAGED.name)
        carrier = CARRIER_BY_ID[meter.carrier].number
        judging = sets.of_meter(carrier, meter.kind == MeterKind.REGISTER, meter.interval_s * 1_000)
        rows = [row for row in rows if row.name == judging.name]
    return {"sets": [asdict(row) | {"loaded_at": local_text(row.loaded_at)} for row in rows]}


def _set(row: _Row) -> Any:
    carrier = None if row.carrier is None else CARRIER_BY_ID[row.carrier].number
    return set_of(asdict(row) | {"carrier": carrier})
