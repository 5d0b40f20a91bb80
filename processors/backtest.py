"""Rule pace tried on the past: what it would have said of budgets that were, and were not, kept.

Each month and each year that a series covers from end to end is judged twice, day by day as it would have
been live: with a budget of 90 % of what was used in truth, which is exceeded, and with one of 110 %, which is
kept. A warning ahead of the first is worth what it leaves to act; a warning of the second is a false alarm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any, Final

import numpy as np

from carbonstream.processors.calendar_cn import Calendar, day_kinds, local_day
from carbonstream.processors.pace import LOOK_BACK_DAYS, Pace
from carbonstream.processors.total_records import EXACT
from carbonstream.processors.warnings import State
from carbonstream.processors.warnings_levels import crossing_day, threshold
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, bucket_start, next_bucket

EXCEEDED_PERCENT: Final = Decimal(90)
KEPT_PERCENT: Final = Decimal(110)


@dataclass(frozen=True, slots=True)
class DailySeries:
    """Amounts of the local days of one meter without a gap; `first` is the first one's start (UTC ms)."""

    meter: str
    first: int
    daily: Sequence[Decimal]


@dataclass(frozen=True, slots=True)
class Trial:
    """One period of one meter. Days count from 0, the period's first.

    exhausted: the day in which 90 % are used; warned: the day at whose end the rule warned of it before, or
    None; false_alarm: the day at whose end it warned of a budget of 110 %, or None.
    """

    meter: str
    start: int
    exhausted: int
    warned: int | None
    false_alarm: int | None

    @property
    def days_ahead(self) -> int | None:
        """Whole days between the warning (at the end of a day) and the day of exhaustion."""
        return None if self.warned is None else self.exhausted - self.warned - 1


def trials(series: DailySeries, grain: Grain, calendar: Calendar) -> list[Trial]:
    """Each period of `grain` that the series covers and in which anything was used."""
    found: list[Trial] = []
    end = series.first + len(series.daily) * DAY_MS
    start = int(bucket_start(grain, np.array([series.first], np.int64))[0])
    while (until := next_bucket(grain, start)) <= end:
        if start >= series.first:
            at, days = (start - series.first) // DAY_MS, (until - start) // DAY_MS
            before = series.daily[max(at - LOOK_BACK_DAYS, 0) : at]
            found += _trial(series.meter, start, before, series.daily[at : at + days], calendar)
        start = until
    return found


def _trial(
    meter: str, start: int, before: Sequence[Decimal], daily: Sequence[Decimal], calendar: Calendar
) -> list[Trial]:
    used = Decimal(0)
    for amount in daily:
        used = EXACT.add(used, amount)
    budget = threshold(used, EXCEEDED_PERCENT)
    crossing = crossing_day(daily, budget) if used > 0 else None
    if crossing is None:
        return []
    first = int(local_day(np.array([start], np.int64))[0]) - len(before)
    kinds = day_kinds(np.arange(first, first + len(before) + len(daily), dtype=np.int64), calendar).tolist()
    warned = _first_warning(Pace(before, daily, kinds, budget), start)
    if warned is not None and warned >= crossing.day:
        warned = None
    kept = Pace(before, daily, kinds, threshold(used, KEPT_PERCENT))
    return [Trial(meter, start, crossing.day, warned, _first_warning(kept, start))]


def _first_warning(pace: Pace, start: int) -> int | None:
    raised = (t.bucket for t in pace.transitions(start) if t.state is State.ACTIVE)
    return next(((bucket - start) // DAY_MS for bucket in raised), None)


def summary(found: Iterable[Trial]) -> dict[str, Any]:
    """Counts of trials, and of the warnings the median and the least of whole days ahead (None for none)."""
    tried = list(found)
    ahead = sorted(trial.days_ahead for trial in tried if trial.days_ahead is not None)
    return {
        "exceeded": len(tried),
        "warned": len(ahead),
        "days_ahead_median": median(ahead) if ahead else None,
        "days_ahead_min": ahead[0] if ahead else None,
        "kept": len(tried),
        "false_alarms": sum(trial.false_alarm is not None for trial in tried),
    }
