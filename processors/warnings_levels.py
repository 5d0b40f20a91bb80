"""Rule target-level: the cumulative total of a target's period reaches a level of it.

The total only grows with new readings, so the same levels are reached at any speed. The event's time is the
local hour whose rows reach the level, taken from the hours' sums and not from when somebody looked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from carbonstream.processors.total_records import EXACT


@dataclass(frozen=True, slots=True)
class Crossing:
    """The day (counted from 0) in which a level is reached, and the total before it."""

    day: int
    before: Decimal


def threshold(target: Decimal, level: Decimal) -> Decimal:
    """`level` per cent of a target, exact."""
    return EXACT.multiply(target, EXACT.scaleb(level, -2))


def crossing_day(daily: Sequence[Decimal], limit: Decimal) -> Crossing | None:
    """Where the cumulative sum of days first reaches `limit`."""
    total = Decimal(0)
    for day, amount in enumerate(daily):
        before, total = total, EXACT.add(total, amount)
        if total >= limit:
            return Crossing(day, before)
    return None


def crossing_hour(hours: Mapping[int, Decimal], before: Decimal, limit: Decimal) -> int | None:
    """Start (UTC ms) of the hour in which `before` plus the day's hours (start -> amount) first reaches
    `limit`.

    None where they do not: hours are kept for three years only, days for ever.
    """
    total = before
    for hour in sorted(hours):
        total = EXACT.add(total, hours[hour])
        if total >= limit:
            return hour
    return None
