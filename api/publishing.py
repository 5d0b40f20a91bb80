"""Publishing coefficients: what a submission is judged by and would change, and the calls that submit and decide.

The command line uses the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from carbonstream.api.database import Commands, Database
from carbonstream.api.decimals import optional_text
from carbonstream.api.problems import FieldProblem, Problem
from carbonstream.processors.coefficients import Coefficient
from carbonstream.processors.publication import Entry, Fault, Key, Library, Submitted, judge
from carbonstream.processors.restatement import (
    Preview,
    Quantity,
    first_own,
    preview,
    restated_until,
    set_apart,
)
from carbonstream.schemas.periods import SHANGHAI, month_of, month_text

SCOPES: Final = """
select code as scope from region union all select id from entity where kind = 'enterprise'
union all select code || '@' from industry
"""
PUBLISHED: Final = """
select id, carrier, kind, scope, month_index(month) as month, value, document,
       (extract(epoch from published_at) * 1000)::bigint as published_ms
from coefficient order by published_at, id
"""
EXCEPTIONAL: Final = "select id from coefficient where components ? 'exception'"
PENDING: Final = """
select e.publication, e.carrier, e.kind, e.scope, month_index(e.month) as month
from pending_publication p join publication_entry e on e.publication = p.id
"""
CLASSES: Final = """
select c.entity as class_, c.scopes, array_remove(array_agg(e.id order by e.id), null) as wholes
from class c left join entity_part p on p.part = c.entity
left join entity e on e.number = p.entity and e.kind <> 'class'
group by 1, 2
"""
# A site has one class; what is above it may change in one class and is shown with all of them.
TOTALS: Final = """
select case when e.kind <> 'class' then e.id end as entity,
       case when e.kind = 'enterprise' then e.id else n.id end as enterprise, t.class as class_, t.carrier,
       month_index(date(t.bucket at time zone 'Asia/Shanghai')) as month, sum(t.quantity)::numeric as quantity
from total_period t
join entity e on e.number = t.entity
left join site s on s.entity = t.entity
left join entity n on n.number = s.enterprise
where t.grain = 3 and t.bucket >= %(from)s and t.bucket < %(to)s
  and (s.entity is null or s.class = any (%(classes)s) or n.id = any (%(moving)s))
group by 1, 2, 3, 4, 5
"""
# What enterprises give to parks and classes, as ops/load/own_classes.py moves it: a site's totals, or the rows of a
# site whose meters count at some levels only.
MOVING: Final = """
with moving as (
  select s.site_id, s.entity as site, n.id as enterprise, s.park, s.class,
         exists (select from meter_counts m where m.site_id = s.site_id and m.levels not in (0, 15)) as is_mixed
  from entity n join site s on s.enterprise = n.number where n.id = any (%(moving)s)
), part as (
  select v.enterprise, p.part, v.class, t.carrier, t.bucket as at, t.quantity
  from moving v
  join total_period t on t.entity = v.site and t.grain = 3 and t.bucket >= %(from)s and t.bucket < %(to)s
  cross join lateral (values (v.park), (v.class)) as p (part)
  where not v.is_mixed and p.part is not null
  union all
  select v.enterprise, c.part, v.class, c.carrier, r.start, r.quantity
  from moving v
  join meter m using (site_id)
  join counted_part c on c.meter = m.number and c.part in (v.park, v.class)
  join reading r on r.meter = m.number and r.time > %(from)s and r.start >= %(from)s and r.start < %(to)s
    and (c.valid_from is null or r.start >= c.valid_from and r.start < c.valid_to)
  where v.is_mixed
)
select case when e.kind <> 'class' then e.id end as entity, p.enterprise, p.class as class_, p.carrier,
       month_index(date(p.at at time zone 'Asia/Shanghai')) as month, sum(p.quantity)::numeric as quantity
from part p join entity e on e.number = p.part
group by 1, 2, 3, 4, 5
"""
LISTED: Final = """
select p.id, p.file, p.submitted_by, p.submitted_at, coalesce(d.decision, 'pending') as status, d.decided_by,
       d.decided_at, d.reason, x.entries, x.enterprises
from publication p
left join publication_decision d on d.publication = p.id
cross join lateral (
  select jsonb_agg(jsonb_build_object('line', e.line, 'carrier', c.id, 'kind', e.kind, 'scope', e.scope,
           'month', to_char(e.month, 'YYYY-MM'), 'value', e.value::text, 'unit', e.unit, 'components', e.components,
           'document', e.document, 'data_year', e.data_year) order by e.line, e.month) as entries,
         array_agg(distinct e.scope) filter (where e.scope like 'enterprise:%%') as enterprises
  from publication_entry e join carrier c on c.number = e.carrier where e.publication = p.id
) x
where (%(id)s::bigint is null or p.id = %(id)s)
  and (%(status)s::text is null or coalesce(d.decision, 'pending') = %(status)s)
