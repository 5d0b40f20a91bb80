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

from carbonstream.processors.vee.learning import CHANGED
from carbonstream.processors.vee.params import (
    BINS,
    BINS_PER_OCTAVE,
    HOURS,
    KINDS,
    RATIO_BINS,
    RATIOS,
    SHIFT_HOURS,
    STEPS_PER_OCTAVE,
    TOP_OCTAVES,
    ZERO_STEP,
    Params,
)
from carbonstream.processors.vee.profile import PER_NAT, Habits, parts_of, sum_of_kinds
from carbonstream.processors.vee.steps import TINY
from carbonstream.schemas.codes import Check

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Counts = NDArray[np.int16]

SCALES: Final = len(RATIO_BINS)
# The habit itself, each ratio, each shift
BIN_OF: Final = np.array([0, *RATIO_BINS, *(0 for _ in SHIFT_HOURS)], np.int64)[:, None]
HOUR_OF: Final = np.array([0, *(0 for _ in RATIO_BINS), *SHIFT_HOURS], np.int64)[:, None]
CELLS: Final = BINS + 2  # one either side, for what was never seen
KIND_AT: Final = np.arange(KINDS)[:, None] * (HOURS * BINS)
ALL_BINS: Final = np.arange(2 * BINS + 1)
# [hypothesis, bin]: the cell in which it looks for an energy; zero stays zero whatever the ratio, and nothing else is
CELL_OF: Final = 1 + np.where(
    (ALL_BINS > 0) & (ALL_BINS <= BIN_OF), -1, np.clip(ALL_BINS - BIN_OF * (ALL_BINS > 0), -1, BINS)
)
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
LEVEL_GROUPS: Final = 3  # of them
GONE: Final = 0.3  # of what decided: a level that was told is over
STEPS_PER_BIN: Final = STEPS_PER_OCTAVE // BINS_PER_OCTAVE
FIRST_UP: Final = RATIOS.index(2.0)
FIRST_FAR: Final = RATIOS.index(3.0)  # of those that lift a peak by `high_octaves`
UP_BINS: Final = np.array(RATIO_BINS[FIRST_UP:])
OCTAVES_OF: Final = np.log2(RATIOS).astype(np.float32)


def bin_of(energy: Array, scale: Array) -> Ints:
    """Bins of hours' mean values, `scale` being the meter's; 0 for zero, unbounded above."""
    octaves = np.log2(np.maximum(energy, TINY) / np.maximum(scale, TINY))
    found = np.rint(BINS_PER_OCTAVE * octaves) + (BINS - BINS_PER_OCTAVE * TOP_OCTAVES)
    bins: Ints = np.maximum(found, 0).astype(np.int64)
    return bins


def weigh(
    habits: Habits,
    slot: Ints,
    place: slice | Ints,
    kind: int | Ints,
    hour: int | Ints,
    bins: Ints,
    params: Params,
) -> Counts:
    """What one hour of each meter says for each hypothesis against its habit, 1 / PER_NAT; shape (hypotheses, n).

    place: the slots, a slice where they are neighbours. kind, hour: of all, or of each.
    """
    stale = (habits.table_of[place] != kind).nonzero()[0]
    if len(stale):
        _tabulate(habits, slot[stale], kind[stale] if isinstance(kind, np.ndarray) else kind, params)
    profile = habits.profile[place]
    low = np.minimum(bins, 2 * BINS)
    at = CELL_OF.take(low, axis=1)
    at += (hour - HOUR_OF) % HOURS * CELLS
    at += slot * (HOURS * CELLS)
    likely = habits.likely.reshape(-1).take(at).astype(np.int16)
    said: Counts = likely[1:]
    top = (
        BINS - BINS_PER_OCTAVE * TOP_OCTAVES + (profile["top"].astype(np.int64) - ZERO_STEP) // STEPS_PER_BIN
    )
    beyond = (low > top + BINS_PER_OCTAVE * params.beyond_octaves).nonzero()[0]
    if len(beyond):  # what was never seen at any hour may be k times what was seen at another hour
        of = low[beyond, None] - UP_BINS
        fits = profile["any"][beyond[:, None], np.clip(of, 0, BINS - 1)] * ((of > 0) & (of < BINS))
        told = _units(fits.T * np.float32(params.any_share / 255), params)
        said[FIRST_UP:SCALES, beyond] = np.maximum(said[FIRST_UP:SCALES, beyond], told)
    # A level has changed only where the values are strange at any hour: a night shift is none. Nor has the clock where
    # the day is like one of another kind: a holiday is none.
    inside = low < BINS
    at_bin = low * inside
    usual = np.zeros((2, len(slot)), np.float32)
    np.multiply(profile["any"][np.arange(len(slot)), at_bin], params.any_share / 255, out=usual[0])
    cells = slot * (KINDS * HOURS * BINS) + hour * BINS + at_bin
    counts = habits.habit.reshape(-1).take(cells + KIND_AT)
    np.maximum.reduce(counts / np.maximum(profile["weight"].T, 1), axis=0, out=usual[1])
    usual *= inside
    level, shape = np.maximum(_units(usual, params), likely[0])
    said[:SCALES] -= level
    said[SCALES:] -= shape
    cap = int(params.llr_cap * PER_NAT)
    return np.minimum(np.maximum(said, -cap, out=said), cap, out=said)


