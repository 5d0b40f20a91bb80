"""GET /v1/warnings: what targets were reached, now and before, and how it stands with the operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from carbonstream.api.answer_shapes import AnswerShown, answer_shown
from carbonstream.api.decimals import optional_text
from carbonstream.api.operator_shapes import (
    OF_WARNING,
    STATES,
    OperationRow,
    OperationShown,
    OperatorRow,
    Standing,
    operation_shown,
    standing_fields,
)
from carbonstream.api.parameters import Here, Parameters, PathText, Text
from carbonstream.api.problems import RESPONSES, Problem, invalid
from carbonstream.api.ranges import parse_time
from carbonstream.api.services import Services
from carbonstream.schemas import topics
from carbonstream.schemas.periods import YEAR_2000_MS, local_text, to_datetime

router = APIRouter(tags=["warnings"], responses=RESPONSES)
COLUMNS: Final = """
select w.id, w.version, w.rule, w.entity, w.indicator, w.period, w.level, w.severity, w.state, w.bucket, w.backfill,
       w.priority as rule_priority, w.definition, w.snapshot, w.raised_at, w.changed_at, o.state as operator_state,
       coalesce(o.change, 0) as change, coalesce(o.rank, 0)::int as rank, coalesce(o.priority, 0)::int as priority,
       coalesce(o.class, 0)::int as class_,
       o.since, o.claimed_by, o.shelf, o.out_of_service, o.suppressed_by, o.parent, o.answer,
       case when w.rule in ('restatement', 'common-cause') then (
         select count(*)::int from warning_operator c where c.parent = w.id) else 0 end as children
from warning w left join warning_operator o using (id)
"""
LIST: Final = (
    COLUMNS
    + """
where (%(entity)s::text is null or w.entity = %(entity)s) and (%(state)s::text is null or w.state = %(state)s)
  and w.changed_at >= %(since)s
  and (%(before)s::timestamptz is null or (w.changed_at, w.id) < (%(before)s, %(before_id)s))
order by w.changed_at desc, w.id desc limit %(limit)s
"""
)
# The operators' list: to be answered first, then by priority, then by class, then the latest.
LISTED: Final = (
    COLUMNS
    + """
where o.state = any (%(states)s) and {parent}
  and (%(entity)s::text is null or o.entity = %(entity)s)
  and (%(state)s::text is null or w.state = %(state)s) and w.changed_at >= %(since)s
  and (o.rank, o.priority, o.class) >= (%(rank)s, %(priority)s, %(class)s)
  and (%(before)s::timestamptz is null or (o.rank, o.priority, o.class) > (%(rank)s, %(priority)s, %(class)s)
    or o.since < %(before)s or o.since = %(before)s and o.id > %(before_id)s)