order by p.id desc limit %(limit)s
"""
WITHOUT_CLASS: Final = """
select distinct e.id from entity e join site s on s.enterprise = e.number join class c on c.entity = s.class
where e.id = any (%(enterprises)s) and c.enterprise is null
"""
SUBMIT: Final = "select submit_publication(%(file)s, %(by)s, %(entries)s::jsonb)"
DECIDE: Final = "select decide_publication(%(id)s, %(by)s, %(decision)s, %(reason)s)"


@dataclass(frozen=True, slots=True)
class _Scope:
    scope: str


@dataclass(frozen=True, slots=True)
class _Number:
    id: int


@dataclass(frozen=True, slots=True)
class _Pending:
    publication: int
    carrier: int
    kind: str
    scope: str
    month: int


@dataclass(frozen=True, slots=True)
class _Class:
    class_: int
    scopes: list[str]
    wholes: list[str]


@dataclass(frozen=True, slots=True)
class _Id:
    id: str


@dataclass(frozen=True, slots=True)
class Publication:
    """A submission and what became of it: pending, approved or rejected."""

    id: int
    file: str
    submitted_by: str
    submitted_at: datetime
    status: str
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    entries: list[dict[str, Any]]
    enterprises: list[str] | None


@dataclass(frozen=True, slots=True)
class Examined:
    """What was judged: the entries with what they would change, or the faults."""

    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...]
    preview: Preview | None


async def examine(database: Database, rows: Sequence[Submitted], now_ms: int) -> Examined:
    """Judge a submission against the library, and compute what it would change. Writes nothing."""
    published = await database.rows(Coefficient, PUBLISHED)
    library = Library(frozenset(s.scope for s in await database.rows(_Scope, SCOPES)))
    exceptional = {found.id for found in await database.rows(_Number, EXCEPTIONAL)}
    for known in published:
        key = Key(known.carrier, known.kind, known.scope, known.month)
        library.put(key, known.value, is_exceptional=known.id in exceptional)
    for waiting in await database.rows(_Pending, PENDING):
        key = Key(waiting.carrier, waiting.kind, waiting.scope, waiting.month)
        library.pending[key] = waiting.publication
    entries, faults = judge(rows, library, _month_at(now_ms))
    if faults:
        return Examined(entries, faults, None)
    return Examined(entries, faults, await _preview(database, entries, published))


async def _preview(database: Database, entries: Sequence[Entry], published: list[Coefficient]) -> Preview:
    classes = await database.rows(_Class, CLASSES)
    until = restated_until(entries, published)
    scopes = {entry.key.scope for entry in entries}
    asked = {
        "from": _start_of(min(entry.key.month for entry in entries)),
        "to": "infinity" if until is None else _start_of(until),
        "classes": [c.class_ for c in classes if not scopes.isdisjoint(c.scopes)],
        "moving": sorted(first_own(entries, [c.scopes for c in classes])),
    }
    stored = await database.rows(Quantity, TOTALS, asked)
    moving = await database.rows(Quantity, MOVING, asked) if asked["moving"] else []
    return preview(
        entries,
        published,
        {c.class_: tuple(c.scopes) for c in classes},
        {c.class_: c.wholes for c in classes},
        set_apart(stored, moving),
    )


async def submit(commands: Commands, file: str, by: str, entries: Sequence[Entry]) -> int:
    """Keep sound entries as a pending publication; its id. Raises Problem 409 where one is pending already."""
    rows = [
        {
            "line": e.line, "carrier": e.key.carrier, "kind": e.key.kind, "scope": e.key.scope,
            "month": f"{month_text(e.key.month)}-01", "value": f"{e.value:f}", "unit": e.unit,
            "components": dict(e.components), "document": e.document, "data_year": e.data_year,
        }
        for e in entries
    ]  # fmt: skip
    values = {"file": file, "by": by, "entries": orjson.dumps(rows).decode()}
    return int(await commands.call(SUBMIT, values))


async def decide(commands: Commands, id_: int, by: str, decision: str, reason: str) -> dict[str, Any] | None:
    """Approve or reject; what an approval restates. Raises Problem 403 (same person), 404, 409 (decided)."""
    values = {"id": id_, "by": by, "decision": decision, "reason": reason}
    found: dict[str, Any] | None = await commands.call(DECIDE, values)
    return found


async def publications(
    database: Database, *, id_: int | None = None, status: str | None = None, limit: int = 1_000
) -> list[Publication]:
    """Publications, newest first."""
    return await database.rows(Publication, LISTED, {"id": id_, "status": status, "limit": limit})


async def without_own_class(database: Database, publication: Publication) -> list[str]:
    """Enterprises of a publication whose sites are to move to a class of their own first."""
    wanted = {"enterprises": publication.enterprises or []}
    return sorted(row.id for row in await database.rows(_Id, WITHOUT_CLASS, wanted))


def refused(faults: Sequence[Fault], first_line: int) -> Problem:
    """422 naming every faulty field as rows[N].field. first_line: the line that list index 0 has."""
    errors = [
        FieldProblem(field=_path(fault, first_line), detail=f"{fault.value!r}: {fault.remedy}")
        for fault in faults
    ]
    return Problem(422, f"{errors[0].field}: {errors[0].detail}", field=errors[0].field, errors=errors)


def _path(fault: Fault, first_line: int) -> str:
    return fault.field if fault.line < first_line else f"rows[{fault.line - first_line}].{fault.field}"


def _start_of(month: int) -> datetime:
    return datetime.fromisoformat(f"{month_text(month)}-01").replace(tzinfo=SHANGHAI)


def _month_at(now_ms: int) -> int:
    at = datetime.fromtimestamp(now_ms / 1_000, SHANGHAI)
    return month_of(f"{at:%Y-%m}")


def shown(found: Preview) -> dict[str, Any]:
    """A preview as JSON: exact decimals as text, kg CO2 (co2) and kgce (energy)."""
    return {
        "months": [month_text(m) for m in found.months],
        "own_classes": list(found.own_classes),
        "entities": [
            {
                "entity": d.entity,
                "indicator": d.indicator,
                "old": optional_text(d.old),
                "new": optional_text(d.new),
            }
            for d in found.differences
        ],
    }
