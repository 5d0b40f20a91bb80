"""What carbon.warnings carries of the rules' judgement; of operators see schemas/operator.py."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from carbonstream.schemas.frames import Shape
from carbonstream.schemas.totals import Decimal


class Warning(Shape):  # noqa: A001  # the trade's word; a Python warning is never meant here
    """One change of one warning; (id, version) is its identity, so a second copy is recognised."""

    id: Annotated[
        str,
        Field(description="rule:entity:indicator:period:level; of instant rules rule:entity:about:episode"),
    ]
    version: int
    rule: Literal[
        "target-level",
        "plan-to-date",
        "pace",
        "intensity",
        "change-rate",
        "consistency",
        "silence",
        "interval-limit",
        "maximum-demand",
        "data-quality",
        "habit",
        "restatement",
        "common-cause",
        "dispute",
    ]
    entity: str
    indicator: Annotated[
        str,
        Field(
            description="of a target (processors/indicators.py), e.g. co2; of rule consistency an indicator of "
            "processors/consistency.py, of instant rules a meter's id, or what of the entity; of restatement, "
            "common-cause and dispute the rule's name"
        ),
    ]
    period: Annotated[
        str,
        Field(
            description="first local day of the target's period; of rule consistency the day, of instant "
            "rules the day on which the episode began"
        ),
    ]
    level: Decimal | None
    severity: Annotated[
        Literal["alarm", "alert", "notice"], Field(description="class of the rule (ISA-18.2)")
    ]
    priority: Literal["high", "medium", "low"] | None = None
    definition: Annotated[
        str | None, Field(description="RULE@VERSION, of warning_rules.csv; the snapshot holds it in full")
    ] = None
    state: Literal["active", "cleared"]
    bucket: Annotated[str, Field(description="event time: the local hour or day in which it came true")]
    backfill: Annotated[bool, Field(description="raised about the past: summarised, not announced")]
    snapshot: dict[str, Any]
    changed_at: str
