"""Which past days an interval meter's gap is likened to, and what they say of it.

A day is looked at through a window: the gap's own times of day with CONTEXT_MS before it and one interval behind
it. Windows of earlier days are weighted by how near they are to what is known around the gap, and by age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.calendar_cn import Calendar, DayKind, day_kinds, local_day
from carbonstream.schemas.periods import DAY_MS, HOUR_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# General, not fitted. Halved or doubled, each moves the error of a plant, buildings, chargers and PV by 3 % at most.
HISTORY_DAYS: Final = 60  # beyond, the season is another
CONTEXT_MS: Final = 6 * HOUR_MS
NEAR_MS: Final = 4 * HOUR_MS  # of the context, what likeness is judged by
LIKE_DAYS: Final = 8  # about as many count: the 8th nearest weighs 1/e of a perfect likeness
AGE_DAYS: Final = 20  # a day this old weighs 1/e of one of today
MIN_DAYS: Final = 2  # one day gives no spread
JUDGED_DAYS: Final = 8  # whether kinds matter is judged on so many days,
JUDGED_FROM: Final = 4  # each told from so many before it
SPREAD_FLOOR: Final = 0.03  # of the window's variance: a few equal days prove no certainty


@dataclass(frozen=True, slots=True)
class Reference:
    """What like days say of a window of c + k + 1 intervals: context, gap, the interval behind the gap."""

    level: Floats  # [c + k + 1] thousandths; between mean and median, for total and for the single interval
    spread: Floats  # [c + k + 1] standard deviation


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of m earlier days; NaN is not known."""

    days_back: Ints  # [m] rising
    values: Floats  # [m, c + k + 1]; the gap's part is complete


def reference(
    past: Floats, known: Floats, piece: slice, first_start: int, interval_ms: int, calendar: Calendar
) -> Reference | None:
    """The reference of one piece of a gap; None where fewer than MIN_DAYS days can be seen.

    past: [p] the meter's grid up to the gap's first interval, NaN where missing. known: [c + 1] the context and the
    reading behind the piece, NaN where not known. piece: offsets from the gap's first interval, which starts at
    `first_start` (UTC ms).
    """
    context = len(known) - 1
    start = first_start + np.arange(piece.start - context, piece.stop + 1) * interval_ms
    windows = _windows(past, piece, context, DAY_MS // interval_ms)
    if len(windows.days_back) < MIN_DAYS:
        return None
    windows = _alike(windows, local_day(start), calendar, context)
    near = min(max(NEAR_MS // interval_ms, 1), context)
    weight = _likeness(windows, known, near) * np.exp(-windows.days_back / AGE_DAYS)
    return _summary(windows.values, weight)


def _windows(past: Floats, piece: slice, context: int, per_day: int) -> _Windows:
    """Windows that end before the gap begins, and whose own part of the gap is complete."""
    nearest = -(-piece.stop // per_day)
    days_back = np.arange(nearest, HISTORY_DAYS + 1)
    at = len(past) + np.arange(piece.start - context, piece.stop + 1) - days_back[:, None] * per_day
    seen = (at >= 0) & (at < len(past))
    values = np.full(at.shape, np.nan)
    values[seen] = past[at[seen]]
    complete = ~np.isnan(values[:, context:-1]).any(axis=1)
    return _Windows(days_back[complete], values[complete])


def _alike(windows: _Windows, day: Ints, calendar: Calendar, context: int) -> _Windows:
    """Windows whose days are of the same kinds; else equally working or resting; else all.

    day: [c + k + 1] local day of each interval of the gap's own window. The gap's days must be of the kind; where
    only those around it are not (a Monday's gap, a Tuesday's eve), what is around it is not known. Where this
    meter's own past is told as well by any days as by like ones, kinds mean nothing to it and all days are taken.
    """
    days, place = np.unique(day, return_inverse=True)
    kinds = day_kinds(days - np.append(0, windows.days_back)[:, None], calendar)
    for label in (kinds, kinds == DayKind.WORKING):
        match = (label[1:] == label[0])[:, place]
        alike = match[:, context:-1].all(axis=1)
        if alike.sum() >= MIN_DAYS:
            if not _kind_matters(windows.values[:, context:-1], alike):
                return windows
            return _Windows(windows.days_back[alike], np.where(match, windows.values, np.nan)[alike])
    return windows


def _kind_matters(gaps: Floats, same: NDArray[np.bool_]) -> bool:
    """Whether past days of the kind were nearer to the like days before them than to just any before them.

    gaps: [m, k] newest first. Undecided (too few to judge) counts as yes.
    """
    like = np.flatnonzero(same)
    by_kind = by_any = 0.0
    for i, row in enumerate(like[:JUDGED_DAYS].tolist()):
        older = like[i + 1 : i + 1 + JUDGED_FROM]
        if not len(older):
            break
        by_kind += float(np.abs(gaps[row] - gaps[older].mean(axis=0)).mean())
        by_any += float(np.abs(gaps[row] - gaps[row + 1 : row + 1 + JUDGED_FROM].mean(axis=0)).mean())
    return by_kind <= by_any


def _likeness(windows: _Windows, known: Floats, near: int) -> Floats:
    """[m] weights in (0, 1] by the mean distance of what is known just before and just behind the gap.

    The reading behind counts as half of those before: it is one, but on the other side.
    """
    context = len(known) - 1
    aside = np.r_[context - near : context, windows.values.shape[1] - 1]
    counts = np.append(np.ones(near), max(near / 2, 1))
    apart = np.abs(windows.values[:, aside] - known[context - near :])
    told = counts * ~np.isnan(apart)
    total = told.sum(axis=1)
    distance = np.divide(
        np.nansum(apart * counts, axis=1), total, out=np.full(len(apart), np.nan), where=total > 0
    )
    if np.isnan(distance).all():
        return np.ones(len(distance))
    distance = np.where(np.isnan(distance), np.nanmax(distance), distance)
    unit = float(np.sort(distance)[min(LIKE_DAYS, len(distance)) - 1])
    if unit == 0:
        return np.asarray(distance == 0, np.float64)
    return np.asarray(np.exp(-((distance / unit) ** 2)), np.float64)


def _summary(values: Floats, weight: Floats) -> Reference:
    """Weighted level and spread of each interval over the windows that know it; NaN where none does."""
    seen = ~np.isnan(values)
    weights = np.where(seen, weight[:, None], 0.0)
    total = weights.sum(axis=0)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    filled = np.where(seen, values, 0.0)
    mean = (weights * filled).sum(axis=0)
    order = np.argsort(filled, axis=0, kind="stable")
    reached = np.cumsum(np.take_along_axis(weights, order, 0), axis=0)
    middle = np.minimum((reached < 0.5).sum(axis=0), len(values) - 1)
    median = np.take_along_axis(np.take_along_axis(filled, order, 0), middle[None], 0)[0]
    variance = np.where(total > 0, (weights * (filled - mean) ** 2).sum(axis=0), np.nan)
    return Reference(np.where(total > 0, (mean + median) / 2, np.nan), _smooth(variance))


def _smooth(variance: Floats) -> Floats:
    """Standard deviations of a few days scatter: each is averaged with its neighbours', and none is nothing."""
    overall = float(np.nanmean(variance))
    deviation = np.sqrt(np.where(np.isnan(variance), overall, variance))
    padded = np.pad(deviation, 1, "edge")
    deviation = (padded[:-2] + deviation + padded[2:]) / 3
    return np.asarray(np.sqrt(0.9 * deviation**2 + SPREAD_FLOOR * overall), np.float64)
