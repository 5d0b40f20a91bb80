"""Judge a frame of mode edit: intervals that take the place of stored ones (VEE: validation, estimation, editing).

Of a register: its interval computed once more from the indexes that are stored, by the multipliers in force now. Of
an interval meter: an estimate where a reading was certainly wrong, or that reading, accepted after all. A value of null
leaves nothing to stand: a declared day that was withdrawn, or the interval up to a register's index that was struck.
An edit is what a person or a finding decided about a stored row, so the meter's habit knows nothing of it, and the
newest reading only where it was struck.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from carbonstream.processors.checks import refused
from carbonstream.processors.frames import NO_QUALITY, UNIT_OF_METER, UNIT_UNKNOWN, Frame
from carbonstream.processors.judged import MAX_QUANTITY, NO_INDEX, Judged, Limits
from carbonstream.processors.meters import NEVER, PAST, REMEMBERED, STATE, UNIT_SCALE, Lookup, ShardState
from carbonstream.processors.register_history import ALWAYS, History, Multiplier
from carbonstream.processors.registers import ADJUSTED, Point, Remembered, remembered
from carbonstream.schemas.codes import Mode, Outcome
from carbonstream.schemas.frames import EDITORS

MOST_REPLACED: Final = 2**62


@dataclass(frozen=True, slots=True)
class _Interval:
    """A register's interval that was taken: from one point (end, index) to the next."""

    before: Point
    at: Point


@dataclass(frozen=True, slots=True)
class _Strike:
    """A register's index that is struck. last: end up to which its intervals are replaced; its own where it is the
    newest, else of the index behind it."""

    row: int
    before: Point
    end: int
    last: int


def judge_edits(frame: Frame, known: Lookup, state: ShardState, now: int | None, limits: Limits) -> Judged:
    """Judge `frame` against its meters' reference data; rows that are no sound edit get Outcome.EDIT.

    A register of which the intervals up to its newest index came is remembered by them again, so that a late index
    can split them by the multipliers they now have; a struck index is forgotten. Neither `known` nor `state` is
    changed.
    """
    judged = refused(frame, known, Outcome.EDIT)
    if frame.source not in EDITORS or frame.quality is None:
        return judged
    oldest, newest = limits.window(Mode.BACKFILL, now)
    timely = (oldest <= frame.start) & (frame.start < frame.end) & (frame.end <= newest)
    sound = (judged.slot >= 0) & timely & (frame.quality != NO_QUALITY)
    taken: defaultdict[int, list[_Interval]] = defaultdict(list)
    strikes: dict[int, _Strike] = {}
    void: list[int] = []
    gone: dict[int, int] = {}  # of interval meters: the last end that nothing is to stand at
    for row in np.flatnonzero(sound).tolist():
        is_void, slot = frame.document["value"][row] is None, int(judged.slot[row])
        if is_void and judged.master["register"][row]:
            is_whole = not _strikes(frame, row) or (
                bool(sound[row + 1]) and _interval(frame, known, judged, row + 1) is not None
            )
            strike = _strike(frame, judged, row, state) if is_whole and slot not in strikes else None
            if strike is None:
                continue
            strikes[slot] = strike
        elif judged.master["register"][row]:
            if _strikes(frame, row - 1) and (slot not in strikes or strikes[slot].row != row - 1):
                continue  # what merges two intervals stands and falls with what strikes the index between
            found = _interval(frame, known, judged, row)
            if found is None:
                continue
            taken[slot].append(found)
        elif is_void:
            judged.quantity[row] = 0
            gone[slot] = int(frame.end[row])
        elif not 0 <= _amount(frame.value[row], frame, judged, row) <= MAX_QUANTITY:
            continue
        judged.code[row], judged.quality[row] = Outcome.STORED, frame.quality[row]
        judged.start[row], judged.end[row] = frame.start[row], frame.end[row]
        if is_void:
            void.append(row)
    judged = _remembering(replace(judged, void=np.array(void, np.int64)), taken, strikes, known, state)
    return _as_never(judged, gone, state)


def _as_never(judged: Judged, gone: dict[int, int], state: ShardState) -> Judged:
    """The same, with interval meters' newest readings forgotten where nothing is to stand there: what comes for them
    again is no duplicate."""
    state.reserve(max(gone, default=0) + 1)
    slots = [slot for slot, end in gone.items() if state.newest["end"][slot] == end]
    if not slots:
        return judged
    return replace(
        judged,
        updates=np.concatenate([judged.updates, np.array(slots, np.int64)]),
        newest=np.concatenate([judged.newest, np.full(len(slots), NEVER, STATE)]),
        past=np.concatenate([judged.past, np.full((len(slots), PAST), NEVER)]),
    )


def _strikes(frame: Frame, row: int) -> bool:
    """Whether a row strikes an index and the next one merges the intervals beside it: both begin at one index."""
    column = frame.document["value"]
    return (
        0 <= row < len(frame) - 1
        and column[row] is None
        and column[row + 1] is not None
        and bool(frame.meter[row] == frame.meter[row + 1])
        and bool(frame.start[row] == frame.start[row + 1])
        and bool(frame.end[row] < frame.end[row + 1])
    )


