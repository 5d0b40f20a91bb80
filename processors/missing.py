"""What is missing of interval meters, seen from ticks and from what is stored. Pure.

A meter's intervals lie on the grid of processors.expectation. One is due when it lies within the meter's validity and
has ended; it is measured when rows that are no estimates cover it whole. What measured rows cover in part, or a meter
whose readings do not end on the grid, is left alone: an estimate beside them would count energy twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.meters import grown
from carbonstream.schemas.codes import ESTIMATED_QUALITIES, RowFlag
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, OFFSET_MS

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Array = NDArray[Any]
NONE: Final = -1  # no quantity
NO_INTERVAL: Final = 0
ROW: Final = np.dtype(
    [
        ("meter", "<i4"),  # dense number
        ("time", "<i8"),  # end, UTC ms
        ("start", "<i8"),
        ("quantity", "<i8"),  # thousandths
        ("quality", "<i2"),
        ("flags", "<i2"),
    ]
)


@dataclass(slots=True)
class Pace:
    """How far to look at a tick: `grace_ms` behind it, once ticks have gone on steadily for as long.

    Ticks that jump (a start, an outage) are followed by the readings that had waited: nothing is missing yet.
    """

    grace_ms: int
    last: int | None = None
    since: int = 0

    def upto(self, tick_ms: int) -> int | None:
        """UTC ms up to which an interval without a reading is missing; None: wait."""
        if self.last is None or tick_ms - self.last > self.grace_ms:
            self.since = tick_ms
        self.last = tick_ms
        return tick_ms - self.grace_ms if tick_ms - self.since >= self.grace_ms else None


def watchable(interval_ms: int) -> bool:
    """Whether intervals of this length can be estimated: they divide an hour, at which rows are cut, or are some."""
    return 0 < interval_ms <= DAY_MS and (HOUR_MS % interval_ms == 0 or interval_ms % HOUR_MS == 0)


class Watched:
    """Interval meters by dense number, and what was seen of each."""

    __slots__ = ("interval_ms", "is_odd", "is_open", "is_silent", "lengths", "valid_from", "valid_to")

    def __init__(self) -> None:
        self.lengths: list[int] = []  # of intervals there are, ms
        self.interval_ms: Ints = np.zeros(1, np.int64)  # NO_INTERVAL: not watched
        self.valid_from: Ints = np.zeros(1, np.int64)  # UTC ms
        self.valid_to: Ints = np.zeros(1, np.int64)
        self.is_open: Mask = np.zeros(1, np.bool_)  # its newest due interval is missing
        self.is_silent: Mask = np.zeros(
            1, np.bool_
        )  # no reading for so long that nothing is estimated any more
        self.is_odd: Mask = np.zeros(1, np.bool_)  # its readings do not end on the grid

    def register(self, number: Ints, interval_ms: Ints, valid_from: Ints, valid_to: Ints) -> None:
        """Add or replace meters; what was seen of them stays."""
        most = int(number.max(initial=0)) + 1
        for name in self.__slots__:
            array = getattr(self, name)
            if name != "lengths":
                setattr(self, name, grown(array, most, np.zeros(1, array.dtype)))
        self.lengths = np.unique(interval_ms).tolist()
        self.interval_ms[:] = NO_INTERVAL
        self.interval_ms[number], self.valid_from[number], self.valid_to[number] = (
            interval_ms,
            valid_from,
            valid_to,
        )

    def any_due(self, since: int, upto: int) -> bool:
        """Whether some interval may end in (since, upto]."""
        return any(_line(upto, length) > _line(since, length) for length in self.lengths)

    def due(self, since: int, upto: int) -> Ints:
        """How many intervals of each meter end in (since, upto], by number."""
        step = np.maximum(self.interval_ms, 1)
        first = np.maximum(-(-(self.valid_from + OFFSET_MS) // step) + 1, (since + OFFSET_MS) // step + 1)
        last = (np.minimum(self.valid_to, upto) + OFFSET_MS) // step
        return np.where(self.interval_ms == NO_INTERVAL, 0, np.maximum(last - first + 1, 0))

    def look(self, since: int, upto: int, rows: Array) -> Ints:
        """Numbers of the meters to be looked at closely, ascending: one misses an interval that ends in (since, upto],
        or is heard again.

        rows: measured ROWs of that time, of any meters.
        """
        number, size = rows["meter"].astype(np.int64), len(self.interval_ms)
        rows, number = rows[number < size], number[number < size]
        rows, number = (
            rows[self.interval_ms[number] != NO_INTERVAL],
            number[self.interval_ms[number] != NO_INTERVAL],
        )
        whole = (rows["flags"] & RowFlag.APPORTIONED) == 0
        on_grid = (rows["time"] + OFFSET_MS) % self.interval_ms[number] == 0
        came = np.bincount(number[whole & on_grid], minlength=size)
        self.is_odd[number[whole & ~on_grid]] = True
        self.is_odd[came > 0] = False
        lacking = (self.due(since, upto) > came) & ~self.is_odd & ~self.is_silent
        again = (came > 0) & (self.is_open | self.is_silent)
        return np.flatnonzero(lacking | again)


@dataclass(frozen=True, slots=True)
class Stored:
    """One meter's due intervals, oldest first; [n] each."""

    interval_ms: int
    end: Ints  # UTC ms
    measured: Ints  # thousandths; NONE
    estimate: Ints  # thousandths, where an estimate is in force; else NONE
    quality: Ints  # of the estimate
    is_missing: Mask  # nothing of it is measured
    came_backfill: bool  # the newest measured one
    is_over: bool  # no interval is due any more

    def runs(self) -> list[slice]:
        """Missing intervals that follow each other, longest possible, oldest first."""
        borders = np.flatnonzero(np.diff(np.concatenate([[False], self.is_missing, [False]]).astype(np.int8)))
        return [slice(int(a), int(b)) for a, b in borders.reshape(-1, 2)]

    def after(self, run: slice) -> int | None:
        """The measured quantity behind a run."""
        if run.stop == len(self.end) or self.measured[run.stop] == NONE:
            return None
        return int(self.measured[run.stop])

    def may_be_estimated(self, run: slice) -> bool:
        """Whether something was measured before it and, while it lasts, not by an import that may go on."""
        lasts = run.stop == len(self.end)
        return bool((self.measured[: run.start] != NONE).any()) and not (lasts and self.came_backfill)

    def to_send(self, run: slice, quantity: Ints, quality: int) -> Mask:
        """Which estimates of a run are to be told: those not yet known and, once both sides are, those that changed."""
        unknown: Mask = self.estimate[run] == NONE
        if run.stop == len(self.end):
            return unknown
        changed: Mask = (self.estimate[run] != quantity) | (self.quality[run] != quality)
        return unknown | changed


