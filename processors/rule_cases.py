"""A case of a rule: a series of amounts goes in, the warnings that the rules of a target tell come out.

The same function judges it that judges live targets (processors.warnings_judging), at the series' end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np

from carbonstream.processors.calendar_cn import Calendar
from carbonstream.processors.pace import LOOK_BACK_DAYS, Paces
from carbonstream.processors.ratios import Months, ValueAdded, months_of
from carbonstream.processors.ratios_record import RatioSight, judge_ratio
from carbonstream.processors.targets import Target
from carbonstream.processors.total_records import EXACT, text
from carbonstream.processors.warning_rules import RuleBook
from carbonstream.processors.warnings_closing import Coverage
from carbonstream.processors.warnings_judging import Day, Sight, days_to_look_into, judge
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, local_iso

VALUE_UNIT: Final = "1e4CNY"


class Told(NamedTuple):
    """One change of one warning; `at` is its bucket, local ISO 8601."""

    at: str
    rule: str
    level: str
    state: str


@dataclass(frozen=True, slots=True)
class Amounts:
    """Amounts (kg CO2 or kgce) of equal steps, an hour or a day each, from `start` (UTC ms, a local midnight)."""

    start: int
    step: int
    values: Sequence[Decimal]

    @property
    def end(self) -> int:
        """UTC ms at which the last one ends."""
        return self.start + self.step * len(self.values)


def warnings_of(target: Target, amounts: Amounts, calendar: Calendar, rules: RuleBook) -> list[Told]:
    """What all rules tell of a target once `amounts` are in and their whole days are closed, by event time."""
    sums: defaultdict[int, Decimal] = defaultdict(Decimal)
    hours: defaultdict[int, dict[int, Decimal]] = defaultdict(dict)
    for i, amount in enumerate(amounts.values):
        at = amounts.start + i * amounts.step
        day = (at - target.start) // DAY_MS
        sums[day] = EXACT.add(sums[day], amount)
        if amounts.step == HOUR_MS:
            hours[day][at] = amount
    closed = max(0, min(target.days, (amounts.end - target.start) // DAY_MS))
    first = max((amounts.start - target.start) // DAY_MS, -LOOK_BACK_DAYS)
    sight = Sight(
        target=target,
        daily=[sums[day] for day in range(target.days)],
        known=True,
        before=[sums[day] for day in range(first, 0)],
        covered=Coverage(
            np.ones(target.days, np.bool_), tuple(frozenset() for _ in range(target.days)), closed - 1
        ),
        by_clock=closed,
        closed=closed,
        calendar=calendar,
        changed_from=min(amounts.start, target.start),
        rules=rules,
    )
    days = {day: Day(hours[day]) for day in days_to_look_into(sight, {})}
    verdicts, _ = judge(sight, {}, days, Paces())
    return sorted(
        Told(
            local_iso(v.entry.transition.bucket), v.rule, text(v.level) or "", v.entry.transition.state.value
        )
        for v in verdicts
    )


def ratios_of(
    target: Target, amounts: Amounts, values: Mapping[date, Decimal], rules: RuleBook
) -> list[Told]:
    """The same of a target of an intensity or its change. values: value added of each month, 10,000 yuan."""
    told = {month: ValueAdded(month, value, VALUE_UNIT, False, 0) for month, value in values.items()}

    def months(of: Target) -> Months:
        whole = (amounts.end - of.start) // DAY_MS if amounts.start <= of.start else 0
        closed = max(0, min(of.days, whole))
        return months_of(of.period, of.days, closed, _daily(of, amounts)[:closed], told, None)

    other = target.compared_with
    sight = RatioSight(target, months(target), None if other is None else months(other), rules)
    return sorted(
        Told(local_iso(v.entry.transition.bucket), v.rule, "100", v.entry.transition.state.value)
        for v in judge_ratio(sight, {})
    )


def _daily(target: Target, amounts: Amounts) -> list[Decimal]:
    sums: defaultdict[int, Decimal] = defaultdict(Decimal)
    for i, amount in enumerate(amounts.values):
        day = (amounts.start + i * amounts.step - target.start) // DAY_MS
        sums[day] = EXACT.add(sums[day], amount)
    return [sums[day] for day in range(target.days)]


def differences(expected: Iterable[Told], found: Iterable[Told]) -> tuple[list[Told], list[Told]]:
    """(expected but not told, told but not expected), each once for every time too few or too many."""
    missing, more = list(expected), []
    for told in found:
        if told in missing:
            missing.remove(told)
        else:
            more.append(told)
    return sorted(missing), more
