"""Judge the readings of one frame: first checks, registers into intervals, duplicates. Vectorised.

Check names follow VEE practice (duplicate, negative, unit, interval size); every reading gets exactly one
Outcome. A frame is judged in time order within each meter, so delivery order inside a frame does not matter;
of two indexes of a register at one instant the first in the frame counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.checks_usual import judge_usual
from carbonstream.processors.frames import FAULTY, MISSING, UNIT_OF_METER, UNIT_UNKNOWN, Frame, Ints
from carbonstream.processors.judged import (
    MAX_INTERVAL_MS,
    MAX_QUANTITY,
    NO_INDEX,
    NO_PAST,
    NONE,
    Judged,
    Limits,
)
from carbonstream.processors.meters import STATE, UNIT_SCALE, Lookup, ShardState
from carbonstream.processors.register_history import History
from carbonstream.processors.registers import NOTHING_ADJUSTED, advance, multiplied, push, take_one_by_one
from carbonstream.schemas.codes import ESTIMATED_QUALITIES, SENT_MODES, Mode, Outcome, Quality
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.frames import SOURCE_ESTIMATOR
from carbonstream.schemas.periods import DAY_MS
from carbonstream.schemas.shards import shard_of, site_of

Array = NDArray[Any]
Mask = NDArray[np.bool_]


def judge(frame: Frame, known: Lookup, state: ShardState, now: int | None, limits: Limits) -> Judged:
    """Judge `frame` against its meters' reference data and its shard's state; neither is changed.

    now: the partition's last tick, UTC ms; None before the first (then nothing can be too new or too old).
    """
    window = limits.window(frame.mode, now)
    return judge_usual(frame, known, state, window) or judge_any(frame, known, state, window)


def judge_any(frame: Frame, known: Lookup, state: ShardState, window: tuple[int, int]) -> Judged:
    """The same for any frame. window: UTC ms a reading may reach."""
    if not len(frame):
        return refused(frame, known, Outcome.INVALID_FRAME)
    slot, master = _masters(frame, known)
    code = _sound(frame, *window)
    if frame.mode is Mode.ESTIMATE or frame.source == SOURCE_ESTIMATOR or frame.quality is not None:
        code[(code == 0) & ~_is_estimate(frame, slot, master)] = Outcome.ESTIMATE
    if (slot < 0).any():
        code[(code == 0) & (slot < 0)] = Outcome.UNKNOWN_METER
        _misplaced(code, frame)
    raw = _amounts(frame, master, code)
    start = _starts(frame, master, code)
    rows = np.flatnonzero(code == 0)
    if len(rows) == len(frame) and (slot[1:] > slot[:-1]).all():
        slot_of_row, master_of_row = slot, master
        step = _sequence(slot, frame.end, start, raw, master, state, known.histories)
    else:
        rows = rows[np.lexsort((frame.end[rows], slot[rows]))]  # stable: arrival order breaks ties
        slot_of_row, master_of_row = slot[rows], master[rows]
        step = _sequence(
            slot_of_row, frame.end[rows], start[rows], raw[rows], master_of_row, state, known.histories
        )
    code[rows] = step.verdict
    took = step.verdict <= Outcome.BASELINE
    taken = rows[took]
    quantity, raw_index = _claims(slot, master, raw, code), np.full(len(frame), NO_INDEX)
    start[taken] = step.start[took]
    quantity[taken] = step.quantity[took]
    told = took | (step.verdict == Outcome.REGISTER_BACKWARDS) | (step.verdict == Outcome.REGISTER_JUMP)
    indexed = told & master["register"][rows]
    raw_index[rows[indexed]] = step.raw[indexed]
    end = frame.end
    if code.any():
        start, end = told_times(np.where(code <= Outcome.BASELINE, start, frame.start), end)
    version = master["version"].astype(np.int64)
    said = int(Quality.VALID) if frame.quality is None else frame.quality
    quality = np.where(code <= Outcome.BASELINE, said, int(Quality.RAW))
    if frame.mode is Mode.ESTIMATE:  # never what a measurement is compared with
        return Judged(
            slot,
            master,
            code,
            start,
            end,
            quantity,
            raw_index,
            quality,
            version,
            NOTHING_ADJUSTED,
            NONE,
            state.newest[:0],
            NO_PAST,
        )
    adjusted = step.adjusted
    if len(adjusted):
        adjusted["row"] = rows[adjusted["row"]]
    return Judged(
        slot, master, code, start, end, quantity, raw_index, quality, version, adjusted,
        *_remembered(slot_of_row, step, master_of_row, state),
    )  # fmt: skip


def refused(frame: Frame, known: Lookup, code: Outcome) -> Judged:
    """The judgement of a frame refused whole."""
    slot, master = _masters(frame, known)
    every = np.full(len(frame), int(code))
    start, end = told_times(frame.start, frame.end)
    return Judged(
        slot=slot,
        master=master,
        code=every,
        start=start,
        end=end,
        quantity=_claims(slot, master, _amounts(frame, master, np.zeros_like(every)), every),
        raw_index=np.full(len(frame), NO_INDEX),
        quality=np.full(len(frame), int(Quality.RAW)),
        version=master["version"].astype(np.int64),
        adjusted=NOTHING_ADJUSTED,
        updates=NONE,
        newest=np.empty(0, STATE),
        past=NO_PAST,
    )


def _masters(frame: Frame, known: Lookup) -> tuple[Ints, Array]:
    """Slot and MASTER entry of each reading's meter. An estimate or edit is of the quantity: no multiplier is left to
    apply."""
    if frame.mode in (Mode.ESTIMATE, Mode.EDIT):
        master = known.master[frame.meter]  # a copy
        master["multiplier_milli"] = 1_000
        return known.slot[frame.meter], master
    if len(frame) == len(known.slot) and (frame.meter[1:] > frame.meter[:-1]).all():
        slot, master = known.slot, known.master  # each meter once, in the list's order
    else:
        slot, master = known.slot[frame.meter], known.master[frame.meter]
    if known.histories:
        before = np.flatnonzero((frame.end > 0) & (frame.end <= master["steady_from"]) & (slot >= 0))
        master = master.copy() if len(before) else master
        for row in before.tolist():
            multiplier = known.histories[int(slot[row])].in_force(int(frame.end[row]))
            master["multiplier_milli"][row], master["version"][row] = multiplier.milli, multiplier.version
    return slot, master


def told_times(start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Starts and ends as they are told on: 0 for a missing end, the end for a start that is none."""
    end = np.where(end == MISSING, 0, end)
    return np.where((start == MISSING) | (start == FAULTY), end, start), end


