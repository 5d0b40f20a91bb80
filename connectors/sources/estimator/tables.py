"""What the estimator reads of the database, and what it keeps there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray

from carbonstream.connectors.database import COPY_HEADER, COPY_TRAILER, PG_EPOCH_MS, integers
from carbonstream.processors.expectation import FOREVER_MS
from carbonstream.processors.missing import ROW, Missing, Watched, watchable
from carbonstream.schemas.codes import ESTIMATED_QUALITIES
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, SECOND_MS, to_datetime, to_ms

Ints = NDArray[np.int64]
Array = NDArray[Any]
Connection = psycopg.Connection[Any]
# ROW as binary COPY sends it: each field behind its length
WIDTHS: Final = {"meter": 4, "time": 8, "start": 8, "quantity": 8, "quality": 2, "flags": 2}
SENT: Final = np.dtype(
    [("fields", ">i2")]
    + [pair for name, width in WIDTHS.items() for pair in ((f"{name}_length", ">i4"), (name, f">i{width}"))]
)
POSITIONS: Final = "select partition, source_offset, tick_ms, reference from position"
METERS: Final = (
    "select number, meter_id, carrier, interval_s, valid_from, valid_to from meter where kind = 'interval'"
)
CAME: Final = """
copy (select meter, time, start, quantity, quality, flags from reading
  where time > %s and time <= %s and quality <> all (%s)) to stdout (format binary)
"""
# exact times: one look into the index of (time, meter) each, however many other meters there are
ROWS: Final = """
copy (select meter, time, start, quantity, quality, flags from reading
  where time >= %s and time <= %s and time = any (%s::timestamptz[]) and meter = any (%s::int[]))
to stdout (format binary)
"""
LOOKED_TO: Final = "select looked_to from estimator_position"
MOVE: Final = """
insert into estimator_position (looked_to) values (%s) on conflict (id) do update set looked_to = excluded.looked_to
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition of meter.readings is stored up to."""

    source_offset: int
    tick_ms: int
    reference: dict[str, int]


@dataclass(frozen=True, slots=True)
class MeterName:
    """What an estimate of a meter names."""

    meter_id: str
    carrier: int


def positions(connection: Connection) -> dict[int, Position]:
    """By partition."""
    return {n: Position(*rest) for n, *rest in connection.execute(POSITIONS).fetchall()}


def load_meters(connection: Connection, watched: Watched) -> dict[int, MeterName]:
    """Register all interval meters whose intervals can be estimated; their names by number."""
    names: dict[int, MeterName] = {}
    columns: list[tuple[int, int, int, int]] = []
    for number, meter_id, carrier, interval_s, valid_from, valid_to in connection.execute(METERS):
        if watchable(interval_s * SECOND_MS):
            names[number] = MeterName(meter_id, carrier)
            to = FOREVER_MS if valid_to is None else to_ms(valid_to)
            columns.append((number, interval_s * SECOND_MS, to_ms(valid_from), to))
    watched.register(*np.array(columns, np.int64).reshape(-1, 4).T)
    return names


def came(connection: Connection, since: int, upto: int) -> Array:
    """Measured ROWs that end in (since, upto], of all meters."""
    return _copied(
        connection, CAME, (to_datetime(since), to_datetime(upto), list(map(int, ESTIMATED_QUALITIES)))
    )


def rows_at(connection: Connection, meters: Ints, times: Ints) -> Array:
    """ROWs of these meters that end at `times` (UTC ms, ascending, of one local day at best)."""
    if not len(times):
        return np.empty(0, ROW)
    text = np.datetime_as_string(times.astype("datetime64[ms]"), timezone="UTC")
    bounds = to_datetime(int(times[0])), to_datetime(int(times[-1]))
    return _copied(connection, ROWS, (*bounds, "{" + ",".join(text.tolist()) + "}", integers(meters)))


def rows_between(connection: Connection, meters: Ints, since: int, upto: int, interval_ms: int) -> Array:
    """ROWs of meters of one interval length that end in (since, upto] on its grid, UTC ms."""
    step = min(interval_ms, HOUR_MS)
    found = [np.empty(0, ROW)]
    while since < upto:
        until = min(upto, (since // DAY_MS + 1) * DAY_MS)  # a chunk of the table is a day of UTC
        times = np.arange(since // step + 1, until // step + 1) * step
        found.append(rows_at(connection, meters, times))
        since = until
    return np.concatenate(found)


def _copied(connection: Connection, statement: LiteralString, values: tuple[Any, ...]) -> Array:
    with connection.cursor() as cursor, cursor.copy(statement, values) as copy:
        sent = b"".join(bytes(chunk) for chunk in copy)
    records = np.frombuffer(sent, SENT, offset=len(COPY_HEADER), count=_count(sent))
    rows = np.empty(len(records), ROW)
    for name in WIDTHS:
        rows[name] = records[name]
    for name in ("time", "start"):
        rows[name] = rows[name] // 1_000 + PG_EPOCH_MS
    return rows


def _count(sent: bytes) -> int:
    count, rest = divmod(len(sent) - len(COPY_HEADER) - len(COPY_TRAILER), SENT.itemsize)
    if rest:
        raise RuntimeError(f"a COPY of {len(sent)} bytes is not made of rows of {SENT.itemsize}")
    return count


def looked_to(connection: Connection) -> int | None:
    """Up to where intervals have been looked for, UTC ms; None before the first time."""
    row = connection.execute(LOOKED_TO).fetchone()
    return None if row is None else to_ms(row[0])


def move(connection: Connection, upto: int) -> None:
    """Remember up to where intervals have been looked for."""
    connection.execute(MOVE, (to_datetime(upto),))


def known_missing(connection: Connection, meters: Ints | None = None) -> dict[int, list[Missing]]:
    """What these meters, or all, missed so far."""
    found: dict[int, list[Missing]] = {}
    for meter, start, until in connection.execute(
        "select meter, start, until from gap where %s::int[] is null or meter = any (%s) order by 1, 2",
        [None if meters is None else integers(meters)] * 2,
    ):
        found.setdefault(meter, []).append(Missing(to_ms(start), None if until is None else to_ms(until)))
    return found


def write_missing(connection: Connection, missing: dict[int, list[Missing]]) -> None:
    """Replace what these meters miss."""
    if not missing:
        return
    lines = [
        (meter, to_datetime(gap.start), None if gap.until is None else to_datetime(gap.until))
        for meter, gaps in missing.items()
        for gap in gaps
    ]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("delete from gap where meter = any (%s)", [list(missing)])
        with cursor.copy("copy gap (meter, start, until) from stdin") as copy:
            for line in lines:
                copy.write_row(line)
