"""What the database knows of changes that may be quiet: when their coefficients were published, which months are
locked, and the raise that a change ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg

from carbonstream.processors.notices import Change
from carbonstream.processors.notices_quiet import coefficients_of, is_quiet, month_of
from carbonstream.schemas.periods import local_text, to_ms

Connection = psycopg.Connection[Any]
Key = tuple[str, int]  # warning and version

PUBLISHED: Final = "select id, published_at from coefficient where id = any(%s)"
LOCKED: Final = """
select e.id, l.month::text from locked_period l join entity e on e.number = l.entity
join (select distinct * from unnest(%s::text[], %s::text[])) as t (entity, month)
  on (t.entity, t.month) = (e.id, l.month::text)
"""
RAISED: Final = """
select t.warning, t.version, raised.changed_at, raised.backfill, raised.snapshot
from (select distinct * from unnest(%s::text[], %s::int[])) as t (warning, version)
cross join lateral (
  select h.changed_at, h.backfill, h.snapshot from warning_history h
  where h.id = t.warning and h.version < t.version and h.state = 'active' order by h.version desc limit 1) raised
"""


def quiet_of_changes(connection: Connection, changes: Sequence[Change]) -> set[Key]:
    """Those that are quiet, and those that end what was raised quietly."""
    records = [(_key(change), change.record) for change in changes]
    records += _raises(connection, [change for change in changes if not change.is_active])
    ids = sorted({one for _, record in records for one in coefficients_of(record)})
    published = {id_: to_ms(at) for id_, at in connection.execute(PUBLISHED, (ids,))} if ids else {}
    months = sorted({month for _, record in records if (month := month_of(record)) is not None})
    locked = set(connection.execute(LOCKED, _columns(months)).fetchall()) if months else set()
    return {key for key, record in records if is_quiet(record, published, locked)}


def _raises(connection: Connection, ends: Sequence[Change]) -> list[tuple[Key, Mapping[str, Any]]]:
    """The records that the ends take back, as far as the history holds them, by the ends' keys."""
    if not ends:
        return []
    by_key = {_key(change): change.record for change in ends}
    return [
        (
            (warning, version),
            {
                **by_key[warning, version],
                "changed_at": local_text(at),
                "backfill": backfill,
                "snapshot": snapshot,
            },
        )
        for warning, version, at, backfill, snapshot in connection.execute(RAISED, _columns(sorted(by_key)))
    ]


def _key(change: Change) -> Key:
    return change.warning, change.version


def _columns(rows: Sequence[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    return [first for first, _ in rows], [second for _, second in rows]
