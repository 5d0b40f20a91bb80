"""coefficients.csv: monthly coefficients by carrier, kind and scope."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.library import Entry, Key, store
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows
from carbonstream.processors import plain_text
from carbonstream.processors.coefficient_units import CALORIFIC, in_base_units, kinds_of
from carbonstream.processors.factors import months_of_year
from carbonstream.schemas.carriers import CARRIER_BY_ID, Carrier
from carbonstream.schemas.periods import SHANGHAI, month_text

COLUMNS: Final = ("carrier", "kind", "scope", "value", "unit", "document", "published_on", "approver")
MONTHS: Final = ("month", "data_year")  # one of them; a data year is the same value for its twelve months


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
    value = row.take("value", plain_text.not_negative)
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


def _months(row: Row) -> list[date]:
    if bool(row.values["month"]) == bool(row.values["data_year"]):
        row.refuse("month", "give either month or data_year")
        return []
    if row.values["month"]:
        return [row.take("month", plain_text.month)]
    year = row.take("data_year", plain_text.year)
    return [date.fromisoformat(month_text(m) + "-01") for m in months_of_year(year)] if row.sound else []
