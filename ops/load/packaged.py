"""The reference data of schemas/reference: regions, industries, domains, official coefficients."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from carbonstream.ops.load import outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.entities import Entity, register
from carbonstream.ops.load.fields import start_of
from carbonstream.ops.load.library import Entry, Key, store
from carbonstream.ops.load.outbox import Rows
from carbonstream.processors import factors
from carbonstream.processors.factors import Published
from carbonstream.schemas import carriers
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import month_text

FOLDER: Final = Path(carriers.__file__).parent / "reference"
APPROVER: Final = "packaged"  # who put the value in force here; the document names who issued it


def load_packaged(connection: Connection[Any], now: datetime) -> dict[str, Counts]:
    """Load what is packaged, all or nothing; a second time nothing changes and nothing is published.

    Raises LoadRefused where a packaged value contradicts one published under the same document's day.
    """
    with connection.transaction(), connection.cursor() as cursor:
        outbox.begin(cursor)
        regions = _regions(cursor)
        industries = _industries(cursor)
        entries = [_entry(published) for published in packaged_coefficients()]
        coefficients, contradicted = store(cursor, entries, now)
        if contradicted:
            raise LoadRefused(
                [
                    f"packaged coefficient {key.kind} of {key.scope}, {key.month:%Y-%m}, published "
                    f"{key.published_at:%Y-%m-%d}: {published} stands in the database: "
                    "remove what was loaded by hand"
                    for key, published in contradicted
                ]
            )
        outbox.publish(cursor)
    return {"regions": regions, "industries": industries, "coefficients": coefficients}


def packaged_coefficients() -> Iterator[Published]:
    """Every packaged coefficient."""
    electricity, fuel, coal, process = (
        (FOLDER / "factors" / name).read_text("utf-8")
        for name in (
            "electricity_cn.csv",
            "fuel_combustion_cn.csv",
            "standard_coal_gbt2589.csv",
            "process_cn.csv",
        )
    )
    return chain(
        factors.electricity(electricity),
        factors.combustion(fuel, coal),
        factors.calorific(coal, fuel),
        factors.process(process),
    )


def _entry(published: Published) -> Entry:
    month = date.fromisoformat(month_text(published.month) + "-01")
    key = Key(published.carrier, published.kind, published.scope, month, start_of(published.published_on))
    return Entry(
        key,
        published.value,
        published.unit,
        published.components,
        published.document,
        published.data_year,
        APPROVER,
    )


def _table(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _regions(cursor: Rows) -> Counts:
    rows = _table("regions.csv")
    columns = [[row[name] or None for row in rows] for name in rows[0]]
    changed = _upsert(cursor, REGIONS, columns)
    register(cursor, (Entity(f"region:{r['code']}", r["name_zh"], r["name_en"]) for r in rows), stored=False)
    return Counts(len(rows), *changed)


def _industries(cursor: Rows) -> Counts:
    rows = _table("industries.csv")
    changed = _upsert(cursor, INDUSTRIES, [[row[name] for row in rows] for name in rows[0]])
    named = [(f"industry:{r['code']}", r) for r in rows] + [
        (f"domain:{r['code']}", r) for r in _table("domains.csv")
    ]
    register(cursor, (Entity(id_, r["name_zh"], r["name_en"]) for id_, r in named), stored=False)
    return Counts(len(rows), *changed)


# A region stands after its parent in the file; the constraint is checked at the end of the statement.
REGIONS: Final = b"""
    insert into region as t (code, level, name_zh, name_en, parent, grid)
    select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
    on conflict (code) do update set (level, name_zh, name_en, parent, grid) =
      (excluded.level, excluded.name_zh, excluded.name_en, excluded.parent, excluded.grid)
    where (t.level, t.name_zh, t.name_en, t.parent, t.grid) is distinct from
      (excluded.level, excluded.name_zh, excluded.name_en, excluded.parent, excluded.grid)
    returning xmax = 0
"""
INDUSTRIES: Final = b"""
    insert into industry as t (code, name_zh, name_en, domain)
    select * from unnest(%s::text[], %s::text[], %s::text[], %s::text[])
    on conflict (code) do update set (name_zh, name_en, domain) =
      (excluded.name_zh, excluded.name_en, excluded.domain)
    where (t.name_zh, t.name_en, t.domain) is distinct from
      (excluded.name_zh, excluded.name_en, excluded.domain)
    returning xmax = 0
"""


def _upsert(cursor: Rows, statement: bytes, columns: list[list[Any]]) -> tuple[int, int]:
    """(added, changed) rows."""
    cursor.execute(statement, columns)
    inserted = [new for (new,) in cursor]
    return sum(inserted), len(inserted) - sum(inserted)
