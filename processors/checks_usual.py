"""The usual frame: a known list of meters, each once, all for one instant, later than any before, no index below the
one before it. It is taken whole in a third of the time, with the answer of `checks.judge_any`, to which whatever is
not usual is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.frames import MISSING, UNIT_OF_METER, Floats, Frame, Ints
from carbonstream.processors.judged import MAX_INTERVAL_MS, MAX_QUANTITY, NO_INDEX, Judged
from carbonstream.processors.meters import NEVER, PAST, STATE, UNIT_SCALE, Lookup, ShardState
from carbonstream.processors.registers import NOTHING_ADJUSTED, believed_rise, multiplied
from carbonstream.schemas.codes import SENT_MODES, Quality
from carbonstream.schemas.frames import SOURCE_ESTIMATOR

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Usual:
    """What a list of meters has in common, worked out once; arrays have one entry a meter."""

    rows: bytes  # columns as bytes: `meter` of a frame that has each once, in order;
    no_start: bytes  # `start` that names none;
    units: tuple[bytes, bytes]  # `unit` that names none, and that names each meter's own
    place: slice | Ints  # its slots
    highest: int
    earliest: int  # UTC ms: an end from here on lies within the validity of all
    latest: int
    scale: Floats  # thousandths of the base unit in one of the meter's
    sizing: Ints  # multiplier, thousandths, at least 1,000
    milli: Ints  # multiplier, thousandths
    interval: Ints  # ms, 0 of a register
    registers: Ints  # their positions
    believed: Ints  # of each register: how far it may move at any pace, thousandths before the multiplier
    version: Ints
    history: Ints


@dataclass(frozen=True, slots=True)
class Taken:
    """All readings of a frame, STORED; one entry a reading. newest, past: what the shard's state is now."""

    start: Ints
    quantity: Ints
    raw: Ints  # thousandths before the multiplier
    newest: Array
    past: Ints


def judge_usual(frame: Frame, known: Lookup, state: ShardState, window: tuple[int, int]) -> Judged | None:
    """The judgement of a usual frame, None for any other. window: UTC ms an end may have."""
    if not known.usual:
        known.usual.append(usual(known, MAX_INTERVAL_MS))
    which: Usual | None = known.usual[0]
    taken = None if which is None else take_usual(frame, which, state, *window, MAX_QUANTITY * 1_000)
    if which is None or taken is None:
        return None
    n = len(frame)
    raw_index = np.full(n, NO_INDEX)
    raw_index[which.registers] = taken.raw[which.registers]
    return Judged(
        slot=known.slot,
        master=known.master,
        code=np.zeros(n, np.int64),
        start=taken.start,
        end=frame.end,
        quantity=taken.quantity,
        raw_index=raw_index,
        quality=np.full(n, int(Quality.VALID)),
        version=which.version,
        adjusted=NOTHING_ADJUSTED,
        updates=known.slot,
        newest=taken.newest,
        past=taken.past,
        is_usual=True,
    )


def usual(known: Lookup, longest_ms: int) -> Usual | None:
    """What makes a frame of this list usual; None where none can be: an unknown meter, a slot twice, a meter with a
    history, an interval longer than `longest_ms`."""
    slot, master = known.slot, known.master
    n = len(slot)
    if not n or slot[0] < 0 or not (slot[1:] > slot[:-1]).all() or known.histories:
        return None
    register = master["register"]
    interval = np.where(register, 0, master["interval_ms"])
    if ((interval <= 0) & ~register).any() or interval.max() > longest_ms:
        return None
    first, last = int(slot[0]), int(slot[-1])
    milli = master["multiplier_milli"].copy()
    at = np.flatnonzero(register)
    return Usual(
        rows=np.arange(n).tobytes(),
        no_start=np.full(n, MISSING).tobytes(),
        units=(np.full(n, UNIT_OF_METER).tobytes(), master["unit"].astype(np.int64).tobytes()),
        place=slice(first, last + 1) if last - first == n - 1 else slot,
        highest=last,
        earliest=int((master["valid_from"] + interval).max()),
        latest=int(master["valid_to"].min()),
        scale=UNIT_SCALE[master["unit"], master["base"]],
        sizing=np.maximum(milli, 1_000),
        milli=milli,
        interval=interval,
        registers=at,
        believed=believed_rise(master["modulus"])[at],
        version=master["version"].astype(np.int64),
        history=master["history"].copy(),
    )


def take_usual(
    frame: Frame, which: Usual, state: ShardState, oldest: int, newest: int, largest: int
) -> Taken | None:
    """All readings of a usual frame; None where it is not usual. `state` may grow, and is else not changed.

    oldest, newest: UTC ms an end may have; largest: millionths of the base unit after the multiplier.
    """
    n = len(frame)
    if (
        frame.quality is not None
        or frame.mode not in SENT_MODES
        or frame.source == SOURCE_ESTIMATOR
        or frame.meter.tobytes() != which.rows
        or frame.start.tobytes() != which.no_start
        or frame.unit.tobytes() not in which.units
    ):
        return None
    end = int(frame.end[0])
    if not max(oldest, which.earliest) <= end <= min(newest, which.latest):
        return None
    if frame.end.tobytes() != frame.end[:1].tobytes() * n:
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = frame.value * which.scale
        if not (scaled.min() >= 0 and (scaled * which.sizing).max() <= largest):  # neither holds of NaN
            return None
    raw = np.rint(scaled).astype(np.int64)
    state.reserve(which.highest + 1)
    before = state.newest[which.place]
    last = before["end"]
    if last.max() >= end:
        return None
    quantity, start = multiplied(raw, which.milli), end - which.interval
    past = state.past[which.place]
    if len(which.registers):
        r = which.registers if len(which.registers) < n else slice(None)
        ends, indexes, behind = last[r], before["raw"][r], past[r]
        rise = raw[r] - indexes
        if (
            ends.min() == NEVER
            or rise.min() < 0
            or np.count_nonzero(rise > which.believed)
            or np.count_nonzero(before["history"][r] != which.history[r])
        ):
            return None
        quantity[r] -= multiplied(indexes, which.milli[r])
        start[r] = ends
        moved = np.empty((len(ends), PAST), np.int64)
        moved[:, :2], moved[:, 2], moved[:, 3], moved[:, 4:] = behind[:, :2], ends, indexes, behind[:, 2:-2]
        if len(moved) == n:
            past = moved
        else:
            past = past.copy()
            past[r] = moved
    now = np.empty(n, STATE)
    now["end"], now["start"], now["raw"], now["history"] = end, start, raw, which.history
    return Taken(start, quantity, raw, now, past)
