"""/v1/declarations: amounts that nobody meters, written down by one person and approved by another.

An approved declaration is sent to meter.readings by the service estimator; `carbonstream declare` does the same. What
was approved is withdrawn by two persons as well, and goes the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from carbonstream.api.decimals import EXACT, exact_text, optional_text
from carbonstream.api.meters import find_meter
from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import Problem, invalid
from carbonstream.api.publications import REFUSALS, Body, Person
from carbonstream.api.session import commanding
from carbonstream.processors.declared import MAX_DAYS, by_stock, in_thousandths
from carbonstream.processors.explanation import base_units
from carbonstream.processors.plain_text import not_negative
from carbonstream.schemas.carriers import CARRIER_BY_ID, CARRIER_BY_NUMBER, UNITS
from carbonstream.schemas.periods import local_text
from carbonstream.schemas.shards import shard_of, site_of

router = APIRouter(prefix="/declarations", tags=["declarations"], responses=REFUSALS)
Number = Annotated[int, Path(ge=1, lt=2**63)]
LISTED: Final = """
select d.id, d.meter_id, d.first_day, d.last_day, d.opening, d.purchases, d.closing, d.amount, d.unit, d.document,
       d.declared_by, d.declared_at, d.approved_by, d.approved_at, d.rejected_by, d.rejected_at, d.reason, d.state,
       d.withdrawal_state, d.withdrawal_by, d.withdrawal_at, d.withdrawal_reason, d.withdrawal_decided_by,
       d.withdrawal_decided_at, d.withdrawal_rejection,
       coalesce((select jsonb_agg(jsonb_build_object('month', to_char(t.month, 'YYYY-MM'), 'carrier', t.carrier,
         'declared', t.declared, 'co2_kg', t.co2_kg::text, 'kgce', t.kgce::text, 'inferred', t.inferred,
         'inferred_co2_kg', t.inferred_co2_kg::text, 'inferred_kgce', t.inferred_kgce::text) order by t.month)
         from true_up t where t.declaration = d.id), '[]') as true_ups
from declaration_state d
where (%(id)s::bigint is null or d.id = %(id)s) and (%(meter)s::text is null or d.meter_id = %(meter)s)
  and (%(state)s::text is null or d.state = %(state)s)
order by d.id desc limit %(limit)s
"""
SUBMIT: Final = """
select submit_declaration(%(meter)s, %(first)s, %(last)s, %(opening)s, %(purchases)s, %(closing)s, %(amount)s, %(unit)s,
  %(thousandths)s, %(document)s, %(by)s, %(shard)s::smallint)
