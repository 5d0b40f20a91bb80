"""Examine the readings judge took, each against its meter's own habit. Vectorised over the meters of a frame.

A finding is told once, at the reading that tells it: a hole when the readings behind it came, a frozen value when
its run is longer than any before, a changed level when enough hours have said so. `since` names where it began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.vee.delivery import deliver
from carbonstream.processors.vee.learning import CHANGED, FROZEN, HIGH, close_day, kind_of
from carbonstream.processors.vee.levels import CHECK_OF, RATIO, UNIT, bin_of, decide, weigh
from carbonstream.processors.vee.params import (
    HOURS,
    INTERVAL_METER,
    RATIOS,
    RUN_CLASSES,
    SHIFT_HOURS,
    STEPS_PER_OCTAVE,
    ZERO_STEP,
    Params,
)
from carbonstream.processors.vee.profile import Habits, entries_of, put_entries
from carbonstream.schemas.codes import Check, Decision
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, OFFSET_MS

Array = NDArray[Any]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

FINDING: Final = np.dtype(
    [
        ("row", "<i4"),  # of the frame: the reading that tells
        ("check", "i1"),
        ("decision", "i1"),
        ("of", "<i8"),  # end of the reading that is meant, UTC ms: the row's own, or the one held before it
        ("size", "<f4"),  # ratio of a changed level, hours of a moved clock, values in a run; else 0
    ]
)
NOTHING: Final = np.empty(0, FINDING)
SIZES: Final = np.array([*RATIOS, *SHIFT_HOURS], np.float64)


@dataclass(frozen=True, slots=True)
class Readings:
    """What judge took of one frame: one entry a reading, any order."""

    slot: Ints
    start: Ints  # UTC ms
    end: Ints  # UTC ms
    quantity: Ints  # thousandths of the base unit
    interval: Ints  # ms; from one reading to the next
    register: Mask  # a register's repetitions and late indexes are judge's

    def take(self, which: Ints) -> Readings:
        """The readings at these positions."""
        return Readings(*(getattr(self, name)[which] for name in self.__slots__))


def examine(
    readings: Readings,
    habits: Habits,
    params: Params = INTERVAL_METER,
    *,
    offset_ms: int = OFFSET_MS,
    learning: bool = False,
) -> Array:
    """FINDING entries by row; `habits` is moved on.

    offset_ms: of local time. learning: the readings are known to be clean (a checked import): all teach, none is
    told.
    """
    slot = readings.slot
    if not len(slot):
        return NOTHING
    if int(slot.max()) >= len(habits.profile):
        habits.reserve(int(slot.max()) + 1)
    if (slot[1:] > slot[:-1]).all():
        return _wave(np.arange(len(slot)), readings, habits, params, offset_ms, learning)
    order = np.lexsort((readings.end, slot))
    ordered = slot[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    turn = np.arange(len(slot)) - np.repeat(begins, np.diff(np.r_[begins, len(slot)]))
    waves = [
        _wave(order[turn == k], readings, habits, params, offset_ms, learning)
        for k in range(int(turn.max()) + 1)
    ]
    found = np.concatenate(waves)
    return found[np.argsort(found["row"], kind="stable")]


def _wave(
    rows: Ints, all_: Readings, habits: Habits, params: Params, offset_ms: int, learning: bool
) -> Array:
    """At most one reading a meter."""
    slot, start, end, quantity = all_.slot[rows], all_.start[rows], all_.end[rows], all_.quantity[rows]
    findings: list[Array] = []

    def tell(where: Mask, check: Check, decision: Decision, of: Ints | None = None, size: Any = 0.0) -> None:
        if learning or not where.any():
            return
        found = np.zeros(int(where.sum()), FINDING)
        found["row"], found["check"], found["decision"] = rows[where], check, decision
        found["of"] = (end if of is None else of)[where]
        found["size"] = size[where] if isinstance(size, np.ndarray) else size
        findings.append(found)

    recent = entries_of(habits.recent, slot)
    seen = deliver(recent, end, quantity, all_.interval[rows], params.missing_wait)
    # a register's hole is one longer interval, its energy known
    tell(seen.missing & ~all_.register[rows], Check.MISSING, Decision.ACCEPT)
    if not seen.ahead.all():
        tell(seen.late, Check.SEQUENCE, Decision.ACCEPT)
        tell(seen.duplicate, Check.DUPLICATE, Decision.REJECT)
        tell(seen.clock, Check.CLOCK, Decision.QUESTION)
        put_entries(habits.recent, slot, recent)
        on = seen.ahead
        rows, slot, start, end, quantity, recent = (
            rows[on],
            slot[on],
            start[on],
            end[on],
            quantity[on],
            recent[on],
        )
        following = seen.next[on]
        if not len(rows):
            return np.concatenate(findings) if findings else NOTHING
    else:
        following = seen.next

    local = start + offset_ms
    day, clock_hour = local // DAY_MS, local // HOUR_MS
    hour = clock_hour % HOURS
    turned = day != recent["day"]
    if turned.any():
        old = turned & (recent["day"] >= 0)
        if old.any():
            put_entries(habits.recent, slot, recent)
            close_day(habits, slot[old], params, learning)
            recent = entries_of(habits.recent, slot)
        recent["day"] = day
    profile = habits.profile
    i = np.arange(len(slot))
    value = quantity.astype(np.float64)
    scale = profile["scale"][slot].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        octaves = np.log2(value / scale)
    octaves = np.where(np.isfinite(octaves), octaves, -8.0)  # zero, and before the first day is over
    steps = np.clip(np.rint(octaves * STEPS_PER_OCTAVE) + ZERO_STEP, 0, 255).astype(np.int64)

    # single values: suspect above the hour's limit; a spike if its neighbours are not
    limit = profile["limit"][slot, hour].astype(np.int64)
    near = octaves - (limit - ZERO_STEP) / STEPS_PER_OCTAVE
    suspect = (near > 0) & (limit < 255) & (limit > 0)  # 0: nothing is learned yet
    if learning:
        suspect[:] = False
    held = recent["held"]
    calm = ~suspect
    if held.any():
        last, before = recent["near"][:, 0], recent["near"][:, 1]
        drop = params.spike_drop
        spike = (
            held
            & ~suspect
            & following
            & (recent["run"] == 1)
            & (before > -np.inf)
            & (last - before >= drop)
            & (last - near >= drop)
        )
        spike &= (recent["active"] & (UNIT | RATIO)) == 0  # of a level that has changed each peak is one
        tell(spike, Check.SPIKE, Decision.REJECT, recent["end"])
        # what was none counts for the day; a spike lifts its hour's limit by the margin, in case it is habit
        was = (recent["end"] - 1 + offset_ms) // HOUR_MS % HOURS
        limit_was = profile["limit"][slot, was].astype(np.int64)
        put = held & ((recent["end"] - 1 + offset_ms) // DAY_MS == day)
        held_steps = np.where(
            spike, limit_was, limit_was + (np.where(put, last, 0) * STEPS_PER_OCTAVE).astype(np.int64)
        )
        lifted = np.maximum(recent["highs"][i, was], np.clip(held_steps, 0, 255))
        recent["highs"][i[put], was[put]] = lifted[put]
    if suspect.any():
        high = suspect & (
            (steps - profile["top"][slot].astype(np.int64)) > params.high_octaves * STEPS_PER_OCTAVE
        )
        tell(suspect & held & high, Check.HIGH, Decision.QUESTION)
        recent["told"][suspect & held & high] |= HIGH
    recent["near"][:, 1] = np.where(following, recent["near"][:, 0], -np.inf)
    recent["near"][:, 0] = near
    recent["held"] = suspect
    recent["peak"] = np.maximum(recent["peak"], value)
    highs = recent["highs"]
    highs[i, hour] = np.maximum(highs[i, hour], np.where(calm, steps, 0))

    # consecutive identical
    same = following & (quantity == recent["quantity"]) & (quantity > 0)
    run = np.where(same, np.minimum(recent["run"], 253) + 1, 1)
    recent["run"] = run
    octave = np.clip((profile["top"][slot].astype(np.int64) - steps) // STEPS_PER_OCTAVE, 0, RUN_CLASSES - 1)
    allowed = profile["frozen"][slot, octave]
    if learning:
        allowed = np.full(len(i), 255)
    is_frozen = (run == allowed) & (allowed > 0) & (allowed < 255)
    tell(is_frozen, Check.FROZEN, Decision.QUESTION, None, run.astype(np.float64))
    recent["told"][is_frozen] |= FROZEN
    counted = (quantity > 0) & (run < np.where(allowed == 0, 255, allowed))
    runs = recent["runs"]
    runs[i, octave] = np.maximum(runs[i, octave], np.where(counted, run, 0))
    recent["quantity"], recent["end"] = quantity, end

    # the hour's energy
    begun = clock_hour != recent["hour"]
    recent["hour"] = clock_hour
    recent["energy"] = np.where(begun, 0, recent["energy"]) + value
    recent["parts"] = np.where(begun, 0, recent["parts"]) + 1
    needed = np.maximum(HOUR_MS // np.maximum(end - start, 1), 1)
    closed = ((end + offset_ms) // HOUR_MS > clock_hour) & (recent["parts"] == needed) & (scale > 0)
    closed &= (run < allowed) | (quantity == 0)  # a frozen hour says nothing of the level
    if closed.any():
        c = np.flatnonzero(closed)
        told = _hour(habits, slot[c], recent, c, hour[c], needed[c], scale[c], params, learning)
        hit = told >= 0
        if hit.any():
            check = np.zeros(len(rows), np.int64)
            size = np.zeros(len(rows))
            check[c[hit]], size[c[hit]] = CHECK_OF[told[hit]], SIZES[told[hit]]
            for number in np.unique(check[check > 0]).tolist():
                tell(check == number, Check(number), Decision.QUESTION, None, size)
    put_entries(habits.recent, slot, recent)
    return np.concatenate(findings) if findings else NOTHING


def _hour(
    habits: Habits, slot: Ints, recent: Array, c: Ints, hour: Ints, parts: Ints, scale: Any, params: Params,
    learning: bool,
) -> Ints:  # fmt: skip
    """Close an hour of the meters at rows `c` of `recent`; the hypothesis told of each, or -1."""
    bins = bin_of(recent["energy"][c] / parts, scale)
    recent["energies"][c, hour] = np.minimum(bins, 254)
    ready = habits.profile["days"][slot] >= params.shape_days
    if not ready.any():
        return np.full(len(c), -1)
    said = weigh(habits, slot, kind_of(recent["day"][c].astype(np.int64)), hour, bins, params)
    said[~ready] = 0
    most = habits.profile["most"][slot].astype(np.float64)
    before = recent["said"][c].astype(np.float64)
    if learning:
        evidence = np.clip(before + said, 0, 120)
        told = np.full(len(c), -1)
    else:
        evidence, told, active = decide(said, before, most, recent["active"][c], params)
        recent["active"][c] = active
        recent["told"][c] |= np.where(told < 0, 0, CHANGED).astype(np.uint8)
    recent["said"][c] = evidence
    recent["most"][c] = np.maximum(recent["most"][c], np.minimum(np.ceil(evidence), 255))
    return told
