"""GET /v1/meters/SITE/METER/findings: what the checks found beside a reading's outcome."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.meters import find_meter
from carbonstream.api.parameters import Here, Parameters, PathText, Text
from carbonstream.api.problems import RESPONSES
from carbonstream.api.ranges import parse_range, period_of
from carbonstream.schemas.codes import Check, Decision, Grain
from carbonstream.schemas.periods import local_text, to_datetime

router = APIRouter(tags=["meters"], responses=RESPONSES)
FINDINGS: Final = """
select time, "check", decision, size, definition, tick_ms from finding
where meter = %(meter)s and time > %(from)s and time <= %(to)s order by time, "check" limit %(limit)s
"""


class FindingsQuery(Parameters):
    """Findings about readings that end in (from, to]; without from and to, today's."""

    from_: Text | None = Field(None, alias="from", examples=["2024-03-05"])
    to: Text | None = Field(None, examples=["2024-03-06"])
    limit: int = Field(1_000, ge=1, le=10_000)


@dataclass(frozen=True, slots=True)
class _Row:
    time: datetime
    check: int
    decision: int
    size: float
    definition: str | None
    tick_ms: int


class Finding(BaseModel):
    """One finding."""

    end: str = Field(description="of the reading that is meant", examples=["2024-03-05T08:15:00+08:00"])
    check: str = Field(examples=["frozen"])
    decision: str = Field(description="accept, question, hold, reject", examples=["question"])
    size: float = Field(description="ratio of a level or spike, hours of a clock, values of a run; else 0")
    definition: str | None = Field(
        description="NAME@VERSION of the check's parameters (`GET /v1/check-parameters`) or of the user's rule",
        examples=["packaged@3"],
    )
    told_at: str = Field(description="the stream's clock when it was told")


class Findings(BaseModel):
    """A meter's findings in the order of their readings."""

    meter: str
    findings: list[Finding]


@router.get("/meters/{meter_id:path}/findings", response_model=Findings)
async def findings(meter_id: PathText, query: Annotated[FindingsQuery, Query()], here: Here) -> Findings:
    """What the checks found about readings that end within (from, to]."""
    within = parse_range(query.from_, query.to, period_of(Grain.DAY, here.now_ms()))
    meter = await find_meter(here, meter_id)
    bounds = {"from": to_datetime(within.start), "to": to_datetime(within.end)}
    rows = await here.database.rows(_Row, FINDINGS, {"meter": meter.number, "limit": query.limit, **bounds})
    return Findings(
        meter=meter_id,
        findings=[
            Finding(
                end=local_text(row.time),
                check=Check(row.check).name.lower(),
                decision=Decision(row.decision).name.lower(),
                size=round(row.size, 3),
                definition=row.definition,
                told_at=local_text(to_datetime(row.tick_ms)),
            )
            for row in rows
        ],
    )