def stored_intervals(
    rows: Array, since: int, upto: int, interval_ms: int, validity: tuple[int, int]
) -> Stored:
    """One meter's intervals that end in (since, upto] and are due within `validity` (UTC ms).

    rows: its ROWs that end in (since, upto], each time once; parts of longer intervals add up.
    """
    first = max(
        _line(since, interval_ms), -(-(validity[0] + OFFSET_MS) // interval_ms)
    )  # index of the first start
    last = _line(min(upto, validity[1]), interval_ms)
    n = max(last - first, 0)
    begin = first * interval_ms - OFFSET_MS
    end = begin + np.arange(1, n + 1) * interval_ms
    low, high = (rows["start"] - begin) // interval_ms, (rows["time"] - 1 - begin) // interval_ms
    inside = (high >= 0) & (low < n)
    is_estimate = np.isin(rows["quality"], ESTIMATED_QUALITIES)
    fits = inside & (low == high)
    covered, quantity = (np.zeros((2, n), np.int64) for _ in range(2))
    of = is_estimate[fits].astype(np.int64), low[fits]
    np.add.at(covered, of, (rows["time"] - rows["start"])[fits])
    np.add.at(quantity, of, rows["quantity"][fits])
    touched = covered[0] > 0
    for row in np.flatnonzero(inside & (low != high) & ~is_estimate).tolist():  # longer than the interval
        touched[max(int(low[row]), 0) : int(high[row]) + 1] = True
        covered[0, max(int(low[row]), 0) : int(high[row]) + 1] = 0
    quality = np.zeros(n, np.int64)
    estimates = fits & is_estimate
    quality[low[estimates]] = rows["quality"][estimates]
    measured = np.flatnonzero(~is_estimate)
    newest = measured[rows["time"][measured].argmax()] if len(measured) else -1
    return Stored(
        interval_ms,
        end,
        np.where(covered[0] == interval_ms, quantity[0], NONE),
        np.where(covered[1] == interval_ms, quantity[1], NONE),
        quality,
        ~touched,
        newest >= 0 and bool(rows["flags"][newest] & RowFlag.BACKFILL),
        validity[1] <= upto,
    )


@dataclass(frozen=True, slots=True)
class Missing:
    """One row of table gap, UTC ms; until None: it lasts."""

    start: int
    until: int | None


def missing_of(stored: Stored, known: list[Missing], since: int) -> list[Missing]:
    """What a meter misses now: `known` before, and what is stored of the intervals that end after `since`.

    A run at the very beginning goes on what was missing before it.
    """
    found = [gap for gap in known if gap.until is not None and gap.until <= since]
    earlier = next((gap.start for gap in known if gap.start < since and gap not in found), None)
    runs = stored.runs()
    if earlier is not None and not (runs and runs[0].start == 0):
        first = int(stored.end[0]) - stored.interval_ms if len(stored.end) else since
        found.append(Missing(earlier, first))
    for run in runs:
        start = int(stored.end[run.start]) - stored.interval_ms
        start = earlier if run.start == 0 and earlier is not None else start
        lasts = run.stop == len(stored.end) and not stored.is_over
        found.append(Missing(start, None if lasts else int(stored.end[run.stop - 1])))
    return found


def _line(at: int, interval_ms: int) -> int:
    """Index of the last grid line not after `at`."""
    return (at + OFFSET_MS) // interval_ms