def _strike(frame: Frame, judged: Judged, row: int, state: ShardState) -> _Strike | None:
    """What a register's row without a value strikes; None where another index came last than its sender knew."""
    first, replaced = (_entry(frame, name, row) for name in ("first_index", "replaces"))
    if type(replaced) is not int or abs(replaced) > MOST_REPLACED or type(first) not in (int, float):
        return None
    amount = _amount(float(first), frame, judged, row)
    if not 0 <= amount <= MAX_QUANTITY:
        return None
    slot, end = int(judged.slot[row]), int(frame.end[row])
    state.reserve(slot + 1)
    newest, is_followed = int(state.newest["end"][slot]), _strikes(frame, row)
    last = int(frame.end[row + 1]) if is_followed else end
    if newest < last or (newest > last and not is_followed):
        return None
    return _Strike(row, (int(frame.start[row]), round(amount)), end, last)


def _interval(frame: Frame, known: Lookup, judged: Judged, row: int) -> _Interval | None:
    """The interval of a register's row, its figures written into `judged`; None where it is none."""
    first, replaced = (_entry(frame, name, row) for name in ("first_index", "replaces"))
    if type(replaced) is not int or abs(replaced) > MOST_REPLACED or type(first) not in (int, float):
        return None
    history = _history(known, judged, frame, row)
    start, end = int(frame.start[row]), int(frame.end[row])
    in_force = history.in_force(end)
    most = MAX_QUANTITY * 1_000 / max(in_force.milli, 1_000)
    amounts = [_amount(float(value), frame, judged, row) for value in (first, frame.value[row])]
    if not all(0 <= amount <= most for amount in amounts):
        return None
    before, at = ((t, round(amount)) for t, amount in zip((start, end), amounts, strict=True))
    quantity = history.energy(*before, *at)
    if quantity is None:
        return None
    judged.quantity[row], judged.raw_index[row], judged.version[row] = quantity, at[1], in_force.version
    return _Interval(before, at)


def _amount(value: float, frame: Frame, judged: Judged, row: int) -> float:
    """Thousandths of the base unit; NaN where the unit measures something else."""
    unit, master = int(frame.unit[row]), judged.master[row]
    if unit == UNIT_UNKNOWN:
        return float("nan")
    scale = UNIT_SCALE[master["unit"] if unit == UNIT_OF_METER else unit, master["base"]]
    return float(value * scale) if scale > 0 else float("nan")


def _entry(frame: Frame, name: str, row: int) -> Any:
    """One entry of a column that only edits have; None where there is none."""
    column = frame.document.get(name)
    return column[row] if isinstance(column, list) and len(column) == len(frame) else None


def _history(known: Lookup, judged: Judged, frame: Frame, row: int) -> History:
    found = known.histories.get(int(judged.slot[row]))
    if found is not None:
        return found
    master = known.master[frame.meter[row]]  # the judged one has no multiplier left
    multiplier = Multiplier(ALWAYS, int(master["version"]), int(master["multiplier_milli"]))
    return History((multiplier,), (), int(master["modulus"]))


def _remembering(
    judged: Judged,
    taken: dict[int, list[_Interval]],
    strikes: dict[int, _Strike],
    known: Lookup,
    state: ShardState,
) -> Judged:
    """The same, with what is remembered of registers of which the intervals before the earliest known index came, or
    an index was struck."""
    slots, newest, rows = [], [], []
    adjusted: list[tuple[int, ...]] = []
    for slot in sorted({*taken, *strikes}):
        state.reserve(slot + 1)
        if state.newest["end"][slot] == NEVER:
            continue
        master = known.master[known.slot == slot][0]
        history = known.histories.get(slot)
        if history is None:
            history = History((Multiplier(ALWAYS, 1, int(master["multiplier_milli"])),))
        register = remembered(state.newest[slot], state.past[slot], history, int(master["history"]))
        strike = strikes.get(slot)
        if strike is not None:
            version = int(master["version"])
            adjusted += [(strike.row, end, end, 0, NO_INDEX, version) for end in _forget(register, strike)]
        before = {interval.at: interval.before for interval in taken.get(slot, ())}
        earlier = before.get(register.points[0])
        if earlier is None and strike is None:
            continue
        is_recomputed = earlier is not None
        while earlier is not None and len(register.points) <= REMEMBERED:
            register.points.insert(0, earlier)
            earlier = before.get(earlier)
        entry = state.newest[slot].copy()
        if strike is not None and register.points[-1][0] != entry["end"]:
            entry["start"] = entry["end"] = register.points[-1][0]
            entry["raw"] = register.points[-1][1]
        if is_recomputed:
            entry["history"] = master["history"]
        slots.append(slot)
        newest.append(entry)
        rows.append(register.past())
    if not slots:
        return judged
    return replace(
        judged,
        adjusted=np.array(adjusted, ADJUSTED),
        updates=np.array(slots, np.int64),
        newest=np.array(newest, STATE),
        past=np.array(rows, np.int64),
    )


def _forget(register: Remembered, strike: _Strike) -> list[int]:
    """Forget the struck index and what came between the indexes beside it meanwhile; ends of the latter, of which
    nothing is to stand either."""
    since, upto = strike.before[0], strike.last
    inside = [end for end, _ in register.points if since < end < upto or (end == upto and strike.end == upto)]
    register.points = [point for point in register.points if point[0] not in inside]
    if not register.points or register.points[-1][0] < since:
        register.points.append(strike.before)
    return [end for end in inside if end != strike.end]
