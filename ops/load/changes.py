"""multipliers.csv and exchanges.csv: what changes at a registered meter from an instant on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, LiteralString

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.processors.plain_text import not_negative
from carbonstream.schemas.carriers import THOUSANDTHS
from carbonstream.schemas.codes import MeterKind

MULTIPLIERS: Final = ("meter_id", "valid_from", "multiplier")
EXCHANGES: Final = ("meter_id", "at", "final_index", "initial_index", "modulus")
MAX_THOUSANDTHS: Final = 2**62  # an index is kept as a 64-bit integer of thousandths

METERS: Final = "select meter_id, kind, unit, valid_from from meter where meter_id = any(%s)"
STORED_VERSIONS: Final = (
    "select meter_id, valid_from, multiplier from meter_multiplier where meter_id = any(%s) "
    "and superseded_by is null"
)
STORED_EXCHANGES: Final = (
    "select meter_id, at, final_index, initial_index, modulus from register_exchange where meter_id = any(%s)"
)
BEHIND: Final = """
select max(r.time) from reading r join meter m on m.number = r.meter where m.meter_id = %s and r.time > %s
"""
FIRST_VERSIONS: Final = """
insert into meter_multiplier (meter_id, version, valid_from, multiplier, loaded_at)
select meter_id, 1, null, multiplier, %s from meter m
where meter_id = any(%s) and not exists (select from meter_multiplier v where v.meter_id = m.meter_id)
"""
NEXT_VERSION: Final = """
insert into meter_multiplier (meter_id, version, valid_from, multiplier, loaded_at)
select %(meter_id)s, max(version) + 1, %(valid_from)s, %(multiplier)s, %(now)s
from meter_multiplier where meter_id = %(meter_id)s
"""
EXCHANGE: Final = """
insert into register_exchange (meter_id, at, final_index, initial_index, modulus, loaded_at)
values (%s, %s, %s, %s, %s, %s)
"""


def multiplier(text: str) -> Decimal:
    """CT x PT: above zero, at most three decimals."""
    value = fields.positive(text)
    if value >= 10**9 or value * 1000 != int(value * 1000):
        raise ValueError("is CT x PT: below 1,000,000,000, with at most three decimals")
    return value


def load_multipliers(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Multipliers from an instant on, each a new version. What stands already is passed over."""
    taken = _read(
        path,
        refusals,
        MULTIPLIERS,
        lambda row: (row.take("valid_from", fields.instant), row.take("multiplier", multiplier)),
    )
    _refuse_unknown(cursor, taken)
    added = _new(cursor, taken, STORED_VERSIONS)
    for (meter_id, at), (row, _) in added.items():
        if (last := _stored_behind(cursor, meter_id, at)) is not None:
            row.refuse(
                "valid_from", f"intervals up to {last} are stored with the multiplier before: date it later"
            )
    add_versions(cursor, [(m, at, v[1]) for (m, at), (row, v) in added.items() if row.sound], now)
    return Counts(len(taken), len(added), 0)


def add_versions(cursor: Rows, versions: list[tuple[str, datetime, Decimal]], now: datetime) -> None:
    """New versions (meter, valid from, multiplier), and version 1 of meters that had only that."""
    meters = [meter_id for meter_id, _, _ in versions]
    cursor.execute(FIRST_VERSIONS, [now, meters])
    for meter_id, at, value in versions:
        cursor.execute(
            NEXT_VERSION, {"meter_id": meter_id, "valid_from": at, "multiplier": value, "now": now}
        )
    outbox.note(cursor, outbox.METER, meters)


