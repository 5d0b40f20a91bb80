"""Estimate the missing intervals of a meter (VEE: linear interpolation, reference days).

An estimate knows what a live system knows: readings before the gap and, when the gap has ended, the first real
reading behind it. Nothing later. Up to LINEAR_MS the missing intervals lie on the line between those two; beyond, and
while the gap lasts, they are those of days alike (reference_days), moved to meet the day so far and the reading behind
(kriging).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.calendar_cn import Calendar
from carbonstream.processors.kriging import faded
from carbonstream.processors.reference_days import CONTEXT_MS, HISTORY_DAYS, reference
from carbonstream.schemas.codes import Quality
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, OFFSET_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LINEAR_MS: Final = 2 * HOUR_MS
PAST_MS: Final = (HISTORY_DAYS + 1) * DAY_MS + CONTEXT_MS  # what of a meter's past is looked at


@dataclass(frozen=True, slots=True)
class Past:
    """A meter's real readings in any order, each time once; those past the gap's start are not looked at."""

    end: Ints  # [n] UTC ms
    quantity: Ints  # [n] thousandths of the base unit


@dataclass(frozen=True, slots=True)
class Gap:
    """`intervals` missing intervals of `interval_ms` that follow each other from `start` on (UTC ms)."""

    start: int
    intervals: int
    interval_ms: int

    @property
    def ends(self) -> Ints:
        """[k] UTC ms of each missing interval's end."""
        return self.start + np.arange(1, self.intervals + 1) * self.interval_ms


@dataclass(frozen=True, slots=True)
class Estimate:
    """One quantity a missing interval, and how it was found: Quality.INTERPOLATED or REFERENCE_DAY."""

    quantity: Ints  # [k] thousandths, never negative
    quality: Quality


def estimate_gap(past: Past, gap: Gap, after: int | None, calendar: Calendar) -> Estimate | None:
    """Estimates of a gap's intervals; None where nothing is known before or behind it.

    after: quantity of the interval that follows the gap, thousandths; None while the gap lasts. The same values give
    the same estimate in whatever order they come. Multiples of all quantities give that multiple, but for rounding.
    """
    before = past.end <= gap.start
    end, quantity = past.end[before], past.quantity[before]
    if not len(end) and after is None:
        return None
    is_long = after is None or gap.intervals * gap.interval_ms > LINEAR_MS
    if is_long and DAY_MS % gap.interval_ms == 0:
        level = _by_reference_days(_grid(end, quantity, gap), gap, after, calendar)
        if level is not None:
            return Estimate(_thousandths(level), Quality.REFERENCE_DAY)
    return Estimate(_thousandths(_linear(end, quantity, gap, after)), Quality.INTERPOLATED)


def split_register_gap(total: int, weights: Ints) -> Ints:
    """A register's known difference over the missing intervals, in proportion to `weights`; the sum is exact.

    total: thousandths, not negative. weights: [k] estimates of the intervals; all zero: in equal parts. Part i is
    floor(total x W_i / W) - floor(total x W_(i-1) / W), with W_i the sum of the first i weights, in Python's integers:
    1e15 thousandths times their own sum does not fit in 64 bits.
    """
    if total < 0 or not len(weights) or int(weights.min()) < 0:
        raise ValueError(
            f"split {total} over {len(weights)} intervals: neither it nor a weight may be negative"
        )
    shares = weights.tolist() if weights.any() else [1] * len(weights)
    whole = sum(shares)
    borders = np.array([0, *(total * reached // whole for reached in accumulate(shares))], np.int64)
    return borders[1:] - borders[:-1]


def _linear(end: Ints, quantity: Ints, gap: Gap, after: int | None) -> Floats:
    """On the line from the newest reading to the one behind the gap; where one is not known, the other's level."""
    at, known = [], []
    if len(end):
        newest = int(end.argmax())
        at.append(int(end[newest]))
        known.append(float(quantity[newest]))
    if after is not None:
        at.append(gap.start + (gap.intervals + 1) * gap.interval_ms)
        known.append(float(after))
    return np.interp(gap.ends - gap.start, np.array(at, np.int64) - gap.start, known)


def _grid(end: Ints, quantity: Ints, gap: Gap) -> Floats:
    """[p] the quantities of the intervals before the gap, oldest first, NaN where missing."""
    length = PAST_MS // gap.interval_ms
    steps, off = np.divmod(end - gap.start, gap.interval_ms)
    on_grid = (off == 0) & (steps > -length)
    past = np.full(length, np.nan)
    past[length - 1 + steps[on_grid]] = quantity[on_grid]
    return past


def _by_reference_days(past: Floats, gap: Gap, after: int | None, calendar: Calendar) -> Floats | None:
    """[k] levels; None where a piece finds no reference."""
    context = max(CONTEXT_MS // gap.interval_ms, 1)
    found = []
    for piece in _pieces(gap):
        known = np.full(context + 1, np.nan)
        if piece.start == 0:
            known[:-1] = past[-context:]
        if piece.stop == gap.intervals and after is not None:
            known[-1] = after
        told = reference(past, known, piece, gap.start, gap.interval_ms, calendar)
        if told is None:
            return None
        inside = np.arange(context, len(told.level) - 1)
        aside = np.append(np.arange(context), len(told.level) - 1)
        apart = known - told.level[aside]
        departure = np.divide(
            apart, told.spread[aside], out=np.zeros_like(apart), where=told.spread[aside] > 0
        )
        step = faded(
            np.where(np.isnan(apart), np.nan, departure), aside * gap.interval_ms, inside * gap.interval_ms
        )
        found.append(told.level[inside] + told.spread[inside] * step)
    return np.concatenate(found)


def _pieces(gap: Gap) -> Iterator[slice]:
    """A gap of up to a day is one piece; a longer one is cut at local midnights, so that each day has its own kind."""
    if gap.intervals * gap.interval_ms <= DAY_MS:
        yield slice(0, gap.intervals)
        return
    day = (gap.start + np.arange(gap.intervals) * gap.interval_ms + OFFSET_MS) // DAY_MS
    cuts = [0, *(np.flatnonzero(np.diff(day)) + 1).tolist(), gap.intervals]
    for start, stop in pairwise(cuts):
        yield slice(start, stop)


def _thousandths(level: Floats) -> Ints:
    return np.rint(np.maximum(level, 0)).astype(np.int64)
