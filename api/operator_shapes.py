"""How a warning stands with the operators, as rows of the database and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field

from carbonstream.processors.alarm_states import ANNUNCIATED, CLASS_NAMES, INHIBITED, PRIORITY_NAMES
from carbonstream.schemas.periods import local_iso, local_text

# What `operator_state` may name beside the states themselves
STATES: Final[Mapping[str, tuple[str, ...]]] = {
    "annunciated": tuple(sorted(ANNUNCIATED)),
    "open": ("active-acked", *sorted(ANNUNCIATED)),
    "inhibited": tuple(sorted(INHIBITED)),
}
OF_WARNING: Final = """
select warning, change, operation, version, from_state, to_state, annunciates, at, by, why, command, until
from warning_operation where warning = %(id)s order by change
"""


class Shelved(BaseModel):
    """Put aside."""

    by: str
    why: str
    until: str
    remind_at: str | None
    reminded: bool


class TakenOut(BaseModel):
    """Out of service."""

    by: str
    why: str


class Standing(BaseModel):
    """How a warning stands with the operators (ISA-18.2)."""

    state: str = Field(examples=["active-unacked"])
    change: int = Field(description="how often it changed; of `operation` events the same count")
    annunciated: bool = Field(description="an operator is to answer")
    priority: str = Field(
        description="high, medium or low: of its rule, or what it was before the rule was switched off; where no rule "
        "says it, an alarm is high, an alert medium, a notice low"
    )
    since: str = Field(description="in this state")
    claimed_by: str | None
    shelved: Shelved | None
    out_of_service: TakenOut | None
    suppressed_by: str | None = Field(
        description="maintenance:ID or rule:ID (of a command), the parent, past or restatement; null: is not suppressed"
    )
    parent: str | None = Field(description="warning of the cause that it shares with others")


class StandingOf(Standing):
    """The same, with whose it is."""

    id: str
    entity: str
    rule: str
    severity: str


class OperationShown(BaseModel):
    """One change of how a warning stands."""

    warning: str
    change: int
    operation: str
    version: int
    from_state: str
    to_state: str
    annunciates: bool
    at: str
    by: str | None = Field(description="null: warn itself")
    why: str
    command: str | None
    until: str | None


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """Columns of warning_operator that are shown."""

    id: str
    entity: str
    rule: str
    state: str
    change: int
    class_: int
    priority: int
    since: datetime
    claimed_by: str | None
    shelf: Mapping[str, Any] | None
    out_of_service: Mapping[str, Any] | None
    suppressed_by: str | None
    parent: str | None


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A row of warning_operation."""

    warning: str
    change: int
    operation: str
    version: int
    from_state: str
    to_state: str
    annunciates: bool
    at: datetime
    by: str | None
    why: str
    command: str | None
    until: datetime | None


def standing_fields(row: OperatorRow) -> dict[str, Any]:
    """Fields of Standing."""
    shelf = row.shelf if row.state == "shelved" else None
    return {
        "state": row.state,
        "change": row.change,
        "annunciated": row.state in ANNUNCIATED,
        "priority": PRIORITY_NAMES[row.priority],
        "since": local_text(row.since),
        "claimed_by": row.claimed_by,
        "shelved": None
        if shelf is None
        else Shelved(
            by=shelf["by"],
            why=shelf["why"],
            until=local_iso(shelf["until"]),
            remind_at=None if shelf["remind_at"] is None else local_iso(shelf["remind_at"]),
            reminded=shelf["reminded"],
        ),
        "out_of_service": None if row.out_of_service is None else TakenOut(**row.out_of_service),
        "suppressed_by": row.suppressed_by,
        "parent": row.parent,
    }


def standing_of(row: OperatorRow) -> StandingOf:
    """A row of warning_operator as JSON."""
    return StandingOf(
        **standing_fields(row),
        id=row.id,
        entity=row.entity,
        rule=row.rule,
        severity=CLASS_NAMES[row.class_],
    )


def operation_shown(row: OperationRow) -> OperationShown:
    """A row of warning_operation as JSON."""
    return OperationShown(
        warning=row.warning,
        change=row.change,
        operation=row.operation,
        version=row.version,
        from_state=row.from_state,
        to_state=row.to_state,
        annunciates=row.annunciates,
        at=local_text(row.at),
        by=row.by,
        why=row.why,
        command=row.command,
        until=None if row.until is None else local_text(row.until),
    )