order by o.rank, o.priority, o.class, o.since desc, o.id limit %(limit)s
"""
)
DESK: Final = LISTED.format(parent="o.parent is null")
CHILDREN: Final = LISTED.format(parent="o.parent = %(parent)s")
ORDER: Final = ("rank", "priority", "class")  # then the latest
ONE: Final = COLUMNS + "where w.id = %(id)s"
HISTORY: Final = """
select version, state, bucket, backfill, changed_at, snapshot from warning_history
where id = %(id)s order by version
"""


OperatorStates = Literal[
    "annunciated", "open", "inhibited", "normal", "active-unacked", "active-acked", "cleared-unacked", "shelved",
    "suppressed", "out-of-service",
]  # fmt: skip


class WarningsQuery(Parameters):
    """Which warnings."""

    entity: Text | None = Field(None, examples=["enterprise:ENT-1"])
    state: Literal["active", "cleared"] | None = None
    operator_state: OperatorStates | None = Field(
        None,
        description="a state, or annunciated (to be answered), open (and in hand), inhibited; the list is then in the "
        "operators' order: to be answered first, by priority, by class, the latest first",
    )
    parent: Text | None = Field(
        None,
        description="with operator_state: those folded into this warning; without, those that have no parent",
    )
    since: Text | None = Field(None, description="changed then or later", examples=["2024-03"])
    limit: int = Field(100, ge=1, le=1_000)
    after: Text | None = Field(None, description="`next` of the page before")


@dataclass(frozen=True, slots=True)
class WarningRow:
    """A warning as stored."""

    id: str
    version: int
    rule: str
    entity: str
    indicator: str
    period: date
    level: Decimal | None
    severity: str
    state: str
    bucket: datetime
    backfill: bool
    rule_priority: str | None
    definition: str | None
    snapshot: Mapping[str, Any]
    raised_at: datetime
    changed_at: datetime
    operator_state: str | None
    change: int
    rank: int
    priority: int
    class_: int
    since: datetime | None
    claimed_by: str | None
    shelf: Mapping[str, Any] | None
    out_of_service: Mapping[str, Any] | None
    suppressed_by: str | None
    parent: str | None
    answer: Mapping[str, Any] | None
    children: int


@dataclass(frozen=True, slots=True)
class _Change:
    version: int
    state: str
    bucket: datetime
    backfill: bool
    changed_at: datetime
    snapshot: Mapping[str, Any]


class RaisedWarning(BaseModel):
    """The present state of one warning."""

    id: str = Field(description="rule:entity:indicator:period:level")
    version: int
    rule: str = Field(examples=["target-level"])
    entity: str
    indicator: str = Field(examples=["co2"])
    period: str = Field(description="first local day of the target's period", examples=["2024-01-01"])
    level: str | None = Field(examples=["90"])
    severity: str
    state: str
    bucket: str = Field(description="event time: the local hour or day in which it came true")
    backfill: bool = Field(description="raised about the past: summarised, not announced")
    priority: str | None = Field(
        description="of its rule: high, medium or low; null: the rule is switched off now"
    )
    definition: str | None = Field(
        description="RULE@VERSION that judged; the whole rule, with what to do, stands in snapshot.definition",
        examples=["plan-to-date@1"],
    )
    snapshot: dict[str, Any] = Field(
        description="total, coefficients, target, rule version: enough to recompute it"
    )
    raised_at: str
    changed_at: str
    children: int = Field(description="how many warnings of the same cause are folded into it")
    operator: Standing | None = Field(description="null until warn has laid it before the operators")
    answer: AnswerShown | None = Field(description="of the enterprise; null: none was asked or given")


class Change(BaseModel):
    """One change of a warning."""

    version: int
    state: str
    bucket: str
    backfill: bool
    changed_at: str
    snapshot: dict[str, Any]


class WarningDetail(RaisedWarning):
    """One warning and all its changes, oldest first."""

    history: list[Change]
    operations: list[OperationShown] = Field(description="what became of it with the operators, oldest first")


class Warnings(BaseModel):
    """One page."""

    warnings: list[RaisedWarning]
    next: str | None = Field(description="pass as `after` for the next page; null: this is the last")


@router.get("/warnings", response_model=Warnings)
async def warnings(query: Annotated[WarningsQuery, Query()], here: Here) -> Response:
    """Warnings, the latest change first, or in the operators' order."""

    async def page() -> bytes:
        return (await read_warnings(query, here)).model_dump_json().encode()

    # a thousand boards ask for the same page: shared for a second at most, and until something of warnings is told
    told = here.hub.ring.heard(topics.WARNINGS)
    content = await here.pages.get(f"warnings {query.model_dump_json()} {told}", page)
    return Response(content, media_type="application/json")


