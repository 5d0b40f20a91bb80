"""The row step of a batch: the fast path, the staged path, and what was found already there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import sql

from carbonstream.connectors.database import COPY_HEADER, COPY_TRAILER, binary_rows, pg_time
from carbonstream.processors.rows import STORED_BEFORE, Folded, Rows, fold, nothing_replaced
from carbonstream.schemas.periods import to_datetime

Cursor = psycopg.Cursor[Any]
ROW_COLUMNS: Final = "time, start, quantity, raw_index, meter, multiplier_version, quality, flags"
STAGE: Final = "create temporary table if not exists stage (like reading) on commit delete rows"
STAGED_INSERT: Final = """
insert into reading (time, start, quantity, raw_index, meter, multiplier_version, quality, flags)
select time, start, quantity, raw_index, meter, multiplier_version, quality, flags from stage
on conflict do nothing
"""
# in a statement of its own: one statement doing both at once doubled totals under concurrency
STAGED_OLD: Final = """
select (extract(epoch from r.time) * 1000)::bigint, (extract(epoch from r.start) * 1000)::bigint, r.meter,
  r.quantity, coalesce(r.raw_index, -1), r.quality, r.flags, r.multiplier_version
from reading r join stage s on s.time = r.time and s.meter = r.meter
where r.time between %s and %s
for update of r
"""
STAGED_UPDATE: Final = """
update reading r set start = s.start, quantity = s.quantity, raw_index = s.raw_index,
  multiplier_version = s.multiplier_version, quality = s.quality, flags = s.flags
from stage s where r.time = s.time and r.meter = s.meter and r.time between %s and %s
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the row step did: what became of the rows, and the path taken."""

    folded: Folded
    path: str


def store_fast(cursor: Cursor, rows: Rows) -> Stored:
    """Binary COPY straight into the hypertable. Raises UniqueViolation where a (time, meter) is taken."""
    if len(rows):
        copy_rows(cursor, "reading", rows)
    return Stored(nothing_replaced(rows), "fast")


def store_staged(cursor: Cursor, rows: Rows) -> Stored:
    """COPY into `stage`, insert what is new; where something was there already, decide row by row."""
    folded = fold(rows)
    copy_rows(cursor, "stage", folded.rows)
    cursor.execute("savepoint staged")
    if cursor.execute(STAGED_INSERT).rowcount == len(folded.rows):
        return Stored(folded, "staged")
    cursor.execute("rollback to savepoint staged")
    return Stored(_merge(cursor, rows, _old_rows(cursor, folded.rows)), "merged")


def _merge(cursor: Cursor, rows: Rows, old: Rows) -> Folded:
    """Insert or update what is in force once the rows are seen behind the stored ones."""
    folded = fold(rows, old)
    taken = set(_keys(old))
    fresh = np.array([key not in taken for key in _keys(folded.rows)], np.bool_)
    _through_stage(cursor, folded.rows.take(fresh), STAGED_INSERT, ())
    changed = folded.rows.take(~fresh)
    _through_stage(cursor, changed, STAGED_UPDATE, _span(changed))
    return folded


def _through_stage(cursor: Cursor, rows: Rows, statement: str, parameters: tuple[datetime, ...]) -> None:
    if not len(rows):
        return
    cursor.execute("truncate stage")
    copy_rows(cursor, "stage", rows)
    moved = cursor.execute(statement, parameters).rowcount
    if moved != len(rows):
        raise RuntimeError(
            f"{moved} of {len(rows)} rows could be stored: another process writes rows of this sink's meters; "
            "stop it, the batch is read again"
        )


def copy_rows(cursor: Cursor, table: str, rows: Rows) -> None:
    """Binary COPY of rows into a table with the columns of `reading`."""
    body = binary_rows(
        [
            (pg_time(rows.time), 8),
            (pg_time(rows.start), 8),
            (rows.quantity, 8),
            (rows.raw_index, 8),
            (rows.meter, 4),
            (rows.multiplier_version, 2),
            (rows.quality, 2),
            (rows.flags, 2),
        ],
        nullable=3,
    )
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        sql.Identifier(table), sql.SQL(ROW_COLUMNS)
    )
    with cursor.copy(statement) as copy:
        copy.write(COPY_HEADER + body + COPY_TRAILER)


def _old_rows(cursor: Cursor, rows: Rows) -> Rows:
    """Stored rows with a staged row's (time, meter), locked."""
    found = cursor.execute(STAGED_OLD, _span(rows)).fetchall()
    time, start, meter, quantity, raw_index, quality, flags, version = (
        np.array(found, np.int64).reshape(-1, 8).T
    )
    before = np.full(len(found), STORED_BEFORE)
    return Rows(time, start, meter, quantity, raw_index, quality, flags, before, version)


def _keys(rows: Rows) -> list[tuple[int, int]]:
    return list(zip(rows.meter.tolist(), rows.time.tolist(), strict=True))


def _span(rows: Rows) -> tuple[datetime, ...]:
    """First and last time, so that no other chunk is looked into."""
    return () if not len(rows) else (to_datetime(int(rows.time.min())), to_datetime(int(rows.time.max())))