def _tabulate(habits: Habits, slot: Ints, kind: int | Ints, params: Params) -> None:
    """Make the tables of likelihoods for days of a kind."""
    weight = habits.profile["weight"][slot].astype(np.float32)
    rows = np.arange(len(slot))
    own_weight = weight[rows, kind]
    known = params.own_share * (own_weight > 0)
    of_all = ((1 - known) / np.maximum(weight.sum(axis=1), 1) / params.floor).astype(np.float32)
    of_own = (known / np.maximum(own_weight, 1) / params.floor).astype(np.float32)
    kinds = np.broadcast_to(kind, len(slot))
    for part in parts_of(len(slot)):
        counts = habits.habit[slot[part]]
        likely = sum_of_kinds(counts) * of_all[part, None, None]
        likely += counts[np.arange(len(counts)), kinds[part]] * of_own[part, None, None]
        likely += 1
        np.log(likely, out=likely)
        likely *= PER_NAT
        likely += np.float32(0.5)
        table = np.zeros((len(counts), HOURS, CELLS), np.uint8)
        table[:, :, 1:-1] = likely
        habits.likely[slot[part]] = table
    habits.table_of[slot] = kind


def _units(probability: Floats, params: Params) -> Counts:
    """log of probabilities against that of what was never seen, 1 / PER_NAT."""
    units = np.log(probability * np.float32(1 / params.floor) + np.float32(1))
    units *= PER_NAT
    whole: Counts = np.rint(units, out=units).astype(np.int16)
    return whole


def least_of(params: Params) -> Floats:
    """Nats that decide for the steadiest meter, by hypothesis."""
    return np.repeat(
        [params.llr_least, params.thousandfold_least, params.shape_least], [SCALES - 1, 1, len(SHIFT_HOURS)]
    ).astype(np.float32)


def remembered(params: Params) -> Counts:
    """Evidence, 1 / PER_NAT by hypothesis, up to which a meter needs no more than the steadiest one."""
    return (PER_NAT * (least_of(params) - params.llr_extra) / params.llr_factor).astype(np.int16)


def needed_of(most: Array, params: Params) -> Floats:
    """Nats that decide. most: the most that normal life said, nats; shape (n, hypotheses)."""
    needed: Floats = np.float32(params.llr_factor) * most + np.float32(params.llr_extra)
    return np.maximum(needed, least_of(params), out=needed)


def lower_needed(needed: Floats, high: NDArray[np.bool_], params: Params) -> None:
    """On days with values far above all the meter ever had normal life has no part in what says three times and more.
    Changes `needed`."""
    needed[high, FIRST_FAR:SCALES] = least_of(params)[FIRST_FAR:SCALES]


def limited(nats: Floats, needed: Floats, params: Params) -> Floats:
    """Evidence as far as it is kept. Higher levels fall together: by how much one is likelier than another stays."""
    limit = np.maximum(needed * np.float32(1.2), params.llr_kept)
    up = nats[:, FIRST_UP:SCALES]
    over = (up - limit[:, FIRST_UP:SCALES]).max(axis=1)
    np.maximum(up - np.maximum(over, 0)[:, None], 0, out=up)
    kept: Floats = np.minimum(nats, limit, out=nats)
    return kept


