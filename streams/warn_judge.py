"""Judge the targets that are due: read their totals, decide, and give the records to be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import psycopg

from carbonstream.connectors import telemetry
from carbonstream.processors.calendar_cn import Calendar
from carbonstream.processors.expectation import Span
from carbonstream.processors.indicators import CO2
from carbonstream.processors.pace import LOOK_BACK_DAYS, Paces
from carbonstream.processors.ratios_record import ratio_record
from carbonstream.processors.targets import Target
from carbonstream.processors.warning_rules import RuleBook
from carbonstream.processors.warnings_agenda import Agenda, Due
from carbonstream.processors.warnings_closing import alive_since, closed_by_clock, closed_days, coverage
from carbonstream.processors.warnings_judging import Sight, days_to_look_into, judge
from carbonstream.processors.warnings_record import warning_record
from carbonstream.schemas.periods import DAY_MS
from carbonstream.schemas.warnings import Warning as WarningRecord
from carbonstream.streams.warn_book import load_histories
from carbonstream.streams.warn_ratios import ratio_verdicts
from carbonstream.streams.warn_totals import Totals, read_day, read_parts, read_totals

Connection = psycopg.Connection[Any]
Expected = Mapping[int, Mapping[int, Sequence[Span]]]  # entity -> shard -> what it expects


def judge_due(
    connection: Connection,
    agenda: Agenda,
    taken: Sequence[Due],
    expected: Expected,
    calendar: Calendar,
    paces: Paces,
    rules: RuleBook,
) -> list[WarningRecord]:
    """The records of every change, by event time; what must be looked at again goes back to the agenda."""
    told = load_histories(connection, (due.target for due in taken))
    by_period: defaultdict[tuple[int, int], list[Due]] = defaultdict(list)
    for due in taken:
        by_period[due.target.start, due.target.end].append(due)
    records: list[WarningRecord] = []
    for (start, end), dues in by_period.items():
        entities = sorted({due.target.number for due in dues})
        totals = read_totals(connection, entities, start, end, alive_since(agenda.now))
        for due in dues:
            target = due.target
            sight = sight_of(due, totals, expected.get(target.number, {}), agenda.now, calendar, rules)
            if not sight.known:
                telemetry.FAULTS.labels("warn", "total without coefficient").inc()
            histories = told.get(target.key, {})
            versions = {id_: len(history) for id_, history in histories.items()}
            if target.about.per_value:
                look = looking_at(connection, expected, agenda.now, calendar, rules)
                for ratio in ratio_verdicts(connection, sight, histories, look):
                    versions[ratio.id] = versions.get(ratio.id, 0) + 1
                    parts = read_parts(connection, target, ratio.until)
                    records.append(ratio_record(target, ratio, versions[ratio.id], parts, agenda.now))
                if sight.waits:
                    agenda.wait(due)
                continue
            days = {
                day: read_day(connection, target, start + day * DAY_MS)
                for day in days_to_look_into(sight, histories)
            }
            verdicts, waiting = judge(sight, histories, days, paces)
            if waiting:
                agenda.wait(due)
            for verdict in verdicts:
                versions[verdict.id] = versions.get(verdict.id, 0) + 1
                parts = read_parts(connection, target, verdict.until)
                records.append(warning_record(target, verdict, versions[verdict.id], parts, agenda.now))
    return sorted(records, key=lambda record: (record.bucket, record.id, record.version))


def looking_at(
    connection: Connection, expected: Expected, now: int, calendar: Calendar, rules: RuleBook
) -> Callable[[Target], Sight]:
    """A look at another period of a target's entity, at `now` (UTC ms)."""

    def look(target: Target) -> Sight:
        totals = read_totals(connection, [target.number], target.start, target.end, alive_since(now))
        due = Due(target, target.start, quiet=True)
        return sight_of(due, totals, expected.get(target.number, {}), now, calendar, rules)

    return look


def sight_of(
    due: Due,
    totals: Totals,
    expected: Mapping[int, Sequence[Span]],
    now: int,
    calendar: Calendar,
    rules: RuleBook,
) -> Sight:
    """What is known of a target that is due, at `now` (UTC ms)."""
    target = due.target
    amounts = totals.daily.get(target.number, {})
    daily, known = _daily(target, amounts)
    covered = coverage(target.start, target.days, expected, totals.readings.get(target.number, {}))
    by_clock = closed_by_clock(target.start, target.days, now)
    closed = closed_days(covered, by_clock, live=target.number in totals.live, quiet=due.quiet)
    before = _before(target, amounts)
    return Sight(target, daily, known, before, covered, by_clock, closed, calendar, due.changed_from, rules)


def _before(target: Target, amounts: Mapping[int, tuple[Decimal | None, Decimal | None]]) -> list[Decimal]:
    """Sums of the days before the period, newest last; none before the newest that is unknown."""
    which = 0 if target.about.base == CO2 else 1
    found: list[Decimal] = []
    for day in range(1, LOOK_BACK_DAYS + 1):
        amount = amounts.get(target.start - day * DAY_MS, (Decimal(0), Decimal(0)))[which]
        if amount is None:
            break
        found.append(amount)
    return found[::-1]


def _daily(
    target: Target, amounts: Mapping[int, tuple[Decimal | None, Decimal | None]]
) -> tuple[list[Decimal], bool]:
    """Sums by day, up to the first that is unknown; whether there is none."""
    which = 0 if target.about.base == CO2 else 1
    found: list[Decimal] = []
    for day in range(target.days):
        amount = amounts.get(target.start + day * DAY_MS, (Decimal(0), Decimal(0)))[which]
        if amount is None:
            return found, False
        found.append(amount)
    return found, True