async def read_warnings(query: WarningsQuery, here: Services) -> Warnings:
    """As the route, from the database now."""
    on_desk = query.operator_state is not None
    cursor = _desk_cursor(query.after) if on_desk else _cursor(query.after)
    since = to_datetime(YEAR_2000_MS if query.since is None else parse_time(query.since, "since").start)
    state = query.operator_state or ""
    rows = await here.database.rows(
        WarningRow,
        LIST if not on_desk else DESK if query.parent is None else CHILDREN,
        {
            "entity": query.entity,
            "state": query.state,
            "states": list(STATES.get(state, (state,))),
            "since": since,
            "parent": query.parent,
            "limit": query.limit + 1,
            **cursor,
        },
    )
    shown = rows[: query.limit]
    following = None
    if len(rows) > query.limit:
        last = shown[-1]
        at = last.since if on_desk and last.since else last.changed_at
        place = f"{last.rank}|{last.priority}|{last.class_}|" if on_desk else ""
        following = f"{place}{at.isoformat()}|{last.id}"
    return Warnings(warnings=[RaisedWarning(**_fields(row, here)) for row in shown], next=following)


@router.get("/warnings/{warning_id:path}")
async def warning(warning_id: PathText, here: Here) -> WarningDetail:
    """One warning with its history."""
    row = await here.database.row(WarningRow, ONE, {"id": warning_id})
    if row is None:
        raise Problem(404, f"no warning {warning_id!r}", remedy="GET /v1/warnings lists them")
    history = [
        Change(
            version=change.version,
            state=change.state,
            bucket=local_text(change.bucket),
            backfill=change.backfill,
            changed_at=local_text(change.changed_at),
            snapshot=dict(change.snapshot),
        )
        for change in await here.database.rows(_Change, HISTORY, {"id": warning_id})
    ]
    operations = await here.database.rows(OperationRow, OF_WARNING, {"id": warning_id})
    return WarningDetail(
        **_fields(row, here),
        history=history,
        operations=[operation_shown(operation) for operation in operations],
    )


def _fields(row: WarningRow, here: Services) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "rule": row.rule,
        "entity": row.entity,
        "indicator": row.indicator,
        "period": row.period.isoformat(),
        "level": optional_text(row.level),
        "severity": row.severity,
        "state": row.state,
        "bucket": local_text(row.bucket),
        "backfill": row.backfill,
        "priority": row.rule_priority,
        "definition": row.definition,
        "snapshot": dict(row.snapshot),
        "raised_at": local_text(row.raised_at),
        "changed_at": local_text(row.changed_at),
        "children": row.children,
        "operator": _standing(row),
        "answer": answer_shown(row.answer, here.now_ms()),
    }


def _standing(row: WarningRow) -> Standing | None:
    if row.operator_state is None or row.since is None:
        return None
    of_it = OperatorRow(
        row.id, row.entity, row.rule, row.operator_state, row.change, row.class_, row.priority, row.since,
        row.claimed_by, row.shelf, row.out_of_service, row.suppressed_by, row.parent,
    )  # fmt: skip
    return Standing(**standing_fields(of_it))


def _desk_cursor(after: str | None) -> dict[str, Any]:
    """The last row of the page before, in the operators' order."""
    if after is None:
        return _cursor(None) | dict.fromkeys(ORDER, 0)
    numbers = after.split("|", len(ORDER))
    place = numbers.pop()
    if len(numbers) < len(ORDER) or not all(len(n) == 1 and n.isdecimal() for n in numbers):
        raise _not_a_cursor(after)
    return _cursor(place) | dict(zip(ORDER, map(int, numbers), strict=True))


def _cursor(after: str | None) -> dict[str, Any]:
    if after is None:
        return {"before": None, "before_id": ""}
    at, _, id_ = after.partition("|")
    try:
        before = datetime.fromisoformat(at)
        if before.tzinfo is None or not 2000 <= before.year < 2101:
            raise ValueError("out of range")
    except ValueError as error:
        raise _not_a_cursor(after) from error
    return {"before": before, "before_id": id_}


def _not_a_cursor(after: str | None) -> Problem:
    return invalid("after", f"{after!r} is not a cursor", "pass `next` of the page before, unchanged")