def load_exchanges(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Exchanges and resets of registers. What stands already is passed over."""
    taken = _read(
        path,
        refusals,
        EXCHANGES,
        lambda row: (
            row.take("at", fields.instant),
            row.take("final_index", not_negative),
            row.take("initial_index", not_negative),
            row.take_optional("modulus", fields.positive),
        ),
    )
    units = _refuse_unknown(cursor, taken, only_registers=True)
    for (meter_id, _), (row, values) in taken.items():
        if row.sound:
            _refuse_unfit(row, values, Decimal(str(THOUSANDTHS[units[meter_id]][1])))
    added = _new(cursor, taken, STORED_EXCHANGES)
    for (meter_id, at), (row, _) in added.items():
        if (last := _stored_behind(cursor, meter_id, at)) is not None:
            row.refuse(
                "at", f"intervals up to {last} are stored without it: it cannot be between them any more"
            )
    for (meter_id, _), (row, values) in added.items():
        if row.sound:
            cursor.execute(EXCHANGE, [meter_id, *values, now])
    outbox.note(cursor, outbox.METER, [meter_id for (meter_id, _), (row, _) in added.items() if row.sound])
    return Counts(len(taken), len(added), 0)


Taken = dict[tuple[str, datetime], tuple[Row, tuple[Any, ...]]]  # by meter and instant


def _read(
    path: Path, refusals: Refusals, columns: tuple[str, ...], values: Callable[[Row], tuple[Any, ...]]
) -> Taken:
    """Rows by meter and instant, `values` giving the instant first."""
    taken: Taken = {}
    seen: dict[str, Row] = {}
    for row in read_rows(path, columns, refusals):
        meter_id, found = row.take("meter_id", fields.identifier), values(row)
        if row.sound and unique(seen, row, columns[1], f"{meter_id} {found[0].timestamp()}"):
            taken[meter_id, found[0]] = row, found
    return taken


def _refuse_unknown(cursor: Rows, taken: Taken, *, only_registers: bool = False) -> dict[str, str]:
    """Units of the meters; rows of meters that are not registered, or not there yet at that instant, are refused."""
    cursor.execute(METERS, [list({meter_id for meter_id, _ in taken})])
    known = {meter_id: (kind, unit, valid_from) for meter_id, kind, unit, valid_from in cursor}
    for (meter_id, at), (row, _) in taken.items():
        if meter_id not in known:
            row.refuse("meter_id", "is not registered: load it with --meters")
        elif only_registers and known[meter_id][0] != MeterKind.REGISTER:
            row.refuse("meter_id", "has no register: its values are quantities")
        elif at < known[meter_id][2]:
            row.refuse(
                "at" if only_registers else "valid_from", f"is before the meter's, {known[meter_id][2]}"
            )
    return {meter_id: unit for meter_id, (_, unit, _) in known.items()}


def _refuse_unfit(row: Row, values: tuple[Any, ...], scale: Decimal) -> None:
    _, final, initial, modulus = values
    for column, value in (("final_index", final), ("initial_index", initial), ("modulus", modulus)):
        thousandths = (value or 0) * scale
        if thousandths != int(thousandths) or thousandths > MAX_THOUSANDTHS:
            row.refuse(column, "must be whole thousandths of the base unit and at most 2^62 of them")
    if modulus is not None and initial >= modulus:
        row.refuse("initial_index", f"must be below the modulus, {modulus}")


def _new(cursor: Rows, taken: Taken, stored: LiteralString) -> Taken:
    """Sound rows that do not stand already; one that stands otherwise is refused."""
    cursor.execute(stored, [list({meter_id for meter_id, _ in taken})])
    known = {(meter_id, at): tuple(values) for meter_id, at, *values in cursor}
    for key, (row, values) in taken.items():
        if key in known and known[key] != values[1:]:
            standing = ", ".join(str(value) for value in known[key] if value is not None)
            row.refuse(
                _instant_column(row), f"is recorded with {standing} already, and stored intervals count by it"
            )
    return {key: found for key, found in taken.items() if found[0].sound and key not in known}


def _instant_column(row: Row) -> str:
    """The column of the instant."""
    return "at" if "at" in row.values else "valid_from"


def _stored_behind(cursor: Rows, meter_id: str, at: datetime) -> datetime | None:
    """The newest end of the meter's stored intervals that end after `at`."""
    cursor.execute(BEHIND, [meter_id, at])
    found = cursor.fetchone()
    return found[0] if found else None