"""
APPROVE: Final = "select approve_declaration(%(id)s, %(by)s)"
REJECT: Final = "select reject_declaration(%(id)s, %(by)s, %(reason)s)"
WITHDRAW: Final = "select request_withdrawal(%(id)s, %(by)s, %(reason)s)"
DECIDE_WITHDRAWAL: Final = "select decide_withdrawal(%(id)s, %(by)s, %(is_approved)s, %(reason)s)"
State = Literal["pending", "approved", "sent", "withdrawn", "rejected"]


class Submission(Body):
    """One declaration: the amount, or the three of stock (used = opening + purchases - closing). Numbers as text."""

    by: Person
    meter: Text = Field(examples=["330502-0001/COAL"])
    first_day: date
    last_day: date
    opening: Text = ""
    purchases: Text = ""
    closing: Text = ""
    amount: Text = ""
    unit: Text = Field(examples=["t"])
    document: Text = Field(min_length=1, max_length=300)


class Approval(Body):
    """Who approves."""

    by: Person


class Rejection(Body):
    """Who rejects or withdraws, and why."""

    by: Person
    reason: Text = Field(min_length=1, max_length=300)


class Withdrawal(BaseModel):
    """The newest request to withdraw a declaration."""

    state: Literal["pending", "approved", "sent", "rejected"] = Field(
        description="sent: on its way out of the totals"
    )
    requested_by: str
    requested_at: str
    reason: str
    decided_by: str | None
    decided_at: str | None
    rejection: str | None = Field(description="why it was turned down")


class TrueUp(BaseModel):
    """A local month of which fuel had been inferred before its amount was declared."""

    month: str
    carrier: str
    unit: str
    declared: str = Field(description="of the declaration's days in the month")
    co2_kg: str | None
    kgce: str | None
    inferred: dict[str, Any] = Field(description="what was shown, by carrier of its group")
    inferred_co2_kg: str | None
    inferred_kgce: str | None
    difference_co2_kg: str | None = Field(description="declared less inferred")
    difference_kgce: str | None


class Declaration(BaseModel):
    """A declared amount."""

    id: int
    meter: str
    first_day: str
    last_day: str
    opening: str | None
    purchases: str | None
    closing: str | None
    amount: str
    unit: str
    document: str
    state: State = Field(description="sent: on its way into the totals")
    declared_by: str
    declared_at: str
    approved_by: str | None
    approved_at: str | None
    rejected_by: str | None
    rejected_at: str | None
    reason: str | None = Field(description="why it was rejected")
    withdrawal: Withdrawal | None
    true_ups: list[TrueUp]


class Declarations(BaseModel):
    """Declarations, newest first."""

    declarations: list[Declaration]


class DeclarationsQuery(Parameters):
    """Which declarations."""

    meter: Text | None = None
    state: State | None = None
    limit: int = Field(100, ge=1, le=1_000)


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    meter_id: str
    first_day: date
    last_day: date
    opening: Decimal | None
    purchases: Decimal | None
    closing: Decimal | None
    amount: Decimal
    unit: str
    document: str
    declared_by: str
    declared_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    rejected_by: str | None
    rejected_at: datetime | None
    reason: str | None
    state: State
    withdrawal_state: Literal["pending", "approved", "sent", "rejected"] | None
    withdrawal_by: str | None
    withdrawal_at: datetime | None
    withdrawal_reason: str | None
    withdrawal_decided_by: str | None
    withdrawal_decided_at: datetime | None
    withdrawal_rejection: str | None
    true_ups: list[dict[str, Any]]


@router.post("", status_code=201, dependencies=[Depends(commanding)])
async def declare(body: Submission, here: Here) -> Declaration:
    """Write an amount down; it counts once a second person has approved it. 422 names the faulty field."""
    meter = await find_meter(here, body.meter)
    stock = {name: _number(name, getattr(body, name)) for name in ("opening", "purchases", "closing")}
    amount = _number("amount", body.amount)
    if amount is None and all(part is not None for part in stock.values()):
        opening, purchases, closing = (part for part in stock.values() if part is not None)
        try:
            amount = by_stock(opening, purchases, closing)
        except ValueError as error:
            raise invalid("closing", f"{closing} {error}", "correct one of the three") from error
    elif amount is None or any(part is not None for part in stock.values()):
        raise invalid(
            "amount", "is given beside stock, or neither is", "give either the amount, or all three of stock"
        )
    if body.unit not in UNITS:
        raise invalid("unit", f"{body.unit!r} is no unit", f"take one of {', '.join(UNITS)}")
    if (body.last_day - body.first_day).days >= MAX_DAYS:
        raise invalid("last_day", f"is {MAX_DAYS} days or more after first_day", "declare shorter periods")
    try:
        thousandths = in_thousandths(amount, body.unit, CARRIER_BY_ID[meter.carrier])
    except ValueError as error:
        raise invalid("unit", f"{body.unit} {error}", "correct unit or amount") from error
    id_ = await here.commands.call(
        SUBMIT,
        stock
        | {
            "meter": body.meter, "first": body.first_day, "last": body.last_day, "amount": amount, "unit": body.unit,
            "thousandths": thousandths, "document": body.document, "by": body.by,
            "shard": shard_of(site_of(body.meter)),
        },
    )  # fmt: skip
    return await _find(here, int(id_))


@router.get("")
async def listed(query: Annotated[DeclarationsQuery, Query()], here: Here) -> Declarations:
    """Declarations, newest first, with what they put in the place of inferred fuel."""
    values = {"id": None, "meter": query.meter, "state": query.state, "limit": query.limit}
    return Declarations(declarations=[_shown(row) for row in await here.database.rows(_Row, LISTED, values)])


@router.get("/{id_}")
async def one(id_: Number, here: Here) -> Declaration:
    """One declaration."""
    return await _find(here, id_)


@router.post("/{id_}/approve", dependencies=[Depends(commanding)])
async def approve(id_: Number, body: Approval, here: Here) -> Declaration:
    """Approve as another person than the one who declared it; the service estimator sends it."""
    await _find(here, id_)
    await here.commands.call(APPROVE, {"id": id_, "by": body.by})
    return await _find(here, id_)


@router.post("/{id_}/reject", dependencies=[Depends(commanding)])
async def reject(id_: Number, body: Rejection, here: Here) -> Declaration:
    """Turn a pending declaration down, or withdraw one's own; it stays listed and blocks no period."""
    await _find(here, id_)
    await here.commands.call(REJECT, {"id": id_, "by": body.by, "reason": body.reason})
    return await _find(here, id_)


