"""consistency: computes the indicators of T/CES 6.4.3 of the last days again and again, keeps them, and warns.

Each pass is one transaction over one snapshot: figures, history, sum checks, warnings and their outbox rows. It rests
ten times as long as it took, so that it never takes more than a tenth of a core of the database, and at least
CARBONSTREAM_CONSISTENCY_S. The clock is the stored one, as warn's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import psycopg

from carbonstream.connectors import telemetry
from carbonstream.connectors.locks import Only
from carbonstream.connectors.rounds import OnlyService
from carbonstream.connectors.warning_rules import load_rule_book
from carbonstream.processors.consistency import Measure, measures
from carbonstream.processors.consistency_warnings import RULE, Missed, Told, changes, is_closed, missed_since
from carbonstream.processors.sum_check import SumCheck
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, bucket_start, to_datetime
from carbonstream.schemas.warnings import Warning as WarningRecord
from carbonstream.streams.consistency_figures import NATION, local_day, read_day
from carbonstream.streams.timeliness import measure_timeliness
from carbonstream.streams.warn_book import write_warnings
from carbonstream.streams.warn_totals import stored_clock

Connection = psycopg.Connection[Any]
DAYS: Final = (
    3  # a day is computed until it is this many days old: what comes later is a correction of its own
)
REST: Final = 10  # times as long as a pass took

WRITE: Final = """
insert into consistency as c (entity, indicator, period, part, whole, value, unit, target, met, closed, at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
on conflict (entity, indicator, period) do update set (part, whole, value, unit, target, met, closed, at) =
  (excluded.part, excluded.whole, excluded.value, excluded.unit, excluded.target, excluded.met, excluded.closed,
   excluded.at)
where (c.part, c.whole, c.target, c.met, c.closed) is distinct from
  (excluded.part, excluded.whole, excluded.target, excluded.met, excluded.closed)
"""
WRITE_CHECK: Final = """
insert into sum_check as s (parent, day, supplied, accounted, children, verdict, at) values (%s, %s, %s, %s, %s, %s, %s)
on conflict (parent, day) do update set (supplied, accounted, children, verdict, at) =
  (excluded.supplied, excluded.accounted, excluded.children, excluded.verdict, excluded.at)
where (s.supplied, s.accounted, s.children, s.verdict) is distinct from
  (excluded.supplied, excluded.accounted, excluded.children, excluded.verdict)
"""
TOLD: Final = "select id, version, state from warning where rule = %s and period = any (%s)"


class Consistency(OnlyService):
    """Runs passes until stopped."""

    name = "consistency"
    only = Only.CONSISTENCY

    def hold(self, connection: Connection) -> None:
        """Passes, with a rest after each."""
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        missed = Missed()
        while not self.stopping.is_set():
            began = time.monotonic()
            for record in compute(connection, self.config.partitions, missed, began * 1_000):
                self.log.info("warning", id=record.id, version=record.version, state=record.state)
            took = time.monotonic() - began
            telemetry.SECONDS.labels("consistency", "pass").observe(took)
            self.stopping.wait(max(self.config.consistency_s, REST * took))


def compute(connection: Connection, partitions: int, missed: Missed, passed_ms: float) -> list[WarningRecord]:
    """One pass, committed: indicators, sum checks and warnings of the last DAYS local days. Returns what was told.

    missed: brought up to date; empty at first, so that after a restart the on-delay of what is not told yet begins
    anew. passed_ms: of a clock that never stands still.
    The connection must be in isolation level repeatable read. Does nothing before there are a clock and a nation.
    """
    with connection.transaction():
        now = stored_clock(connection, partitions)
        if now <= 0:
            return []
        measure_timeliness(connection, now)
        today = int(bucket_start(Grain.DAY, np.array([now]))[0])
        found = {
            start: measures_of(connection, start, now)
            for start in range(today - (DAYS - 1) * DAY_MS, today + 1, DAY_MS)
        }
        told, rules = load_told(connection, found), load_rule_book(connection)
        names: dict[int, str] = dict(connection.execute("select number, id from entity").fetchall())
        records: list[WarningRecord] = []
        before, since = missed.until(now, passed_ms), dict[str, int]()
        for start, (measured, checks) in found.items():
            _write(connection, start, now, measured, checks, names)
            since |= missed_since(measured, names, before, start, now)
            records += changes(measured, names, told, rules, since, start, now)
        write_warnings(connection, records)
    missed.since, missed.now, missed.passed_ms = since, now, passed_ms
    for measure in found[today][0]:
        if names[measure.entity] == NATION and measure.value is not None:
            telemetry.CONSISTENCY.labels(measure.indicator.id).set(float(measure.value))
            telemetry.CONSISTENCY_MET.labels(measure.indicator.id).set(float(measure.met is True))
    return records


def measures_of(
    connection: Connection, start: int, now: int, sites: Iterable[int] = ()
) -> tuple[list[Measure], dict[str, SumCheck]]:
    """Measures of the local day that starts at `start` (UTC ms), and its sum checks; none where nothing is loaded."""
    figures, checks = read_day(connection, start, now)
    return (measures(figures, sites) if figures.nation else []), checks


def load_told(connection: Connection, days: Iterable[int]) -> dict[str, Told]:
    """What is told of the days' warnings, by id."""
    rows = connection.execute(TOLD, (RULE, [local_day(start) for start in days]))
    return {id_: Told(version, state) for id_, version, state in rows}


def _write(
    connection: Connection,
    start: int,
    now: int,
    measured: Sequence[Measure],
    checks: dict[str, SumCheck],
    names: dict[int, str],
) -> None:
    day, at, closed = local_day(start), to_datetime(now), is_closed(start, now)
    with connection.cursor() as cursor:
        cursor.executemany(
            WRITE,
            [
                (
                    names[m.entity],
                    m.indicator.id,
                    day,
                    m.part,
                    m.whole,
                    m.value,
                    m.indicator.unit,
                    m.indicator.target,
                    m.met,
                    closed,
                    at,
                )
                for m in measured
            ],
        )
        cursor.executemany(
            WRITE_CHECK,
            [
                (parent, day, c.supplied, c.accounted, c.children, c.verdict.value, at)
                for parent, c in checks.items()
            ],
        )