def likely_of(most: Array, weight: Any, params: Params) -> Floats:
    """Nats that make a hypothesis likely enough to explain peaks and runs: more than one reading gives (weight: of one
    against an hour's), and half of what decides. As needed_of."""
    least = np.float32(params.llr_likely) * np.asarray(weight, np.float32)
    likely: Floats = np.maximum(least[..., None], needed_of(most, params) / 2)
    return likely


def is_likely(said: Counts, active: NDArray[np.uint8], likely: Floats) -> NDArray[np.bool_]:
    """Whether another level is told, or likely; said, likely: evidence and likely_of, shape (n, hypotheses)."""
    found: NDArray[np.bool_] = (active & (UNIT | RATIO)) != 0
    found |= (said[:, :SCALES] >= likely[:, :SCALES] * PER_NAT).any(axis=1)
    return found


def is_moved(said: Counts, active: NDArray[np.uint8], likely: Floats) -> NDArray[np.bool_]:
    """The same of the day's shape."""
    found: NDArray[np.bool_] = (active & SHAPE) != 0
    found |= (said[:, SCALES:] >= likely[:, SCALES:] * PER_NAT).any(axis=1)
    return found


def excess_of(said: Counts, active: NDArray[np.uint8], likely: Floats) -> Floats:
    """Octaves by which the level that is told or likely is above the habit; arguments as is_likely."""
    excess = np.zeros(len(said), np.float32)
    for bit, first, last in GROUPS[:LEVEL_GROUPS]:
        group = said[:, first:last]
        counts = ((active & bit) != 0) | (group >= likely[:, first:last] * PER_NAT).any(axis=1)
        np.maximum(excess, np.where(counts, OCTAVES_OF[first + group.argmax(axis=1)], 0), out=excess)
    return excess


def believe_thousandfold(recent: Array, which: NDArray[np.bool_], params: Params) -> None:
    """Values have told it: it lasts until hours speak against it. Changes RECENT entries."""
    recent["active"][which] |= THOUSANDFOLD
    recent["told"][which] |= CHANGED
    at = SCALES - 1
    said = recent["said"][:, at]
    recent["said"][:, at] = np.where(which, np.maximum(said, int(params.llr_kept * PER_NAT)), said)


def decide(
    evidence: Floats,
    needed: Floats,
    active: NDArray[np.uint8],
    high: NDArray[np.bool_],
    params: Params,
) -> tuple[Ints, NDArray[np.uint8]]:
    """(hypothesis told or -1, groups that are told) of meters whose hour closed.

    evidence, needed: nats. high: today had values far above all the meter ever had. A group (level, shape) that is
    told is not told again before its evidence has gone.
    """
    share = evidence / needed
    decided = np.where(share >= 1, evidence, 0)
    # normal life says much for small ratios, but no small ratio makes such values
    rivals = np.where(high[:, None], decided, evidence)[:, :FIRST_FAR].max(axis=1)
    rivals = np.maximum(rivals, evidence[:, FIRST_FAR : SCALES - 2].max(axis=1))
    told = np.full(len(evidence), -1)
    active = active.copy()
    for bit, first, last in GROUPS:
        highest = share[:, first:last].max(axis=1)
        is_active = (active & bit) != 0
        new = ~is_active & (highest >= 1)
        gone = highest < GONE
        if bit == RATIO:
            new &= (active & UNIT) == 0  # ten times is four times too,
            gone &= evidence[:, FIRST_FAR:last].max(axis=1) < GONE * params.llr_least
        elif bit == TENFOLD:
            new &= evidence[:, first] > rivals + params.llr_lead  # and four nearly ten
            gone &= evidence[:, first] < GONE * params.llr_least
        elif bit == SHAPE:
            new &= (active & (UNIT | RATIO)) == 0  # a night ten times as high is like a day
            new &= evidence[:, first:last].max(axis=1) > evidence[:, :first].max(axis=1)
        if new.any():
            best = first + decided[:, first:last].argmax(axis=1)
            told = np.where(new & (told < 0), best, told)
        active = np.where(new, active | bit, np.where(is_active & gone, active & ~bit, active))
    return told, active
