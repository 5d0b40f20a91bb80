"""Rules intensity and change-rate: an amount per value added, and how that changed (T/ZJSEE 6.3.1.5 b, e, f, g).

Both are judged at the end of each month of the period: on all of its months so far, as long as each of them is closed
and its value added is known. A value added that comes or changes later is a correction like any other. All comparisons
are exact: no quotient is formed to decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from carbonstream.processors.indicators import VALUE_UNITS, unit_and_year
from carbonstream.processors.total_records import EXACT
from carbonstream.processors.warning_rules import Definition
from carbonstream.processors.warnings import State, Transition
from carbonstream.schemas.periods import DAY_MS

HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class ValueAdded:
    """The value added of an entity in a month, as it was loaded. value: in `unit`; loaded_ms: UTC ms."""

    month: date
    value: Decimal
    unit: str
    provisional: bool
    loaded_ms: int

    def in_1e4_cny(self, price_year: int | None) -> Decimal | None:
        """10,000 yuan at the prices of a year; None where it is told in others: prices are never mixed."""
        try:
            unit, year = unit_and_year(self.unit)
        except ValueError:
            return None
        scale = VALUE_UNITS.get(unit)
        if scale is None or year != price_year or self.value <= 0:
            return None
        return EXACT.multiply(self.value, scale)


@dataclass(frozen=True, slots=True)
class Months:
    """A period's months in order, as far as they are closed and all is known of them.

    ends: days of the period up to each month's end; amounts: kg CO2 or kgce; values: 10,000 yuan; told: the value
    added as loaded.
    """

    ends: tuple[int, ...]
    amounts: tuple[Decimal, ...]
    values: tuple[Decimal, ...]
    told: tuple[ValueAdded, ...]


def months_of(
    first: date,
    days: int,
    closed: int,
    daily: Sequence[Decimal],
    told: Mapping[date, ValueAdded],
    price_year: int | None,
) -> Months:
    """The months of a period of `days` days from `first`, up to the first that is open or unknown.

    closed: days of it that are closed; daily: its days' sums up to the first unknown one.
    """
    ends, amounts, values, used = [], [], [], []
    month, at = first, 0
    while at < days:
        following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
        end = at + (following - month).days
        value_added = told.get(month)
        value = None if value_added is None else value_added.in_1e4_cny(price_year)
        if value is None or value_added is None or min(closed, len(daily)) < end:
            break
        amount = Decimal(0)
        for day in daily[at:end]:
            amount = EXACT.add(amount, day)
        ends.append(end)
        amounts.append(amount)
        values.append(value)
        used.append(value_added)
        month, at = following, end
    return Months(tuple(ends), tuple(amounts), tuple(values), tuple(used))


@dataclass(frozen=True, slots=True)
class Compared:
    """What was judged at a month's end. amount / value: the intensity; before: that of the period compared with."""

    end: int  # days of the period up to there
    amount: Decimal
    value: Decimal
    before: tuple[Decimal, Decimal] | None = None

    def is_above(self, limit: Decimal, percent: Decimal = HUNDRED) -> bool:
        """Whether the intensity is above `percent` % of a limit, or its change rate (%) above the limit."""
        left, right = self._sides(limit, percent)
        return left > right

    def is_below(self, limit: Decimal, percent: Decimal = HUNDRED) -> bool:
        """The same the other way round."""
        left, right = self._sides(limit, percent)
        return left < right

    def _sides(self, limit: Decimal, percent: Decimal) -> tuple[Decimal, Decimal]:
        if self.before is None:
            bound = EXACT.multiply(EXACT.multiply(limit, self.value), percent)
            return EXACT.multiply(self.amount, HUNDRED), bound
        amount, value = self.before
        now = EXACT.multiply(EXACT.multiply(self.amount, value), HUNDRED)
        then = EXACT.multiply(EXACT.multiply(amount, self.value), EXACT.add(HUNDRED, limit))
        return now, then

    @property
    def intensity(self) -> Decimal:
        """Rounded half-even to 6 decimals: for people, never to decide."""
        return _quotient(self.amount, self.value)

    @property
    def change(self) -> Decimal | None:
        """Change rate in per cent, rounded half-even to 6 decimals."""
        if self.before is None:
            return None
        amount, value = self.before
        now, then = EXACT.multiply(self.amount, value), EXACT.multiply(amount, self.value)
        return _quotient(EXACT.multiply(EXACT.subtract(now, then), HUNDRED), then)


def comparisons(period: Months, before: Months | None) -> list[Compared]:
    """What can be judged, month by month. before: of a change rate, the period compared with, as far as it is known."""
    found = []
    amount = value = Decimal(0)
    amount_before = value_before = Decimal(0)
    for i, end in enumerate(period.ends):
        amount, value = EXACT.add(amount, period.amounts[i]), EXACT.add(value, period.values[i])
        if before is None:
            found.append(Compared(end, amount, value))
            continue
        if i >= len(before.ends):
            break
        amount_before = EXACT.add(amount_before, before.amounts[i])
        value_before = EXACT.add(value_before, before.values[i])
        if amount_before <= 0:  # nothing was metered then: there is no change to speak of
            break
        found.append(Compared(end, amount, value, (amount_before, value_before)))
    return found


def ratio_transitions(
    compared: Sequence[Compared], limit: Decimal, rule: Definition, start_ms: int
) -> tuple[Transition, ...]:
    """Transitions of a period that begins at `start_ms` (UTC ms); a month's bucket is its last day.

    intensity: active above the limit, clears below `clear_below` % of it. change-rate: active above the limit, clears
    `clear_by` percentage points below it.
    """
    found: list[Transition] = []
    state = State.CLEARED
    for at in compared:
        if state is State.CLEARED:
            changes = at.is_above(limit)
        elif at.before is None:
            changes = at.is_below(limit, rule.parameters["clear_below"])
        else:
            below = EXACT.subtract(limit, rule.parameters["clear_by"])
            changes = not at.is_above(below)
        if changes:
            state = State.ACTIVE if state is State.CLEARED else State.CLEARED
            found.append(Transition(state, start_ms + (at.end - 1) * DAY_MS))
    return tuple(found)


def _quotient(numerator: Decimal, denominator: Decimal) -> Decimal:
    return EXACT.quantize(EXACT.divide(numerator, denominator), Decimal("0.000001"))
