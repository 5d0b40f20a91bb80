"""Timeliness as it happens: of the readings that have been due for 15 minutes, how many are stored now.

Rows do not keep when they came, so it is measured while it can be: in windows between two passes. After a pause only
the last minutes are measured; of what was due before nobody can tell any more whether it had been in time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import psycopg

from carbonstream.processors.consistency import LATE_MS
from carbonstream.processors.rows import NOT_DUE
from carbonstream.schemas.codes import ESTIMATED_QUALITIES, Grain
from carbonstream.schemas.periods import DAY_MS, MINUTE_MS, bucket_start, to_datetime, to_ms
from carbonstream.streams.consistency_figures import due_of_sites, local_day, spans_of_sites

Connection = psycopg.Connection[Any]
WINDOW_MS: Final = 30 * MINUTE_MS  # at most: a reading counts as in time that came within LATE_MS + WINDOW_MS

IN_TIME: Final = """
select s.entity, count(*)
from reading r
join meter m on m.number = r.meter
join site s using (site_id)
left join meter_counting c on c.meter = r.meter and r.start >= c.valid_from and r.start < c.valid_to
where r.time > %s and r.time <= %s and r.start >= %s and r.start < %s and r.flags & %s = 0
  and r.quality <> all (%s) and coalesce(c.levels, case when m.boundary then 1 else 0 end) & 1 <> 0
group by 1
"""
ADD: Final = """
insert into timeliness as t (site, day, due, in_time) values (%s, %s, %s, %s)
on conflict (site, day) do update set due = t.due + excluded.due, in_time = t.in_time + excluded.in_time
"""
MOVE: Final = """
insert into timeliness_position (at) values (%s) on conflict (one) do update set at = excluded.at
"""


def measure_timeliness(connection: Connection, now: int) -> None:
    """Count what came due since the last pass. now: the stored clock, UTC ms; within the caller's transaction."""
    row = connection.execute("select at from timeliness_position").fetchone()
    end = now - LATE_MS
    if row is not None:
        start = max(to_ms(row[0]), end - WINDOW_MS)
        first, last = bucket_start(Grain.DAY, np.array([start, end]))
        for day in range(int(first), int(last) + 1, DAY_MS):
            _measure_day(connection, day, start, end)
    if row is None or end > to_ms(row[0]):
        connection.execute(MOVE, [to_datetime(end)])


def _measure_day(connection: Connection, day: int, start: int, end: int) -> None:
    if start >= end:
        return
    spans = spans_of_sites(connection, day, day + DAY_MS)
    before, after = due_of_sites(spans, day, start), due_of_sites(spans, day, end)
    bounds = [to_datetime(at) for at in (start, end, day, day + DAY_MS)]
    estimates = [int(q) for q in ESTIMATED_QUALITIES]
    came = dict(connection.execute(IN_TIME, [*bounds, NOT_DUE, estimates]).fetchall())
    lines = [
        (site, local_day(day), due - before[site], min(came.get(site, 0), due - before[site]))
        for site, due in after.items()
        if due > before[site]
    ]
    with connection.cursor() as cursor:
        cursor.executemany(ADD, lines)