def _sound(frame: Frame, oldest: int, newest: int) -> Ints:
    """Checks that need no meter; the first failing one wins."""
    code = np.zeros(len(frame), np.int64)
    end, start = frame.end, frame.start
    given = start != MISSING
    if not given.any():
        start = end
        bad = end == MISSING
    else:
        bad = (end == MISSING) | (
            given & ((start >= end) | (end - np.where(given, start, end) > MAX_INTERVAL_MS))
        )
        start = np.where(given, start, end)
    infinite, late, early = ~np.isfinite(frame.value), end > newest, start < oldest
    strange = frame.unit == UNIT_UNKNOWN
    if not (infinite | bad | late | early | strange).any():
        return code
    for failed, outcome in (
        (infinite, Outcome.NOT_A_NUMBER),
        (bad, Outcome.INTERVAL),
        (late, Outcome.FUTURE),
        (early, Outcome.ANCIENT),
        (strange, Outcome.UNIT),
    ):
        code[(code == 0) & failed] = outcome
    return code


def _is_estimate(frame: Frame, slot: Ints, master: Array) -> Mask:
    """Whether each reading is an estimate that may be taken: of the estimator, in its mode, of an interval meter."""
    if frame.mode is not Mode.ESTIMATE or frame.source != SOURCE_ESTIMATOR or frame.quality is None:
        return np.zeros(len(frame), np.bool_)
    told: Mask = np.isin(frame.quality, ESTIMATED_QUALITIES) & (slot >= 0) & ~master["register"]
    return told


