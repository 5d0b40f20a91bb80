"""Judge the readings of one frame: first checks, registers into intervals, duplicates. Vectorised over the frame.

Check names follow VEE practice (duplicate, negative, unit, interval size); every reading gets exactly one Outcome.
A frame is judged in time order within each meter, so delivery order inside a frame does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.frames import MISSING, UNIT_OF_METER, UNIT_UNKNOWN, Frame, Ints
from carbonstream.processors.meters import NEVER, NO_MODULUS, UNIT_BASE, UNIT_SCALE, ShardMeters, ShardState
from carbonstream.schemas.codes import Mode, Outcome, Quality
from carbonstream.schemas.periods import DAY_MS, YEAR_2000_MS
from carbonstream.schemas.shards import SHARDS

Array = NDArray[Any]

# An interval longer than a month is not a reading but a declaration, which has a way of its own.
MAX_INTERVAL_MS: Final = 32 * DAY_MS
# 1e15 thousandths = 1e12 kWh, a tenth of China's yearly electricity: beyond it is a slip, and sums stay in int64
MAX_QUANTITY: Final = 10**15
NO_INDEX: Final = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """How old and how far ahead a reading may be, ms."""

    live_max_age_ms: int
    live_max_ahead_ms: int
    backfill_max_ahead_ms: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One entry a reading, in the frame's order."""

    code: Ints  # Outcome
    slot: Ints  # -1 unknown meter
    start: Ints  # UTC ms; 0 where not taken and unknown
    end: Ints
    quantity: Ints  # thousandths of the base unit, after the multiplier; 0 where not taken
    raw_index: Ints  # registers: thousandths before the multiplier; NO_INDEX for interval meters
    quality: Ints
    updates: Ints  # slots whose newest reading this frame moves
    newest: Array  # STATE entries of those slots


def judge(frame: Frame, meters: ShardMeters, state: ShardState, now: int | None, limits: Limits) -> Judged:
    """Judge `frame` against its shard's reference data and state; neither is changed.

    now: the partition's last tick, UTC ms; None before the first (then nothing can be too new or too old).
    """
    n = len(frame)
    slot_of = meters.slots
    slot = np.array([slot_of.get(m, -1) for m in frame.meters], np.int64)[frame.meter] if n else frame.meter
    code = _times_and_numbers(frame, now, limits)
    code[(code == 0) & (slot < 0)] = Outcome.UNKNOWN_METER

    master = meters.master[slot]  # slot -1 reads the last entry; its rows carry a code already
    unit = np.where(frame.unit == UNIT_OF_METER, master["unit"], frame.unit)
    code[(code == 0) & (UNIT_BASE[unit] != master["base"])] = Outcome.UNIT
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = frame.value * UNIT_SCALE[unit]
        negative = scaled < 0
        beyond = ~(np.abs(scaled) * np.maximum(master["multiplier_milli"], 1_000) <= MAX_QUANTITY * 1_000)
    code[(code == 0) & negative] = Outcome.NEGATIVE
    code[(code == 0) & beyond] = Outcome.RANGE
    raw = np.rint(np.where(code == 0, scaled, 0)).astype(np.int64)

    register = master["register"]
    no_start = frame.start == MISSING
    start = np.where(no_start & ~register, frame.end - master["interval_ms"], frame.start)
    code[(code == 0) & ~register & ((start >= frame.end) | (frame.end - start > MAX_INTERVAL_MS))] = Outcome.INTERVAL
    first = np.where(register, frame.end, start)
    outside = (first < master["valid_from"]) | (frame.end > master["valid_to"])
    code[(code == 0) & outside] = Outcome.OUTSIDE_VALIDITY

    judging = _Judging(frame, code, slot, start, raw, master, state)
    judging.run()
    return judging.result()


def _times_and_numbers(frame: Frame, now: int | None, limits: Limits) -> Ints:
    """Checks that need no meter, first failing one wins."""
    code = np.zeros(len(frame), np.int64)
    code[~np.isfinite(frame.value)] = Outcome.NOT_A_NUMBER
    end, start = frame.end, frame.start
    given = start != MISSING
    bad = (end == MISSING) | (given & ((start >= end) | (end - np.where(given, start, end) > MAX_INTERVAL_MS)))
    code[(code == 0) & bad] = Outcome.INTERVAL
    oldest = YEAR_2000_MS
    if now is not None:
        ahead = limits.live_max_ahead_ms if frame.mode is Mode.LIVE else limits.backfill_max_ahead_ms
        code[(code == 0) & (end > now + ahead)] = Outcome.FUTURE
        if frame.mode is Mode.LIVE:
            oldest = max(oldest, now - limits.live_max_age_ms)
    code[(code == 0) & (np.where(given, start, end) < oldest)] = Outcome.ANCIENT
    code[(code == 0) & (frame.unit == UNIT_UNKNOWN)] = Outcome.UNIT
    return code


