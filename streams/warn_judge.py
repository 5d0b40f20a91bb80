"""Judge the targets that are due: read their totals, decide, and give the records to be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
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
from carbonstream.processors.warnings import Transition
from carbonstream.processors.warnings_agenda import Agenda, Due
from carbonstream.processors.warnings_closing import alive_since, closed_by_clock, closed_days, coverage
from carbonstream.processors.warnings_judging import Day, Sight, days_to_look_into, judge
from carbonstream.processors.warnings_record import UsedCoefficient, warning_record
from carbonstream.schemas.periods import DAY_MS
from carbonstream.schemas.warnings import Warning as WarningRecord
from carbonstream.streams.warn_book import load_histories
from carbonstream.streams.warn_ratios import ratio_verdicts
from carbonstream.streams.warn_totals import Totals, read_days, read_parts, read_totals

Connection = psycopg.Connection[Any]
Histories = Mapping[str, Sequence[Transition]]
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
    telling: list[Telling] = []
    for (start, end), dues in by_period.items():
        entities = sorted({due.target.number for due in dues})
        totals = read_totals(connection, entities, start, end, alive_since(agenda.now))
        sights = {
            due.target.key: sight_of(
                due, totals, expected.get(due.target.number, {}), agenda.now, calendar, rules
            )
            for due in dues
        }
        days = _days(connection, [(sight, told.get(key, {})) for key, sight in sights.items()])
        for due in dues:
            target, sight = due.target, sights[due.target.key]
            if not sight.known:
                telemetry.FAULTS.labels("warn", "total without coefficient").inc()
            histories = told.get(target.key, {})
            versions = {id_: len(history) for id_, history in histories.items()}
            if target.about.per_value:
                look = looking_at(connection, expected, agenda.now, calendar, rules)
                for ratio in ratio_verdicts(connection, sight, histories, look):
                    version = versions[ratio.id] = versions.get(ratio.id, 0) + 1
                    telling.append(
                        Telling(target, ratio.until, partial(ratio_record, target, ratio, version))
                    )
                if sight.waits:
                    agenda.wait(due)
                continue
            verdicts, waiting = judge(sight, histories, days[target.key], paces)
            if waiting:
                agenda.wait(due)
            for verdict in verdicts:
                version = versions[verdict.id] = versions.get(verdict.id, 0) + 1
                record = partial(warning_record, target, verdict, version)
                telling.append(Telling(target, verdict.until, record))
    records = _records(connection, telling, agenda.now)
    return sorted(records, key=lambda record: (record.bucket, record.id, record.version))


@dataclass(frozen=True, slots=True)
class Telling:
    """A change of a target's warning, judged up to `until` (UTC ms); record: of its parts and the time it is told."""

    target: Target
    until: int
    record: Callable[[Sequence[UsedCoefficient], int], WarningRecord]


def _days(
    connection: Connection, judged: Sequence[tuple[Sight, Histories]]
) -> dict[tuple[str, str, str], dict[int, Day]]:
    """By target, the days that judging it looks into; one read for all that look into the same day."""
    wanted: defaultdict[tuple[str, int], list[tuple[Target, int]]] = defaultdict(list)
    found: dict[tuple[str, str, str], dict[int, Day]] = {sight.target.key: {} for sight, _ in judged}
    for sight, histories in judged:
        target = sight.target
        if not target.about.per_value:
            for day in days_to_look_into(sight, histories):
                wanted[target.about.base, target.start + day * DAY_MS].append((target, day))
    for (base, start), looking in wanted.items():
        read = read_days(connection, base, {target.number for target, _ in looking}, start)
        for target, day in looking:
            found[target.key][day] = read[target.number]
    return found


def _records(connection: Connection, telling: Sequence[Telling], now: int) -> list[WarningRecord]:
    """The records of all changes; one read for all about the same time."""
    alike: defaultdict[tuple[str, int, int], list[Telling]] = defaultdict(list)
    for one in telling:
        alike[one.target.about.base, one.target.start, one.until].append(one)
    records = []
    for (base, start, until), found in alike.items():
        parts = read_parts(connection, base, {one.target.number for one in found}, start, until)
        records += [one.record(parts[one.target.number], now) for one in found]
    return records


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
