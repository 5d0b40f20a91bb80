"""What carbon.warnings carries of the rules' judgement; of operators see schemas/operator.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from carbonstream.schemas.frames import Shape
from carbonstream.schemas.totals import Decimal


class Warning(Shape):  # noqa: A001  # the trade's word; a Python warning is never meant here
    """One change of one warning; (id, version) is its identity, so a second copy is recognised."""

    id: Annotated[str, Field(description="rule:entity:period:level")]
    version: int
    rule: Literal["target-level", "plan-to-date", "pace", "consistency", "restatement", "common-cause"]
    entity: str
    indicator: Annotated[
        str,
        Field(
            description="co2 or energy; of rule consistency an indicator of processors/consistency.py; of restatement "
            "and common-cause the rule's name"
        ),
    ]
    period: Annotated[
        str, Field(description="first local day of the target's period; of rule consistency the day")
    ]
    level: Decimal | None
    severity: Literal["alarm", "alert", "notice"]
    state: Literal["active", "cleared"]
    bucket: Annotated[str, Field(description="event time: the local hour or day in which it came true")]
    backfill: Annotated[bool, Field(description="raised about the past: summarised, not announced")]
    snapshot: dict[str, Any]
    changed_at: str