def _misplaced(code: Ints, frame: Frame) -> None:
    """An unknown meter whose site belongs to another shard would wait here for ever."""
    for row in np.flatnonzero(code == Outcome.UNKNOWN_METER).tolist():
        try:
            if shard_of(site_of(frame.meters[int(frame.meter[row])])) != frame.shard:
                code[row] = Outcome.WRONG_PARTITION
        except InvalidReading:
            code[row] = Outcome.WRONG_PARTITION


def _amounts(frame: Frame, master: Array, code: Ints) -> Ints:
    """Values in thousandths of the base unit, before the multiplier; marks wrong unit, negative, out of range.

    0 where the amount itself is unsound, whatever else is wrong with the reading.
    """
    unit = np.where(frame.unit == UNIT_OF_METER, master["unit"], frame.unit)
    scale: NDArray[np.float64] = UNIT_SCALE[unit, master["base"]]
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = frame.value * scale
        sized = scaled * np.maximum(master["multiplier_milli"], 1_000)
        fine = (scale > 0) & (scaled >= 0) & (sized <= MAX_QUANTITY * 1_000)
        fine &= unit >= 0  # UNIT_UNKNOWN
        if not fine.all():
            code[(code == 0) & (scale == 0)] = Outcome.UNIT
            code[(code == 0) & (scaled < 0)] = Outcome.NEGATIVE
            code[(code == 0) & ~fine] = Outcome.RANGE
            scaled = np.where(fine, scaled, 0)
    return np.rint(scaled).astype(np.int64)


def _claims(slot: Ints, master: Array, raw: Ints, code: Ints) -> Ints:
    """What readings of interval meters that are not taken claim; 0 for all others."""
    if not code.any():
        return np.zeros(len(code), np.int64)
    claiming = (code > Outcome.BASELINE) & (slot >= 0) & ~master["register"]
    return np.where(claiming, multiplied(raw, master["multiplier_milli"]), 0)


def _starts(frame: Frame, master: Array, code: Ints) -> Ints:
    """Starts, filled in for interval meters; marks bad lengths and readings outside the meter's validity."""
    register = master["register"]
    start = np.where((frame.start == MISSING) & ~register, frame.end - master["interval_ms"], frame.start)
    first = np.where(register, frame.end, start)
    outside = (first < master["valid_from"]) | (frame.end > master["valid_to"])
    length = frame.end - first
    bad = (length > MAX_INTERVAL_MS) | (~register & (length <= 0))
    if (
        frame.mode in SENT_MODES
    ):  # an hour over its quarters would be summed twice; months are as long as they are
        bad |= ~register & (length > master["interval_ms"]) & (master["interval_ms"] < DAY_MS)
    if bad.any():
        code[(code == 0) & bad] = Outcome.INTERVAL
    if outside.any():
        code[(code == 0) & outside] = Outcome.OUTSIDE_VALIDITY
    return start


@dataclass(frozen=True, slots=True)
class _Step:
    """What the look at neighbours gave: rows of one meter together, in time order."""

    verdict: Ints
    start: Ints
    end: Ints
    raw: Ints
    quantity: Ints
    known: Array  # STATE of each row's meter before the frame
    adjusted: Array  # ADJUSTED, by row here
    past: dict[int, Ints]  # of registers taken one by one, by slot


