"""Has the meter's level or the shape of its day changed? Page's cumulative sums of likelihood ratios, hour by hour.

An hour's energy is judged against the habit of that hour and kind of day (a histogram of log energies). Were all
values k times the habit, the histogram read k times lower would fit better; were the clock s hours ahead, that of s
hours earlier. Each hypothesis gathers what every hour says for it, never below 0 (E. S. Page, Biometrika 41, 1954).
How much it takes is the meter's own: more than its normal life has ever said.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.vee.params import (
    BINS,
    BINS_PER_OCTAVE,
    HOURS,
    KINDS,
    RATIO_BINS,
    SHIFT_HOURS,
    TOP_OCTAVES,
    Params,
)
from carbonstream.processors.vee.profile import Habits
from carbonstream.schemas.codes import Check

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SCALES: Final = len(RATIO_BINS)
# The habit itself, each ratio, each shift
BIN_OF: Final = np.array([0, *RATIO_BINS, *(0 for _ in SHIFT_HOURS)], np.int64)
HOUR_OF: Final = np.array([0, *(0 for _ in RATIO_BINS), *SHIFT_HOURS], np.int64)
CHECK_OF: Final = np.array(
    [
        *([Check.MULTIPLIER] * (SCALES - 2)),
        Check.UNIT_TENFOLD,
        Check.UNIT_THOUSANDFOLD,
        *([Check.CLOCK] * len(SHIFT_HOURS)),
    ],
    np.int64,
)
# bits of RECENT.active
RATIO, TENFOLD, THOUSANDFOLD, SHAPE = (np.uint8(1 << i) for i in range(4))
UNIT: Final = TENFOLD | THOUSANDFOLD
GROUPS: Final = (
    (THOUSANDFOLD, SCALES - 1, SCALES),
    (TENFOLD, SCALES - 2, SCALES - 1),
    (RATIO, 0, SCALES - 2),
    (SHAPE, SCALES, SCALES + len(SHIFT_HOURS)),
)


def bin_of(energy: Floats, scale: Floats) -> Ints:
    """Bins of hours' mean values, `scale` being the meter's; 0 for zero, unbounded above."""
    with np.errstate(divide="ignore"):
        found = np.rint(BINS_PER_OCTAVE * np.log2(energy / scale)) + (BINS - BINS_PER_OCTAVE * TOP_OCTAVES)
    bins: Ints = np.maximum(found, 0).astype(np.int64)
    return bins


def weigh(habits: Habits, slot: Ints, kind: Ints, hour: Ints, bins: Ints, params: Params) -> Floats:
    """What one hour of each meter says for each hypothesis against its habit, nats; shape (n, hypotheses)."""
    weight = habits.profile["weight"][slot].astype(np.float64)
    at_hour = (hour[:, None] - HOUR_OF) % HOURS
    at_bin = bins[:, None] - BIN_OF
    # zero stays zero whatever the ratio
    at_bin = np.where(bins[:, None] == 0, 0, at_bin)
    outside = (at_bin < 0) | (at_bin >= BINS)
    cell = at_hour * BINS + np.where(outside, 0, at_bin)
    flat = habits.habit.reshape(len(habits.habit), -1)
    counts = flat[slot[:, None, None], np.arange(KINDS)[:, None] * (HOURS * BINS) + cell[:, None, :]]
    own = counts[np.arange(len(slot)), kind] / np.maximum(weight[np.arange(len(slot)), kind], 1)[:, None]
    every = counts.sum(axis=1, dtype=np.int64) / np.maximum(weight.sum(axis=1), 1)[:, None]
    known = params.own_share * (weight[np.arange(len(slot)), kind] > 0)[:, None]
    likely = np.log(np.where(outside, 0, known * own + (1 - known) * every) + params.floor)
    usual = np.repeat(likely[:, :1], likely.shape[1] - 1, axis=1)
    # a level has changed only where the values are strange at any hour: a night shift is none
    at = np.minimum(bins, BINS - 1)
    anywhere = np.where(bins < BINS, habits.profile["any"][slot, at] / 255, 0)
    usual[:, :SCALES] = np.maximum(
        usual[:, :SCALES], np.log(params.any_share * anywhere + params.floor)[:, None]
    )
    # nor has the clock where the day is like one of another kind: a holiday is none
    kinds = (counts[:, :, 0] / np.maximum(weight, 1)).max(axis=1)
    kinds = np.where(outside[:, 0], 0, kinds)
    usual[:, SCALES:] = np.maximum(usual[:, SCALES:], np.log(kinds + params.floor)[:, None])
    said: Floats = np.clip(likely[:, 1:] - usual, -params.llr_cap, params.llr_cap)
    return said


def decide(
    said: Floats, before: Floats, most: Floats, active: NDArray[np.uint8], params: Params
) -> tuple[Floats, Ints, NDArray[np.uint8]]:
    """(evidence now, hypothesis told or -1, groups that are told) of meters whose hour closed.

    said: nats of this hour; before: evidence so far; most: the most normal life said. A group (level, shape) that is
    told is not told again before its evidence has gone.
    """
    least = np.repeat(
        [params.llr_least, params.thousandfold_least, params.shape_least], [SCALES - 1, 1, len(SHIFT_HOURS)]
    )
    needed = np.maximum(least, params.llr_factor * most + params.llr_extra)
    evidence = np.clip(before + said, 0, np.maximum(needed * 1.2, params.llr_kept))
    share = evidence / needed
    told = np.full(len(said), -1)
    active = active.copy()
    for bit, first, last in GROUPS:
        highest = share[:, first:last].max(axis=1)
        is_active = (active & bit) != 0
        new = ~is_active & (highest >= 1)
        if bit == RATIO:
            new &= (active & UNIT) == 0  # ten times is four times too,
        elif bit == TENFOLD:
            new &= (
                highest * needed[:, first] > evidence[:, :first].max(axis=1) + params.llr_lead
            )  # and four nearly ten
        elif bit == SHAPE:
            new &= (active & (UNIT | RATIO)) == 0  # a night ten times as high is like a day
            new &= evidence[:, first:last].max(axis=1) > evidence[:, :first].max(axis=1)
        if new.any():
            best = first + evidence[:, first:last].argmax(axis=1)
            told = np.where(new & (told < 0), best, told)
        active = np.where(new, active | bit, np.where(is_active & (highest < 0.3), active & ~bit, active))
    return evidence, told, active
