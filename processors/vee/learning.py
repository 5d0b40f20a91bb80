"""The end of a meter's day: what today said becomes habit, unless a changed level was told."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.vee.params import (
    BINS,
    HOURS,
    KINDS,
    RUN_CLASSES,
    STEPS_PER_OCTAVE,
    Params,
)
from carbonstream.processors.vee.profile import NO_BIN, Habits, parts_of, sum_of_kinds

Array = NDArray[Any]
Ints = NDArray[np.int64]
COUNT: Final = 4  # 2 for an hour's own bin, 1 for either neighbour
FULL: Final = 60 * COUNT  # days of a kind; then all before count half, and a byte is enough for any bin
FADE_DAYS: Final = 16  # a highest value fades by 4.4 % in so many days
NEVER_FROZEN: Final = 255
# bits of RECENT.told: a level or shape, a value far above all, a frozen value, a spike
CHANGED, HIGH, FROZEN, SPIKE = (np.uint8(1 << i) for i in range(4))
UNUSUAL: Final = CHANGED | HIGH


def kind_of(day: Any) -> Any:
    """0 Monday to Friday, 1 Saturday, 2 Sunday; day: local days since 1970-01-01, a Thursday."""
    return np.maximum((day + 3) % 7 - 4, 0)


def close_day(habits: Habits, slot: Ints, today: Array, params: Params, learning: bool = False) -> None:
    """Learn from the day that ended for the meters in `slot` (distinct), and begin an empty one.

    today: their RECENT entries, changed in place.
    """
    habits.about_to_learn(slot)
    profile = habits.profile[slot]
    known = profile["scale"] > 0
    suspect = ((today["told"] & UNUSUAL) | today["active"]) > 0
    learned = known & (~suspect | (profile["unlearned"] >= params.new_habit_days))
    profile["unlearned"] = np.where(suspect, np.minimum(profile["unlearned"], 250) + 1, 0)
    frozen = (today["told"] & FROZEN) > 0
    profile["frozen_days"] = np.where(frozen, np.minimum(profile["frozen_days"], 250) + 1, 0)
    profile["scale"] = np.where(known, profile["scale"], today["peak"])  # the first day gives the scale only
    # a run that goes on is not habit before it ends: of one value a day it would teach itself
    going = (today["runs"] == today["run"][:, None]) & (today["run"] > 2)[:, None]
    if learned.any():
        rows = np.flatnonzero(learned)
        part, day = profile[rows], today[rows]
        day["runs"] *= ~going[rows]
        _learn_energies(habits, slot[rows], part, day)
        part["days"] = np.minimum(part["days"], 60_000) + 1
        _learn_values(part, day, params, learning)
        _learn_runs(part, day, params)
        # what a young profile finds strange is no measure
        fades = (part["days"] % params.most_fade_days == 0)[:, None] & (part["most"] > 0)
        most = np.where((day["active"] == 0)[:, None], day["most"], 0)
        part["most"] = np.where(
            (part["days"] > params.most_from_day)[:, None], np.maximum(part["most"] - fades, most), 0
        )
        profile[rows] = part
    habits.profile[slot] = profile
    today["energies"], today["highs"], today["told"], today["most"] = NO_BIN, 0, 0, 0
    today["runs"] *= going
    today["peak"] = 0


def _learn_energies(habits: Habits, slot: Ints, profile: Array, day: Array) -> None:
    """Each hour's bin counts 2, its neighbours 1: energies near to those seen are likely too."""
    kind = kind_of(day["hour"].astype(np.int64) // HOURS)
    rows = np.arange(len(slot))
    full = profile["weight"][rows, kind] >= FULL
    if full.any():
        habits.habit[slot[full], kind[full]] >>= 1
        profile["weight"][rows[full], kind[full]] >>= 1
    profile["weight"][rows, kind] += COUNT
    row, hour = np.nonzero(day["energies"] != NO_BIN)
    bins = np.minimum(day["energies"][row, hour].astype(np.int64), BINS - 1)
    cell = ((slot * KINDS + kind)[row] * HOURS + hour) * BINS + bins
    # zero has no neighbours: the bins above it are its own
    below, above = bins > 1, (bins > 0) & (bins < BINS - 1)
    counts = habits.habit.reshape(-1)
    counts[cell] += np.uint8(COUNT) - below - above
    counts[cell[below] - 1] += np.uint8(1)
    counts[cell[above] + 1] += np.uint8(1)
    weight = np.maximum(profile["weight"].sum(axis=1, dtype=np.int64), 1)[:, None]
    for part in parts_of(len(slot)):
        every = sum_of_kinds(habits.habit[slot[part]]).max(axis=1).astype(np.int64)
        profile["any"][part] = np.minimum(255 * every // weight[part], 255)


def _learn_values(profile: Array, day: Array, params: Params, learning: bool) -> None:
    fade = ((profile["days"] % FADE_DAYS == 0) & (profile["days"] > 0))[:, None] & (profile["high"] > 0)
    days = profile["days"].astype(np.int64)
    before = profile["high"].astype(np.int64)
    rise = np.where(learning | (days < params.value_days), 255, params.high_rise)[:, None]
    profile["high"] = np.maximum(before - fade, np.minimum(day["highs"], _least(before, params) + rise))
    profile["top"] = profile["high"].max(axis=1)
    # a young profile has not seen its highest values yet
    margin = params.spike_margin + np.rint(params.spike_young * np.exp(-days / params.spike_young_days))
    limit = _least(profile["high"].astype(np.int64), params) + margin[:, None]
    profile["limit"] = np.where((days < params.value_days)[:, None], 255, np.clip(limit, 0, 254))


def _least(high: Ints, params: Params) -> Ints:
    """The highest of each hour, at least a share of its neighbours and of the top: dawn moves with the year."""
    aside = np.maximum(np.roll(high, 1, axis=1), np.roll(high, -1, axis=1))
    aside -= params.spike_octaves_below_next * STEPS_PER_OCTAVE
    top = high.max(axis=1, keepdims=True) - params.spike_octaves_below_top * STEPS_PER_OCTAVE
    least: Ints = np.maximum(np.maximum(high, aside), top)
    return least


def _learn_runs(profile: Array, day: Array, params: Params) -> None:
    # what was told as frozen was not counted, unless it goes on day after day
    profile["run"] = np.maximum(profile["run"], day["runs"])
    # a class was seen today where an hour's highest lay in it, or a run of more than two; two stand in the first class
    octave = np.maximum(profile["top"].astype(np.int64)[:, None] - day["highs"], 0) // STEPS_PER_OCTAVE
    seen = day["runs"] > 2
    row, hour = np.nonzero(day["highs"])
    seen[row, np.minimum(octave[row, hour], RUN_CLASSES - 1)] = True
    profile["run_days"] = np.minimum(profile["run_days"], 254) + seen
    longest = profile["run"].max(axis=1, keepdims=True)
    # a changed multiplier moves long runs into another octave, so up to frozen_common all of them count
    common = np.minimum(longest, params.frozen_common)
    run = np.where(
        profile["run_days"] >= params.frozen_days, np.maximum(profile["run"], common), longest
    ).astype(np.int64)
    more = np.minimum(run + 2, params.frozen_common + 1)
    told = np.where(run > params.frozen_common, np.ceil(run * params.frozen_factor), more)
    told = np.maximum(told, params.frozen_floor)
    young = (profile["days"] < params.value_days)[:, None]
    profile["frozen"] = np.where(young | (told >= NEVER_FROZEN), NEVER_FROZEN, told)
