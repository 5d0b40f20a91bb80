"""The coefficient table: append-only values, whose document and approver may be corrected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from psycopg.types.json import Jsonb

from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows

COLUMNS: Final = (
    "carrier", "kind", "scope", "month", "published_at", "value", "unit", "components",
    "document", "data_year", "approver",
)  # fmt: skip


class Key(NamedTuple):
    """What identifies a published value."""

    carrier: int
    kind: str
    scope: str
    month: date
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of table coefficient, without its id."""

    key: Key
    value: Decimal
    unit: str
    components: dict[str, str]
    document: str
    data_year: int | None
    approver: str


class Contradicted(NamedTuple):
    """A value that was published otherwise under the same key."""

    key: Key
    published: Decimal


def store(cursor: Rows, entries: Iterable[Entry], now: datetime) -> tuple[Counts, list[Contradicted]]:
    """Add what is new, correct what may be corrected, and say which values contradict what is published."""
    entries = list(entries)
    _stage(cursor, entries)
    cursor.execute(
        """
        select i.carrier, i.kind, i.scope, i.month, i.published_at, k.value
        from incoming_coefficient i join coefficient k using (carrier, kind, scope, month, published_at)
        where (k.value, k.unit) is distinct from (i.value, i.unit)
        """
    )
    contradicted = [Contradicted(Key(*row[:5]), row[5]) for row in cursor]
    cursor.execute(
        """
        with added as (
          insert into coefficient (carrier, kind, scope, month, published_at, value, unit, components,
                                   document, data_year, approver, loaded_at)
          select carrier, kind, scope, month, published_at, value, unit, components,
                 document, data_year, approver, %s
          from incoming_coefficient order by position
          on conflict (carrier, kind, scope, month, published_at) do nothing
          returning id
        )
        insert into changed select 'coefficient', id::text from added
        """,
        [now],
    )
    added = cursor.rowcount
    cursor.execute(
        """
        with corrected as (
          update coefficient k set (components, document, data_year, approver, loaded_at) =
            (i.components, i.document, i.data_year, i.approver, %s)
          from incoming_coefficient i
          where (k.carrier, k.kind, k.scope, k.month, k.published_at) =
                (i.carrier, i.kind, i.scope, i.month, i.published_at)
            and (k.value, k.unit) = (i.value, i.unit)
            and (k.components, k.document, k.data_year, k.approver) is distinct from
                (i.components, i.document, i.data_year, i.approver)
          returning k.id
        )
        insert into changed select 'coefficient', id::text from corrected
        """,
        [now],
    )
    return Counts(len(entries), added, cursor.rowcount), contradicted


def _stage(cursor: Rows, entries: list[Entry]) -> None:
    cursor.execute("drop table if exists incoming_coefficient")
    cursor.execute(
        """
        create temporary table incoming_coefficient (
          position int generated always as identity, carrier smallint not null, kind text not null,
          scope text not null, month date not null, published_at timestamptz not null, value numeric not null,
          unit text not null, components jsonb not null, document text not null, data_year smallint,
          approver text not null
        ) on commit drop
        """
    )
    with cursor.copy(f"copy incoming_coefficient ({', '.join(COLUMNS)}) from stdin") as copy:
        for row in _rows(entries):
            copy.write_row(row)


def _rows(entries: list[Entry]) -> Iterator[tuple[object, ...]]:
    for entry in entries:
        yield (
            *entry.key, entry.value, entry.unit, Jsonb(entry.components), entry.document, entry.data_year,
            entry.approver,
        )  # fmt: skip
