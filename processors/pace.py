"""Rule pace: at the end of each closed local day, when a target will be used up if things go on as they do.

Three windows burn at once: the last 24 hours see a change at once, 7 days know the week, 28 days are hard to
disturb (ZJ 6.3.1.5, CES 7.3.2: a moving projection of the period's end). A window's level is what it used
against what its days use on average, by kind of day (processors.calendar_cn), so that a Sunday is compared
with Sundays and a coming holiday is expected to be one. A window's forecast is what the coming days use on
average, times its level.

The band runs from the lowest window less the noise to the highest window plus the noise; the forecast is the
middle window. Noise of m coming days is one standard deviation of a day from the average of its kind, of the
sum of m such days and of an average of the n days that are known: sqrt(SSR / n x (m + m x m / n)).

The warning becomes active when the whole band is above the target and its latest day of exhaustion is no
further ahead than days are known: a month of readings says nothing of the end of a year. It clears when the
forecast falls below 98 % of the target: a deadband (ISA-18.2). When the target is used up the state stays,
rule target-level tells it; a period that ends below its target ends cleared.

All sums and comparisons are exact, apart from the root and the average of squares, which are rounded at 100 digits.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate
from math import prod
from typing import Final

from carbonstream.processors.calendar_cn import DayKind
from carbonstream.processors.total_records import EXACT
from carbonstream.processors.warnings import State, Transition, state_after
from carbonstream.schemas.periods import DAY_MS

WINDOWS_DAYS: Final = (1, 7, 28)
LOOK_BACK_DAYS: Final = 56  # two of the longest window before the period: eight days of each kind of the week
CLEAR_BELOW: Final = Decimal(98)  # per cent of the target
ENOUGH: Final = 2  # days of a kind that give it an average of its own; below that it counts as any day
KINDS: Final = len(DayKind)


@dataclass(frozen=True, slots=True)
class Window:
    """One window's view: what the rest of the period will use, and the day (from 0) on which the target is
    reached, None for not within the period."""

    days: int
    used: Decimal
    rest: Decimal  # rounded half-even to 6 decimals: to be shown, never to decide
    exhausted: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is foreseen at the end of a day. Days count from 0, the period's first; None: not in the period.

    total: expected at the period's end, with low and high the ends of the band; exhausted, earliest, latest:
    the days on which forecast, upper and lower end of the band reach the target; known: amounts of
    the days it rests on, the day itself last.
    """

    used: Decimal
    total: Decimal
    low: Decimal
    high: Decimal
    exhausted: int | None
    earliest: int | None
    latest: int | None
    known: tuple[Decimal, ...]
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class _Level:
    """What a window used against what is usual for its days; usual amounts are times a common number."""

    days: int
    used: Decimal
    expected: Decimal

    def rest(self, coming: Decimal) -> Decimal:
        """The forecast of days for which `coming` is usual."""
        return EXACT.divide(EXACT.multiply(self.used, coming), self.expected)


