"""coefficients.csv: monthly coefficients by carrier, kind and scope."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.library import Entry, Key, store
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows
from carbonstream.processors.factors import EXACT, months_of_year
from carbonstream.schemas.carriers import CARRIER_BY_ID, THOUSANDTHS, Carrier
from carbonstream.schemas.periods import SHANGHAI, month_text

COLUMNS: Final = ("carrier", "kind", "scope", "value", "unit", "document", "published_on", "approver")
MONTHS: Final = ("month", "data_year")  # one of them; a data year is the same value for its twelve months
ELECTRICITY_KINDS: Final = (
    "electricity_average",
    "electricity_excluding_traded_nonfossil",
    "electricity_fossil",
)
CALORIFIC: Final = "calorific"
UNIT: Final = re.compile(r"(kg|t)(CO2|ce)/(.+)")


def load_coefficients(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Publish coefficients. A published value stays: a revision is a row with a later published_on."""
    known = _known_scopes(cursor) | refusals.unsound
    entries: dict[Key, Entry] = {}
    rows: dict[Key, Row] = {}
    read = 0
    for row in read_rows(path, COLUMNS, refusals, either=MONTHS):
        read += 1
        for entry in _entries(row, known, now):
            first = rows.setdefault(entry.key, row)
            if first is not row:
                row.refuse(
                    "scope", f"line {first.line} gives {entry.key.month:%Y-%m} already: keep one of them"
                )
                break
            entries[entry.key] = entry
    counts, contradicted = store(cursor, entries.values(), now)
    for key, published in contradicted:
        rows[key].refuse(
            "value",
            f"{published} is published for {key.month:%Y-%m} and stays: "
            "publish a revision with a later published_on",
        )
    return Counts(read, counts.added, counts.changed)


def _known_scopes(cursor: Rows) -> set[str]:
    """Regions, and enterprises as enterprise:ID. Industries are looked up within INDUSTRY@REGION."""
    cursor.execute(
        """
        select code from region union all select id from entity where kind = 'enterprise'
        union all select code || '@' from industry
        """
    )
    return {scope for (scope,) in cursor}


def _entries(row: Row, known: set[str], now: datetime) -> Iterator[Entry]:
    """One entry a month; none of an unsound row."""

    def scope(text: str) -> str:
        industry, at, region = text.partition("@")
        if not (text in known if not at else industry + at in known and region in known):
            raise ValueError(
                "is no known scope: write a region 330000, an industry of a region C31@330500, "
                "or enterprise:ID"
            )
        return text

    carrier = row.take("carrier", _carrier)
    kind = row.take("kind", fields.one_of((*kinds_of(carrier), CALORIFIC)) if row.sound else fields.name)
    found_scope = row.take("scope", scope)
    months = _months(row)
    value = row.take("value", fields.not_negative)
    row.take("unit", fields.name)
    document, approver = row.take("document", fields.name), row.take("approver", fields.name)
    published_at = row.take("published_on", fields.local_day)
    if row.sound and published_at > now:
        row.refuse(
            "published_on",
            f"lies ahead of today, {now.astimezone(SHANGHAI):%Y-%m-%d}: load it when it is out",
        )
    if not row.sound:
        return
    try:
        per_base_unit, unit, components = in_base_units(value, row.values["unit"], carrier, kind)
    except ValueError as error:
        row.refuse("unit", str(error))
        return
    year = int(row.values["data_year"]) if row.values["data_year"] else None
    for month in months:
        key = Key(carrier.number, kind, found_scope, month, published_at)
        yield Entry(key, per_base_unit, unit, components, document, year, approver)


def _carrier(text: str) -> Carrier:
    return CARRIER_BY_ID[fields.one_of(CARRIER_BY_ID)(text)]


def kinds_of(carrier: Carrier) -> tuple[str, ...]:
    """The kinds of CO2 coefficient a carrier has."""
    return ELECTRICITY_KINDS if carrier.id == "electricity" else (carrier.co2_kind,)


def _months(row: Row) -> list[date]:
    if bool(row.values["month"]) == bool(row.values["data_year"]):
        row.refuse("month", "give either month or data_year")
        return []
    if row.values["month"]:
        return [row.take("month", fields.month)]
    year = row.take("data_year", fields.year)
    return [date.fromisoformat(month_text(m) + "-01") for m in months_of_year(year)] if row.sound else []


def in_base_units(
    value: Decimal, unit: str, carrier: Carrier, kind: str
) -> tuple[Decimal, str, dict[str, str]]:
    """The value per base unit of the carrier, its unit, and what was published where that is another.

    unit: kgCO2/kWh, tCO2/MWh, tCO2/t, kgce/m3 ...; exact to 60 digits. Raises ValueError with the remedy.
    """
    substance = "ce" if kind == CALORIFIC else "CO2"
    wanted = f"kg{substance}/{carrier.base_unit}"
    found = UNIT.fullmatch(unit)
    base, scale = THOUSANDTHS.get(found[3], (None, 0.0)) if found else (None, 0.0)
    if found is None or found[2] != substance or base is not carrier.base_unit:
        raise ValueError(f"does not measure {kind} of {carrier.id}: write {wanted}")
    if unit == wanted:
        return value, wanted, {}
    kilograms = value * (1000 if found[1] == "t" else 1)
    per_base = EXACT.divide(kilograms, EXACT.divide(Decimal(str(scale)), Decimal(1000)))
    return per_base, wanted, {"published_value": str(value), "published_unit": unit}