class _Judging:
    """The part that looks at neighbours: rows of one meter in time order, each against the one before it."""

    def __init__(
        self, frame: Frame, code: Ints, slot: Ints, start: Ints, raw: Ints, master: Array, state: ShardState
    ) -> None:
        taken = np.flatnonzero(code == 0)
        order = np.lexsort((frame.end[taken], slot[taken]))  # stable: arrival order breaks ties
        self.rows = rows = taken[order]
        self.code, self.slot = code, slot
        self.s, self.end, self.start, self.raw = slot[rows], frame.end[rows], start[rows], raw[rows]
        self.master = master[rows]
        self.register = self.master["register"]
        self.all_start, self.all_end = start, frame.end
        newest = state.newest
        inside = self.s < len(newest)
        self.known = newest[np.where(inside, self.s, 0)]
        self.known[~inside] = (NEVER, NEVER, NEVER)
        self.verdict = np.zeros(len(rows), np.int64)
        self.quantity = np.zeros(len(rows), np.int64)

    def run(self) -> None:
        if not len(self.rows):
            return
        head = np.empty(len(self.s), np.bool_)
        head[0] = True
        np.not_equal(self.s[1:], self.s[:-1], out=head[1:])
        previous = self.known.copy()
        tail = ~head
        for name, column in (("end", self.end), ("start", self.start), ("raw", self.raw)):
            previous[name][tail] = column[:-1][tail[1:]]
        self._intervals(previous)
        if self.register.any():
            self._registers(previous)

    def _intervals(self, previous: Array) -> None:
        same = (
            (previous["end"] == self.end)
            & (previous["start"] == self.start)
            & (previous["raw"] == self.raw)
        )
        # in a run that begins below the newest known reading, that newest one may still be met further on
        same |= (self.known["end"] == self.end) & (self.known["start"] == self.start) & (self.known["raw"] == self.raw)
        interval = ~self.register
        self.verdict[interval & same] = Outcome.DUPLICATE
        self.quantity = np.where(
            interval & ~same, multiplied(self.raw, self.master["multiplier_milli"]), self.quantity
        )

    def _registers(self, previous: Array) -> None:
        register = self.register
        baseline = register & (previous["end"] == NEVER)
        ordinary = register & ~baseline
        sound = (self.end > previous["end"]) & (self.raw >= previous["raw"])
        if not sound[ordinary].all():
            self._registers_one_by_one()
            return
        milli = self.master["multiplier_milli"]
        moved = multiplied(self.raw, milli) - multiplied(np.where(ordinary, previous["raw"], 0), milli)
        self.quantity = np.where(ordinary, moved, self.quantity)
        self.start = np.where(ordinary, previous["end"], np.where(baseline, self.end, self.start))
        self.verdict[baseline] = Outcome.BASELINE

    def _registers_one_by_one(self) -> None:
        """The rare way: some index is late, repeated or below its forerunner, so each decides what follows it."""
        before: dict[int, tuple[int, int]] = {}
        for i in np.flatnonzero(self.register).tolist():
            s, end, raw = int(self.s[i]), int(self.end[i]), int(self.raw[i])
            last_end, last_raw = before.get(s) or (int(self.known["end"][i]), int(self.known["raw"][i]))
            milli, modulus = int(self.master["multiplier_milli"][i]), int(self.master["modulus"][i])
            if last_end == NEVER:
                self.verdict[i], self.start[i] = Outcome.BASELINE, end
            elif end <= last_end:
                self.verdict[i] = Outcome.DUPLICATE if (end, raw) == (last_end, last_raw) else Outcome.LATE_INDEX
                continue
            elif raw >= last_raw:
                self.quantity[i] = raw * milli // 1_000 - last_raw * milli // 1_000
                self.start[i] = last_end
            elif modulus != NO_MODULUS and modulus > last_raw and (raw + modulus - last_raw) * 2 < modulus:
                # rolled over: less than half a turn since the last index
                self.quantity[i] = (modulus + raw) * milli // 1_000 - last_raw * milli // 1_000
                self.start[i] = last_end
            else:
                self.verdict[i] = Outcome.REGISTER_BACKWARDS
                continue
            before[s] = (end, raw)

    def result(self) -> Judged:
        n, rows = len(self.code), self.rows
        code = self.code
        code[rows] = self.verdict
        took = (self.verdict == Outcome.STORED) | (self.verdict == Outcome.BASELINE)
        start = np.where(self.all_start == MISSING, np.where(self.all_end == MISSING, 0, self.all_end), self.all_start)
        start[rows[took]] = self.start[took]
        quantity = np.zeros(n, np.int64)
        quantity[rows[took]] = self.quantity[took]
        raw_index = np.full(n, NO_INDEX, np.int64)
        indexed = took & self.register
        raw_index[rows[indexed]] = self.raw[indexed]
        updates, newest = self._updates(took)
        return Judged(
            code,
            self.slot,
            start,
            np.where(self.all_end == MISSING, 0, self.all_end),
            quantity,
            raw_index,
            np.where(took_all(code), int(Quality.VALID), int(Quality.RAW)),
            updates,
            newest,
        )

    def _updates(self, took: NDArray[np.bool_]) -> tuple[Ints, Array]:
        """Per slot the last taken row, where it is not older than what is known."""
        at = np.flatnonzero(took & (self.end >= self.known["end"]))
        if not len(at):
            return np.empty(0, np.int64), self.known[:0]
        s = self.s[at]
        last = at[np.append(s[1:] != s[:-1], True)]
        newest = np.empty(len(last), self.known.dtype)
        newest["end"], newest["start"], newest["raw"] = self.end[last], self.start[last], self.raw[last]
        return self.s[last], newest


def took_all(code: Ints) -> NDArray[np.bool_]:
    """True where a reading was taken (stored, or a register's baseline)."""
    return code <= Outcome.BASELINE


def multiplied(raw: Ints, milli: Ints) -> Ints:
    """floor(raw x multiplier), exact in int64: differences of it telescope, so no energy is lost to rounding."""
    whole, part = np.divmod(raw, 1_000)
    return whole * milli + part * milli // 1_000


def numbers(slots: Ints, shard: int) -> Ints:
    """Dense meter numbers of slots; -1 stays -1."""
    return np.where(slots < 0, -1, slots * SHARDS + shard)
