"""Declarations in the database: written down from a file, approved by a second person, listed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg

from carbonstream.ops.load import fields
from carbonstream.ops.load.rows import Refusals, Row, read_rows
from carbonstream.processors.declared import MAX_DAYS, by_stock, in_thousandths
from carbonstream.processors.plain_text import not_negative
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER, UNITS
from carbonstream.schemas.codes import MeterKind
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import DAY_MS, SHANGHAI
from carbonstream.schemas.shards import shard_of, site_of

Connection = psycopg.Connection[Any]
COLUMNS: Final = (
    "meter_id", "first_day", "last_day", "opening", "purchases", "closing", "amount", "unit", "document",
)  # fmt: skip
STOCK: Final = ("opening", "purchases", "closing")
ALL: Final = """
select id, meter_id, first_day, last_day, amount::text, unit, document, declared_by, approved_by, rejected_by, reason,
       state, withdrawal_state, withdrawal_by, withdrawal_reason, withdrawal_decided_by
from declaration_state where %(id)s::bigint is null or id = %(id)s order by id
"""


@dataclass(frozen=True, slots=True)
class _Declared:
    meter_id: str
    first: date
    last: date
    stock: tuple[Decimal | None, ...]
    amount: Decimal
    unit: str
    thousandths: int
    document: str


def declare(connection: Connection, path: Path, by: str, now: datetime) -> list[dict[str, Any]]:
    """Write down a file's declarations, to be approved: all of them or none.

    Raises LoadRefused with every error as FILE:LINE: FIELD: VALUE: REMEDY.
    """
    refusals = Refusals()
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("lock table declaration in share row exclusive mode")
        ids: list[int] = []
        for row in read_rows(path, COLUMNS, refusals):
            found = _read(cursor, row, now)
            if found is None or not _fits(cursor, row, found):
                continue
            cursor.execute(
                """
                insert into declaration (meter_id, first_day, last_day, opening, purchases, closing, amount, unit,
                  thousandths, document, declared_by, declared_at, shard)
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id
                """,
                [found.meter_id, found.first, found.last, *found.stock, found.amount, found.unit,
                 found.thousandths, found.document, by, now, shard_of(site_of(found.meter_id))],
            )  # fmt: skip
            ids += [number for (number,) in cursor]
        refusals.raise_if_any()
    return [line for line in listed(connection) if line["id"] in ids]


def _read(cursor: psycopg.Cursor[Any], row: Row, now: datetime) -> _Declared | None:
    meter_id = row.take("meter_id", fields.identifier)
    first, last = row.take("first_day", _day), row.take("last_day", _day)
    unit, document = row.take("unit", fields.one_of(UNITS)), row.take("document", fields.name)
    stock = tuple(row.take_optional(column, not_negative) for column in STOCK)
    amount = row.take_optional("amount", not_negative)
    if not row.sound:
        return None
    opening, purchases, closing = stock
    if opening is not None and purchases is not None and closing is not None and amount is None:
        try:
            amount = by_stock(opening, purchases, closing)
        except ValueError as error:
            row.refuse("closing", str(error))
            return None
    elif amount is None or any(part is not None for part in stock):
        row.refuse("amount", "give either the amount, or opening, purchases and closing stock")
        return None
    if not first <= last < now.astimezone(SHANGHAI).date() or (last - first).days >= MAX_DAYS:
        row.refuse("last_day", f"must be past, not before first_day and within {MAX_DAYS} days of it")
        return None
    cursor.execute("select kind, multiplier, interval_s, carrier from meter where meter_id = %s", [meter_id])
    meter = cursor.fetchone()
    if meter is None:
        row.refuse("meter_id", "is no registered meter: load it with `carbonstream load meters.csv`")
        return None
    kind, multiplier, interval_s, carrier = meter
    if (kind, multiplier, interval_s * 1_000) != (MeterKind.INTERVAL, 1, DAY_MS):
        row.refuse(
            "meter_id", "declare for a meter of its own: kind interval, multiplier 1, interval_s 86400"
        )
        return None
    try:
        thousandths = in_thousandths(amount, unit, CARRIER_BY_NUMBER[carrier])
    except ValueError as error:
        row.refuse("unit", str(error))
        return None
    return _Declared(meter_id, first, last, stock, amount, unit, thousandths, document)


def _day(text: str) -> date:
    return fields.local_day(text).date()


def _fits(cursor: psycopg.Cursor[Any], row: Row, found: _Declared) -> bool:
    """Whether no other live period of the meter overlaps, and its validity covers this one."""
    cursor.execute(
        "select field, remedy from declaration_fault(%s, %s, %s)", [found.meter_id, found.first, found.last]
    )
    fault = cursor.fetchone()
    if fault is not None:
        row.refuse(*fault)
    return fault is None


def approve(connection: Connection, number: int, by: str) -> None:
    """Approve a declaration as a second person. Raises LoadRefused where it cannot be."""
    _call(connection, "select approve_declaration(%s, %s)", [number, by])


def reject(connection: Connection, number: int, by: str, reason: str) -> None:
    """Turn a pending declaration down, or withdraw one's own. Raises LoadRefused where it cannot be."""
    _call(connection, "select reject_declaration(%s, %s, %s)", [number, by, reason])


def withdraw(connection: Connection, number: int, by: str, reason: str) -> None:
    """Ask for an approved declaration to be withdrawn. Raises LoadRefused where it cannot be."""
    _call(connection, "select request_withdrawal(%s, %s, %s)", [number, by, reason])


def decide_withdrawal(
    connection: Connection, number: int, by: str, reason: str, *, is_approved: bool
) -> None:
    """Approve a withdrawal as a second person, or turn it down. Raises LoadRefused where it cannot be."""
    _call(connection, "select decide_withdrawal(%s, %s, %s, %s)", [number, by, is_approved, reason])


def _call(connection: Connection, statement: LiteralString, values: list[Any]) -> None:
    try:
        connection.execute(statement, values)
    except psycopg.Error as error:
        if (error.sqlstate or "").startswith("CS"):
            raise LoadRefused([error.diag.message_primary or str(error)]) from error
        raise


def listed(connection: Connection, number: int | None = None) -> list[dict[str, Any]]:
    """Declarations, oldest first."""
    names = (
        "id",
        "meter",
        "first_day",
        "last_day",
        "amount",
        "unit",
        "document",
        "declared_by",
        "approved_by",
        "rejected_by",
        "reason",
        "state",
        "withdrawal",
        "withdrawal_by",
        "withdrawal_reason",
        "withdrawal_decided_by",
    )
    return [
        dict(zip(names, (row[0], row[1], str(row[2]), str(row[3]), *row[4:]), strict=True))
        for row in connection.execute(ALL, {"id": number})
    ]
