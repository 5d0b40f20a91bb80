"""The row step of a batch: the fast path, the staged path, and what was found already there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from carbonstream.connectors.database import COPY_HEADER, COPY_TRAILER, binary_rows, pg_time
from carbonstream.processors.rows import Rows, fold, is_equal
from carbonstream.schemas.codes import ESTIMATED_QUALITIES, Outcome, RowFlag
from carbonstream.schemas.periods import to_datetime, to_ms

Ints = NDArray[np.int64]
Cursor = psycopg.Cursor[Any]
NONE: Final = np.empty(0, np.int64)
ROW_COLUMNS: Final = "time, start, quantity, raw_index, meter, multiplier_version, quality, flags"
MULTIPLIER_VERSION: Final = 1
STORED_BEFORE: Final = -1  # `reading` of a row that an earlier batch stored
STAGE: Final = "create temporary table if not exists stage (like reading) on commit delete rows"
STAGED_INSERT: Final = (
    f"insert into reading ({ROW_COLUMNS}) select {ROW_COLUMNS} from stage on conflict do nothing"
)
# in a statement of its own: one statement doing both at once doubled totals under concurrency
STAGED_OLD: Final = """
select r.time, r.start, r.meter, r.quantity, coalesce(r.raw_index, -1), r.quality, r.flags
from reading r join stage s on s.time = r.time and s.meter = r.meter
where r.time between %s and %s
for update of r
"""
REPLACE: Final = """
update reading set start = %s, quantity = %s, raw_index = %s, quality = %s, flags = %s where time = %s and meter = %s
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the row step did.

    replaced: rows no longer in force, with `reading` STORED_BEFORE where an earlier batch had stored them, else the
    position of the reading of this batch; replaced_by: positions of the readings that took their place.
    """

    new: Rows
    replaced: Rows
    replaced_by: Ints
    code: Ints  # Outcome of each reading of the batch, duplicates found here included
    path: str


def store_fast(cursor: Cursor, rows: Rows, code: Ints) -> Stored:
    """Binary COPY straight into the hypertable. Raises UniqueViolation where a (time, meter) is taken."""
    if len(rows):
        copy_rows(cursor, "reading", rows)
    return Stored(rows, rows.take(NONE), NONE, code, "fast")


def store_staged(cursor: Cursor, rows: Rows, code: Ints) -> Stored:
    """COPY into `stage`, insert what is new; where something was there already, decide row by row."""
    folded = fold(rows)
    rows, code = folded.rows, code.copy()
    _mark(code, folded.equal, Outcome.DUPLICATE)
    copy_rows(cursor, "stage", rows)
    cursor.execute("savepoint staged")
    if cursor.execute(STAGED_INSERT).rowcount == len(rows):
        return Stored(rows, folded.replaced, _readings_at(rows, folded.replaced), code, "staged")
    cursor.execute("rollback to savepoint staged")
    return _merge(cursor, rows, folded.replaced, code)


def _merge(cursor: Cursor, rows: Rows, replaced_in_batch: Rows, code: Ints) -> Stored:
    """The same again is a duplicate; a measurement beats an estimate; else the later source offset wins."""
    old, at = _old_rows(cursor, rows)
    same = np.array([is_equal(rows, i, old, j) for j, i in enumerate(at.tolist())], np.bool_)
    weaker = np.isin(rows.quality[at], ESTIMATED_QUALITIES) & ~np.isin(old.quality, ESTIMATED_QUALITIES)
    _mark(code, rows.take(at[same]), Outcome.DUPLICATE)
    _mark(code, rows.take(at[weaker & ~same]), Outcome.SUPERSEDED)
    wins = ~same & ~weaker
    fresh = np.ones(len(rows), np.bool_)
    fresh[at] = False
    cursor.execute("truncate stage")
    copy_rows(cursor, "stage", rows.take(fresh))
    inserted = cursor.execute(STAGED_INSERT).rowcount
    assert inserted == int(fresh.sum()), "another writer stored rows of our meters"
    replacing = at[wins]
    cursor.executemany(REPLACE, [_replacement(rows, i) for i in replacing.tolist()])
    in_force = fresh.copy()
    in_force[replacing] = True
    replaced = old.take(wins)
    return Stored(
        rows.take(in_force),
        Rows(
            *(np.concatenate([getattr(replaced, n), getattr(replaced_in_batch, n)]) for n in Rows.__slots__)
        ),
        np.concatenate([rows.reading[replacing], _readings_at(rows, replaced_in_batch)]),
        code,
        "merged",
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
            (np.full(len(rows), MULTIPLIER_VERSION), 2),
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


def _mark(code: Ints, rows: Rows, outcome: Outcome) -> None:
    """Give readings that stored nothing their outcome; a reading is judged by its own end, its last part."""
    whole = (rows.flags & RowFlag.APPORTIONED) == 0
    code[rows.reading[whole]] = outcome


def _readings_at(rows: Rows, replaced: Rows) -> Ints:
    """For each replaced row the reading whose row took its (meter, time)."""
    if not len(replaced):
        return NONE
    reading = dict(zip(_keys(rows), rows.reading.tolist(), strict=True))
    return np.array([reading[key] for key in _keys(replaced)], np.int64)


def _keys(rows: Rows) -> list[tuple[int, int]]:
    return list(zip(rows.meter.tolist(), rows.time.tolist(), strict=True))


def _old_rows(cursor: Cursor, rows: Rows) -> tuple[Rows, Ints]:
    """Stored rows with a staged row's (time, meter), locked, and the staged row's position of each."""
    found = cursor.execute(STAGED_OLD, (_at(rows.time.min()), _at(rows.time.max()))).fetchall()
    columns = [[to_ms(row[0]) for row in found], [to_ms(row[1]) for row in found]]
    columns += [[row[k] for row in found] for k in range(2, 7)]
    time, start, meter, quantity, raw_index, quality, flags = (np.array(c, np.int64) for c in columns)
    old = Rows(time, start, meter, quantity, raw_index, quality, flags, np.full(len(found), STORED_BEFORE))
    at = {key: i for i, key in enumerate(_keys(rows))}
    return old, np.array([at[key] for key in _keys(old)], np.int64)


def _replacement(rows: Rows, i: int) -> tuple[Any, ...]:
    raw = int(rows.raw_index[i])
    return (
        _at(rows.start[i]),
        int(rows.quantity[i]),
        None if raw < 0 else raw,
        int(rows.quality[i]),
        int(rows.flags[i]),
        _at(rows.time[i]),
        int(rows.meter[i]),
    )


def _at(ms: Any) -> datetime:
    return to_datetime(int(ms))
