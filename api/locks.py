"""/v1/locks: an entity's month as it was reported, kept; what is known now stands beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from carbonstream.api.database import Commands, Database
from carbonstream.api.decimals import EXACT, optional_text
from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES, invalid
from carbonstream.api.publications import REFUSALS, Body, Person
from carbonstream.api.session import commanding
from carbonstream.processors.plain_text import month as parse_month
from carbonstream.schemas.periods import local_text

router = APIRouter(prefix="/locks", tags=["locks"], responses=RESPONSES)
LOCK: Final = "select lock_period(%(entity)s, %(month)s, %(by)s, %(document)s)::text"
LOCKED: Final = """
select e.id as entity, l.month, l.locked_by, l.document, l.locked_at, l.co2_kg, l.kgce, l.parts,
       n.co2_kg as co2_kg_now, n.kgce as kgce_now
from locked_period l join entity e on e.number = l.entity
cross join lateral (
  select case when bool_and(t.co2_kg is not null) then sum(t.co2_kg) end as co2_kg,
         case when bool_and(t.kgce is not null) then sum(t.kgce) end as kgce
  from totals_of(array[l.entity], 3::smallint, l.month::timestamp at time zone 'Asia/Shanghai',
    (l.month + interval '1 month')::timestamp at time zone 'Asia/Shanghai') t
) n
where (%(entity)s::text is null or e.id = %(entity)s) and (%(month)s::date is null or l.month = %(month)s)
order by l.month desc, e.id limit %(limit)s
"""


class Locking(Body):
    """Which month of which entity was reported."""

    entity: Text = Field(examples=["enterprise:ENT-1"])
    month: Text = Field(examples=["2026-10"])
    by: Person
    document: Text = Field(description="the report", min_length=1)


class LocksQuery(Parameters):
    """Which locked periods."""

    entity: Text | None = None
    month: Text | None = None
    limit: int = Field(100, ge=1, le=1_000)


@dataclass(frozen=True, slots=True)
class _Row:
    entity: str
    month: date
    locked_by: str
    document: str
    locked_at: datetime
    co2_kg: Decimal | None
    kgce: Decimal | None
    parts: list[dict[str, Any]]
    co2_kg_now: Decimal | None
    kgce_now: Decimal | None


class Reported(BaseModel):
    """One figure: as reported, as known now, and the difference; exact, null where unknown."""

    locked: str | None
    now: str | None
    difference: str | None


class Lock(BaseModel):
    """A locked month."""

    entity: str
    month: str
    by: str
    document: str
    at: str
    co2_kg: Reported
    kgce: Reported
    parts: list[dict[str, Any]] = Field(description="the snapshot: by class and carrier")


class Locks(BaseModel):
    """Locked months, newest first."""

    locks: list[Lock]


@router.post("", status_code=201, dependencies=[Depends(commanding)], responses=REFUSALS)
async def lock(body: Locking, here: Here) -> Lock:
    """Keep a closed month's totals as reported; later coefficients and corrections are shown beside them."""
    return await lock_period(here.database, here.commands, body)


@router.get("")
async def locks(query: Annotated[LocksQuery, Query()], here: Here) -> Locks:
    """Locked months with what is known of them now."""
    month = None if query.month is None else month_of(query.month)
    return Locks(locks=await locked(here.database, query.entity, month, query.limit))


async def lock_period(database: Database, commands: Commands, body: Locking) -> Lock:
    """As the route. Raises Problem 404 (no such entity), 409 (locked already), 422 (not over, or nothing stored)."""
    month = month_of(body.month)
    await commands.call(
        LOCK, {"entity": body.entity, "month": month, "by": body.by, "document": body.document}
    )
    return (await locked(database, body.entity, month))[0]


async def locked(database: Database, entity: str | None, month: date | None, limit: int = 100) -> list[Lock]:
    """Locked months, newest first."""
    rows = await database.rows(_Row, LOCKED, {"entity": entity, "month": month, "limit": limit})
    return [
        Lock(
            entity=r.entity,
            month=f"{r.month:%Y-%m}",
            by=r.locked_by,
            document=r.document,
            at=local_text(r.locked_at),
            co2_kg=_reported(r.co2_kg, r.co2_kg_now),
            kgce=_reported(r.kgce, r.kgce_now),
            parts=r.parts,
        )
        for r in rows
    ]


def _reported(then: Decimal | None, now: Decimal | None) -> Reported:
    difference = None if then is None or now is None else EXACT.subtract(now, then)
    return Reported(locked=optional_text(then), now=optional_text(now), difference=optional_text(difference))


def month_of(text: str) -> date:
    """A month's first day. Raises Problem naming field month."""
    try:
        return parse_month(text)
    except ValueError as error:
        raise invalid("month", f"{text!r}: {error}") from error