def _sequence(
    slot: Ints,
    end: Ints,
    start: Ints,
    raw: Ints,
    master: Array,
    state: ShardState,
    histories: dict[int, History],
) -> _Step:
    """Each row against the one before it: within the frame, or the newest known."""
    newest = state.newest
    if len(slot) and int(slot.max()) >= len(newest):
        state.reserve(int(slot.max()) + 1)
        newest = state.newest
    known = newest[slot]
    before = known
    tail = NONE
    if not (slot[1:] > slot[:-1]).all():
        tail = np.flatnonzero(slot[1:] == slot[:-1]) + 1
        before = known.copy()
        before["end"][tail], before["start"][tail], before["raw"][tail] = (
            end[tail - 1],
            start[tail - 1],
            raw[tail - 1],
        )
    register, milli = master["register"], master["multiplier_milli"]
    verdict = np.zeros(len(slot), np.int64)
    quantity = multiplied(raw, milli)
    same = (end == before["end"]) & (start == before["start"]) & (raw == before["raw"])
    if len(tail):
        # in a run that begins below the newest known reading, that newest one may be met further on
        same |= (end == known["end"]) & (start == known["start"]) & (raw == known["raw"])
    verdict[same & ~register] = Outcome.DUPLICATE
    adjusted, past = NOTHING_ADJUSTED, {}
    if register.any():
        moved = advance(end, raw, quantity, master, before, register)
        if moved is None:
            taken = take_one_by_one(slot, end, raw, master, known, state.past[slot], histories)
            moved, adjusted, past = taken.moved, taken.adjusted, taken.past
        verdict = np.where(register, moved.verdict, verdict)
        start = np.where(register, moved.start, start)
        quantity = np.where(register, moved.quantity, quantity)
    return _Step(verdict, start, end, raw, quantity, known, adjusted, past)


def _remembered(slot: Ints, step: _Step, master: Array, state: ShardState) -> tuple[Ints, Array, Ints]:
    """(slots, newest, past): per slot the last taken row, where it is not older than what is known; and the indexes
    of its registers before that one."""
    at = np.flatnonzero((step.verdict <= Outcome.BASELINE) & (step.end >= step.known["end"]))
    slots = slot[at]
    size = None
    if len(at) > 1:
        last = np.ones(len(at), np.bool_)
        np.not_equal(slots[1:], slots[:-1], out=last[:-1])
        if not last.all():
            size = np.diff(np.flatnonzero(last), prepend=-1)
            at, slots = at[last], slots[last]
    which = slice(None) if len(at) == len(slot) else at  # all of them, mostly: then nothing is copied
    newest = np.empty(len(at), STATE)
    newest["end"], newest["start"], newest["raw"] = step.end[which], step.start[which], step.raw[which]
    newest["history"] = history = master["history"][which]
    past = state.past.take(slots, 0)
    if step.past:
        return _behind(slot, slots, newest, past, step, master, state)
    register, known = master["register"][which], step.known
    if register.all():
        before = known["end"][which], known["raw"][which]
        push(past, before, known["history"][which] != history, step.end, step.raw, at, size)
    elif register.any():
        r = np.flatnonzero(register)
        a, moved = at[r], past[r]
        before = known["end"][a], known["raw"][a]
        is_stale = known["history"][a] != history[r]
        push(moved, before, is_stale, step.end, step.raw, a, None if size is None else size[r])
        past[r] = moved
    return slots, newest, past


def _behind(
    slot: Ints, slots: Ints, newest: Array, past: Ints, step: _Step, master: Array, state: ShardState
) -> tuple[Ints, Array, Ints]:
    """The same where registers were taken one by one: of some only what lies behind the newest index changed."""
    moved = set(slots.tolist())
    more = np.array([s for s in step.past if s not in moved], np.int64)
    unmoved = state.newest[more]
    unmoved["history"] = master["history"][np.searchsorted(slot, more)]
    slots = np.concatenate([slots, more])
    past = np.concatenate([past, state.past[more]])
    for position, s in enumerate(slots.tolist()):
        past[position] = step.past.get(s, past[position])
    return slots, np.concatenate([newest, unmoved]), past