@dataclass(slots=True)
class _View:
    """What a day's end is judged by: `now` days are known, `ahead` are to come; levels from low to high."""

    now: int
    ahead: int
    used: Decimal
    left: Decimal
    usual: list[Decimal]
    levels: list[_Level]
    squares: Decimal | None = None  # of deviations: most days are decided without

    @property
    def middle(self) -> _Level:
        return self.levels[(len(self.levels) - 1) // 2]


class Pace:
    """A period's days, and those before it that are known, prepared to be judged at the end of any of them.

    before: amounts of the days before the period, newest last; days before the first with any amount are
    left out, as nothing was metered then. daily: amounts of the period's closed days. kinds: DayKind of each
    of those days and of all days of the period, len(before) + days. clear_below: per cent of the target.
    Raises ValueError where the lengths do not fit.
    """

    def __init__(
        self,
        before: Sequence[Decimal],
        daily: Sequence[Decimal],
        kinds: Sequence[int],
        target: Decimal,
        clear_below: Decimal = CLEAR_BELOW,
    ) -> None:
        self.days = len(kinds) - len(before)
        if len(daily) > self.days:
            raise ValueError(f"{len(daily)} closed days in a period of {self.days}")
        amounts = [*before, *daily]
        idle = next((i for i, amount in enumerate(amounts) if amount), len(before))
        self.start = max(len(before) - idle, 0)  # index of the period's first day
        amounts, kinds = amounts[len(before) - self.start :], kinds[len(before) - self.start :]
        self.target = target
        self.clear_below = clear_below
        self.closed = len(daily)
        self._amounts = tuple(amounts)
        self._kinds = tuple(kinds)

    def digest(self, closed: int) -> bytes:
        """Of all that decides the first `closed` days of the period."""
        known = self._amounts[: self.start + closed]
        return blake2b(
            repr((self.start, self.target, self.clear_below, self._kinds, known)).encode(), digest_size=16
        ).digest()

    @cached_property
    def _sums(self) -> list[Decimal]:
        return _running(self._amounts)

    @cached_property
    def _by_kind(self) -> list[list[Decimal]]:
        pairs = list(zip(self._amounts, self._kinds, strict=False))
        return [[amount if k == kind else Decimal(0) for amount, k in pairs] for kind in range(KINDS)]

    @cached_property
    def _sums_of(self) -> list[list[Decimal]]:
        return [_running(of) for of in self._by_kind]

    @cached_property
    def _squares_of(self) -> list[list[Decimal]]:
        return [_running([EXACT.multiply(a, a) for a in of]) for of in self._by_kind]

    @cached_property
    def _counts_of(self) -> list[list[int]]:
        return [list(accumulate((int(k == kind) for k in self._kinds), initial=0)) for kind in range(KINDS)]

    def at_end_of(self, day: int) -> Forecast | None:
        """The forecast at the end of a closed day (from 0).

        None when the target is used up, or nothing is known: fewer than two days, or all of them nothing.
        """
        view = self._view(day)
        if view is None:
            return None
        lowest, middle, highest = view.levels[0], view.middle, view.levels[-1]
        coming = self._expected(view.usual, view.now, view.now + view.ahead)
        noise = self._noise(view, view.ahead)
        low = max(EXACT.subtract(lowest.rest(coming), noise), Decimal(0))

        def day_of(level: _Level, deviations: int) -> int | None:
            after = self._reached(view, level, deviations)
            return None if after is None else day + after

        return Forecast(
            used=view.used,
            total=_shown(EXACT.add(view.used, middle.rest(coming))),
            low=_shown(EXACT.add(view.used, low)),
            high=_shown(EXACT.add(view.used, EXACT.add(highest.rest(coming), noise))),
            exhausted=day_of(middle, 0),
            earliest=day_of(highest, 1),
            latest=day_of(lowest, -1),
            known=self._amounts[: view.now],
            windows=tuple(
                Window(level.days, level.used, _shown(level.rest(coming)), day_of(level, 0))
                for level in sorted(view.levels, key=lambda level: level.days)
            ),
        )

    def transitions(
        self, start_ms: int, since: int = 0, earlier: tuple[Transition, ...] = ()
    ) -> tuple[Transition, ...]:
        """Transitions of the closed days of the period, which begins at `start_ms` (UTC ms).

        A day's transition depends on it and on days before it only. earlier: those of the days before `since`,
        where they are known.
        """
        found = list(earlier)
        state = state_after(earlier)
        for day in range(since, self.closed):
            view = self._view(day)
            if view is None:
                continue
            if state is State.CLEARED and self._is_over(view):
                state = State.ACTIVE
            elif state is State.ACTIVE and self._is_under(view):
                state = State.CLEARED
            else:
                continue
            found.append(Transition(state, start_ms + day * DAY_MS))
        return tuple(found)

    def _view(self, day: int) -> _View | None:
        now = self.start + day + 1
        used = EXACT.subtract(self._sums[now], self._sums[self.start])
        left = EXACT.subtract(self.target, used)
        if left <= 0 or now < ENOUGH or not self._sums[now]:
            return None
        usual = self._usual(now)
        levels = []
        for days in WINDOWS_DAYS:
            expected = self._expected(usual, now - days, now) if days <= now else Decimal(0)
            if expected:
                levels.append(_Level(days, EXACT.subtract(self._sums[now], self._sums[now - days]), expected))
        if not levels:
            return None
        levels.sort(key=lambda level: level.rest(Decimal(1)))
        return _View(now, self.days - day - 1, used, left, usual, levels)

    def _is_over(self, view: _View) -> bool:
        """The whole band is above the target, and its latest exhaustion no further ahead than days are known."""
        lowest, coming = view.levels[0], self._expected(view.usual, view.now, view.now + view.ahead)
        if EXACT.multiply(lowest.used, coming) <= EXACT.multiply(view.left, lowest.expected):
            return False
        if EXACT.subtract(lowest.rest(coming), self._noise(view, view.ahead)) <= view.left:
            return False
        latest = self._reached(view, lowest, -1)
        return latest is not None and latest <= view.now

    def _is_under(self, view: _View) -> bool:
        """The forecast is below `clear_below`, or the period has ended below its target."""
        limit = EXACT.subtract(EXACT.scaleb(EXACT.multiply(self.target, self.clear_below), -2), view.used)
        coming = self._expected(view.usual, view.now, view.now + view.ahead)
        forecast = EXACT.multiply(view.middle.used, coming)
        return view.ahead == 0 or forecast < EXACT.multiply(limit, view.middle.expected)

    def _usual(self, now: int) -> list[Decimal]:
        """What a day of each kind uses on average, of the days before `now`, times one common number."""
        counts = [of[now] for of in self._counts_of]
        own = [n if n >= ENOUGH else now for n in counts]
        sums = [
            of[now] if n >= ENOUGH else self._sums[now] for n, of in zip(counts, self._sums_of, strict=True)
        ]
        common = prod(own)
        return [EXACT.multiply(total, Decimal(common // n)) for total, n in zip(sums, own, strict=True)]

    def _expected(self, usual: Sequence[Decimal], first: int, until: int) -> Decimal:
        """What is usual for the days [first, until)."""
        result = Decimal(0)
        for kind, counts in enumerate(self._counts_of):
            result = EXACT.add(result, EXACT.multiply(usual[kind], Decimal(counts[until] - counts[first])))
        return result

    def _noise(self, view: _View, ahead: int) -> Decimal:
        """One standard deviation of the sum of `ahead` coming days."""
        if view.squares is None:
            view.squares = self._squares(view.now)
        m, known = Decimal(ahead), Decimal(view.now)
        spread = EXACT.add(m, EXACT.divide(EXACT.multiply(m, m), known))
        return EXACT.sqrt(EXACT.multiply(EXACT.divide(view.squares, known), spread))

    def _squares(self, now: int) -> Decimal:
        """Sum of squared deviations of the days before `now` from the average of their kind."""
        result = Decimal(0)
        for sums, squares, counts in zip(self._sums_of, self._squares_of, self._counts_of, strict=True):
            if n := counts[now]:
                mean = EXACT.divide(EXACT.multiply(sums[now], sums[now]), Decimal(n))
                result = EXACT.add(result, max(EXACT.subtract(squares[now], mean), Decimal(0)))
        return result

    def _reached(self, view: _View, level: _Level, deviations: int) -> int | None:
        """After how many coming days a window's forecast, so many deviations away, reaches what is left."""

        def rest(ahead: int) -> Decimal:
            amount = level.rest(self._expected(view.usual, view.now, view.now + ahead))
            if not deviations:
                return amount
            return EXACT.add(amount, EXACT.multiply(Decimal(deviations), self._noise(view, ahead)))

        found = bisect_left(range(view.ahead + 1), view.left, key=rest)
        return found if found <= view.ahead else None


class Paces:
    """What was found of each target, so that a day is judged again only when it or a day before it changed: a total
    of the day under way changes all the time. Nothing is lost with it.
    """

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[int, bytes, tuple[Transition, ...]]] = {}

    def transitions(self, key: Hashable, pace: Pace, start_ms: int) -> tuple[Transition, ...]:
        """What pace.transitions gives. key: of the target."""
        closed, digest, told = self._found.get(key, (0, b"", ()))
        if closed > pace.closed or digest != pace.digest(closed):
            closed, told = 0, ()
        told = pace.transitions(start_ms, closed, told)
        self._found[key] = pace.closed, pace.digest(pace.closed), told
        return told


def _running(amounts: Sequence[Decimal]) -> list[Decimal]:
    return list(accumulate(amounts, EXACT.add, initial=Decimal(0)))


def _shown(amount: Decimal) -> Decimal:
    return EXACT.quantize(amount, Decimal("0.000001"))