@router.post("/{id_}/withdraw", dependencies=[Depends(commanding)])
async def withdraw(id_: Number, body: Rejection, here: Here) -> Declaration:
    """Ask for an approved declaration to be withdrawn; it counts until a second person has approved that."""
    await here.commands.call(WITHDRAW, {"id": id_, "by": body.by, "reason": body.reason})
    return await _find(here, id_)


@router.post("/{id_}/withdraw/approve", dependencies=[Depends(commanding)])
async def approve_withdrawal(id_: Number, body: Approval, here: Here) -> Declaration:
    """Approve a withdrawal as another person than the one who asked; the service estimator sends it."""
    values = {"id": id_, "by": body.by, "is_approved": True, "reason": None}
    await here.commands.call(DECIDE_WITHDRAWAL, values)
    return await _find(here, id_)


@router.post("/{id_}/withdraw/reject", dependencies=[Depends(commanding)])
async def reject_withdrawal(id_: Number, body: Rejection, here: Here) -> Declaration:
    """Turn a withdrawal down, or take one's own back; the declaration stands."""
    values = {"id": id_, "by": body.by, "is_approved": False, "reason": body.reason}
    await here.commands.call(DECIDE_WITHDRAWAL, values)
    return await _find(here, id_)


async def _find(here: Here, id_: int) -> Declaration:
    values = {"id": id_, "meter": None, "state": None, "limit": 1}
    found = await here.database.rows(_Row, LISTED, values)
    if not found:
        raise Problem(404, f"no declaration {id_}", remedy="GET /v1/declarations lists them")
    return _shown(found[0])


def _number(name: str, text: str) -> Decimal | None:
    if not text:
        return None
    try:
        return not_negative(text)
    except ValueError as error:
        raise invalid(name, f"{text!r}: {error}", "write a plain decimal number of zero or more") from error


def _shown(row: _Row) -> Declaration:
    return Declaration(
        id=row.id,
        meter=row.meter_id,
        first_day=str(row.first_day),
        last_day=str(row.last_day),
        opening=optional_text(row.opening),
        purchases=optional_text(row.purchases),
        closing=optional_text(row.closing),
        amount=exact_text(row.amount),
        unit=row.unit,
        document=row.document,
        state=row.state,
        declared_by=row.declared_by,
        declared_at=local_text(row.declared_at),
        approved_by=row.approved_by,
        approved_at=None if row.approved_at is None else local_text(row.approved_at),
        rejected_by=row.rejected_by,
        rejected_at=None if row.rejected_at is None else local_text(row.rejected_at),
        reason=row.reason,
        withdrawal=_withdrawal(row),
        true_ups=[_true_up(found) for found in row.true_ups],
    )


def _withdrawal(row: _Row) -> Withdrawal | None:
    if row.withdrawal_state is None or row.withdrawal_at is None:
        return None
    at = row.withdrawal_decided_at
    return Withdrawal(
        state=row.withdrawal_state,
        requested_by=row.withdrawal_by or "",
        requested_at=local_text(row.withdrawal_at),
        reason=row.withdrawal_reason or "",
        decided_by=row.withdrawal_decided_by,
        decided_at=None if at is None else local_text(at),
        rejection=row.withdrawal_rejection,
    )


def _true_up(found: dict[str, Any]) -> TrueUp:
    carrier = CARRIER_BY_NUMBER[found["carrier"]]
    return TrueUp(
        month=found["month"],
        carrier=carrier.id,
        unit=carrier.base_unit.value,
        declared=base_units(found["declared"]),
        co2_kg=_plain(found["co2_kg"]),
        kgce=_plain(found["kgce"]),
        inferred={
            fuel: {"value": _plain(figures["quantity"]), "unit": CARRIER_BY_ID[fuel].base_unit.value}
            | {name: _plain(figures[name]) for name in ("co2_kg", "kgce")}
            for fuel, figures in sorted(found["inferred"].items())
        },
        inferred_co2_kg=_plain(found["inferred_co2_kg"]),
        inferred_kgce=_plain(found["inferred_kgce"]),
        difference_co2_kg=_less(found["co2_kg"], found["inferred_co2_kg"]),
        difference_kgce=_less(found["kgce"], found["inferred_kgce"]),
    )


def _plain(value: str | None) -> str | None:
    return None if value is None else optional_text(Decimal(value))


def _less(declared: str | None, inferred: str | None) -> str | None:
    if declared is None or inferred is None:
        return None
    return optional_text(EXACT.subtract(Decimal(declared), Decimal(inferred)))
