"""Judge a frame of mode edit: intervals that take the place of stored ones (VEE: validation, estimation, editing).

Of a register: its interval computed once more from the indexes that are stored, by the multipliers in force now. Of
an interval meter: an estimate where a reading was certainly wrong, or that reading, accepted after all. An edit is
what a person or a finding decided about a stored row, so the newest reading and the meter's habit know nothing of it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from carbonstream.processors.checks import refused
from carbonstream.processors.frames import NO_QUALITY, UNIT_OF_METER, UNIT_UNKNOWN, Frame
from carbonstream.processors.judged import MAX_QUANTITY, Judged, Limits
from carbonstream.processors.meters import NEVER, REMEMBERED, UNIT_SCALE, Lookup, ShardState
from carbonstream.processors.register_history import ALWAYS, History, Multiplier
from carbonstream.processors.registers import Point, remembered
from carbonstream.schemas.codes import Mode, Outcome
from carbonstream.schemas.frames import EDITORS

MOST_REPLACED: Final = 2**62


@dataclass(frozen=True, slots=True)
class _Interval:
    """A register's interval that was taken: from one point (end, index) to the next."""

    before: Point
    at: Point


def judge_edits(frame: Frame, known: Lookup, state: ShardState, now: int | None, limits: Limits) -> Judged:
    """Judge `frame` against its meters' reference data; rows that are no sound edit get Outcome.EDIT.

    A register of which the intervals up to its newest index came is remembered by them again, so that a late index
    can split them by the multipliers they now have. Neither `known` nor `state` is changed.
    """
    judged = refused(frame, known, Outcome.EDIT)
    if frame.source not in EDITORS or frame.quality is None:
        return judged
    oldest, newest = limits.window(Mode.BACKFILL, now)
    timely = (oldest <= frame.start) & (frame.start < frame.end) & (frame.end <= newest)
    sound = (judged.slot >= 0) & timely & (frame.quality != NO_QUALITY)
    taken: defaultdict[int, list[_Interval]] = defaultdict(list)
    for row in np.flatnonzero(sound).tolist():
        if judged.master["register"][row]:
            found = _interval(frame, known, judged, row)
            if found is None:
                continue
            taken[int(judged.slot[row])].append(found)
        elif not 0 <= _amount(frame.value[row], frame, judged, row) <= MAX_QUANTITY:
            continue
        judged.code[row], judged.quality[row] = Outcome.STORED, frame.quality[row]
        judged.start[row], judged.end[row] = frame.start[row], frame.end[row]
    return _remembering(judged, taken, known, state)


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
    judged: Judged, taken: dict[int, list[_Interval]], known: Lookup, state: ShardState
) -> Judged:
    """The same, with what is remembered of registers of which the intervals before the earliest known index came."""
    slots, rows = [], []
    for slot, intervals in taken.items():
        state.reserve(slot + 1)
        if state.newest["end"][slot] == NEVER:
            continue
        master = known.master[known.slot == slot][0]
        history = known.histories.get(slot)
        if history is None:
            history = History((Multiplier(ALWAYS, 1, int(master["multiplier_milli"])),))
        register = remembered(state.newest[slot], state.past[slot], history, int(master["history"]))
        before = {interval.at: interval.before for interval in intervals}
        earlier = before.get(register.points[0])
        if earlier is None:
            continue
        while earlier is not None and len(register.points) <= REMEMBERED:
            register.points.insert(0, earlier)
            earlier = before.get(earlier)
        slots.append((slot, int(master["history"])))
        rows.append(register.past())
    if not slots:
        return judged
    at = np.array([slot for slot, _ in slots], np.int64)
    newest = state.newest[at]
    newest["history"] = [history for _, history in slots]
    return replace(judged, updates=at, newest=newest, past=np.array(rows, np.int64))
