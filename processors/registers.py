"""Registers into intervals: the difference of two indexes, multiplied, so that differences always add up.

Energy of an interval = floor(index x multiplier) - floor(previous index x multiplier): it telescopes, so however
many indexes came in between, the sum is the last less the first. A late index splits the interval that was computed
without it; what it splits keeps its sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.meters import NEVER, PAST, REMEMBERED
from carbonstream.processors.register_history import ALWAYS, LARGEST, NO_MODULUS, History, Multiplier
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.periods import DAY_MS

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Array = NDArray[Any]
Point = tuple[int, int]  # end, index: UTC ms, thousandths before the multiplier

# An index this much older than a register's first one is an import of another life, not delivery out of order.
FIRST_MOVES_MS: Final = 32 * DAY_MS
# An interval known before, cut anew by a late reading; `row` is that reading's. A later one of a frame may cut what an
# earlier one left, so they count in order, and all of them before the frame's own readings.
ADJUSTED: Final = np.dtype(
    [("row", "<i8"), ("start", "<i8"), ("end", "<i8"), ("quantity", "<i8"), ("raw_index", "<i8"), ("version", "<i8")]
)  # fmt: skip
NOTHING_ADJUSTED: Final = np.empty(0, ADJUSTED)


@dataclass(frozen=True, slots=True)
class Moved:
    """One entry a row; only entries of registers mean anything."""

    verdict: Ints
    start: Ints
    quantity: Ints


@dataclass(frozen=True, slots=True)
class Taken:
    """What rows taken one by one gave beside; `past` by slot: rows of ShardState.past."""

    moved: Moved
    adjusted: Array  # ADJUSTED, `row` counting rows as given
    past: dict[int, Ints]


def multiplied(raw: Ints, milli: Ints) -> Ints:
    """floor(raw x milli / 1000), exact in int64 as long as the result is."""
    if (milli % 1_000 == 0).all():
        return raw * (milli // 1_000)
    whole, part = np.divmod(raw, 1_000)
    return whole * milli + part * milli // 1_000


def believed_rise(modulus: Ints) -> Ints:
    """How far registers may rise at any pace, the first half of can_count: a tenth of a turn."""
    turn: Ints = np.where(modulus == NO_MODULUS, LARGEST, modulus)
    return turn // 10


def advance(end: Ints, raw: Ints, amount: Ints, master: Array, before: Array, register: Mask) -> Moved | None:
    """The usual case: every index is later and not lower than the one before it (`before`: STATE entries), by no more
    than is believed at any pace, and nothing was exchanged between.

    amount: multiplied(raw, multiplier in force).

    None where some register row is not: then rows decide what follows them, see take_one_by_one.
    """
    milli, first = master["multiplier_milli"], before["end"] == NEVER
    steady = before["end"] > master["steady_from"]
    rise = raw - before["raw"]
    usual = (rise >= 0) & (rise <= believed_rise(master["modulus"]))
    sound = first | ~register | ((end > before["end"]) & usual & steady)
    if not sound.all():
        return None
    if first.any():
        quantity = np.where(first, 0, amount - multiplied(np.where(first, 0, before["raw"]), milli))
        verdict = np.where(first, int(Outcome.BASELINE), int(Outcome.STORED))
        return Moved(verdict, np.where(first, end, before["end"]), quantity)
    return Moved(np.zeros(len(end), np.int64), before["end"], amount - multiplied(before["raw"], milli))


def push(
    past: Ints, known: tuple[Ints, Ints], is_stale: Mask, end: Ints, raw: Ints, last: Ints, size: Ints | None
) -> None:
    """Bring what is remembered of registers that `advance` moved on up to date: rows of ShardState.past, changed here.

    known: the newest ends and indexes; is_stale: they were taken by another history; last: position of the register's
    last row in `end` and `raw`; size: how many rows it has, one behind the other (None: one each).
    """
    past[:, 4:] = past[:, 2:-2]
    past[:, 2], past[:, 3] = known
    if is_stale.any():
        past[is_stale, 4:] = NEVER
        first = np.flatnonzero(known[0] == NEVER)
        at = last[first] if size is None else last[first] - size[first] + 1
        past[first, 0], past[first, 1], past[first, 3] = end[at], raw[at], NEVER
    if size is not None:
        older = past[:, 2:].copy()
        every = np.arange(len(past))
        for k in range(1, REMEMBERED + 1):  # the k-th before the last row is a row, or one known before
            within, beyond = k < size, 2 * np.maximum(k - size, 0)
            at = np.where(within, last - k, 0)
            past[:, 2 * k] = np.where(within, end[at], older[every, beyond])
            past[:, 2 * k + 1] = np.where(within, raw[at], older[every, beyond + 1])


def take_one_by_one(
    slot: Ints, end: Ints, raw: Ints, master: Array, known: Array, past: Ints, histories: dict[int, History]
) -> Taken:
    """The rare case: some index is late, repeated, below its forerunner, or behind an exchange.

    Rows: by slot, in time order; known, past: what was remembered of each row's meter before the frame.
    """
    n = len(slot)
    out = Moved(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64))
    registers: dict[int, Remembered] = {}
    adjusted: list[tuple[int, ...]] = []
    for i in np.flatnonzero(master["register"]).tolist():
        s = int(slot[i])
        register = registers.get(s)
        if register is None:
            history = histories.get(s) or _without_changes(master[i])
            register = registers[s] = remembered(known[i], past[i], history, int(master["history"][i]))
        verdict, start, quantity, cut = register.take(int(end[i]), int(raw[i]))
        out.verdict[i], out.start[i], out.quantity[i] = verdict, start, quantity
        if cut is not None:
            adjusted.append((i, *cut))
    past_of = {s: register.past() for s, register in registers.items()}
    return Taken(out, np.array(adjusted, ADJUSTED), past_of)


Cut = tuple[
    int, int, int, int, int
]  # start, end, quantity, index and multiplier's version of an interval cut anew


@dataclass(slots=True)
class Remembered:
    """One register: its first index, and the last ones in time order, at most REMEMBERED and the newest."""

    history: History
    first: Point
    points: list[Point]

    def take(self, end: int, index: int) -> tuple[Outcome, int, int, Cut | None]:
        """(outcome, start, quantity, the interval behind it cut anew) of an index."""
        at = sum(1 for point in self.points if point[0] < end)
        this = (end, index)
        if not self.points:
            self.first, self.points = this, [this]
            return Outcome.BASELINE, end, 0, None
        if end in (self.first[0], *(point[0] for point in self.points[at : at + 1])):
            is_known = this in (self.first, self.points[min(at, len(self.points) - 1)])
            return Outcome.DUPLICATE if is_known else Outcome.LATE_INDEX, end, 0, None
        if end < self.first[0] <= end + FIRST_MOVES_MS:
            return self._begin_earlier(this)
        if at == 0:
            return Outcome.LATE_INDEX, end, 0, None
        before = self.points[at - 1]
        quantity = self.history.energy(*before, *this)
        if quantity is None:
            if at < len(self.points):
                return Outcome.LATE_INDEX, end, 0, None
            is_below = index < before[1]
            return Outcome.REGISTER_BACKWARDS if is_below else Outcome.REGISTER_JUMP, end, 0, None
        cut = None
        if at < len(self.points):
            behind = self.points[at]
            rest = self.history.energy(*this, *behind)
            if rest is None or quantity + rest != self.history.energy(*before, *behind):
                # it cannot lie between them, or the multiplier changed there and no index tells what it had counted
                return Outcome.LATE_INDEX, end, 0, None
            cut = (end, behind[0], rest, behind[1], self.history.in_force(behind[0]).version)
        self.points.insert(at, this)
        del self.points[: -REMEMBERED - 1]
        return Outcome.STORED, before[0], quantity, cut

    def _begin_earlier(self, this: Point) -> tuple[Outcome, int, int, Cut | None]:
        """An index before the first one is the first now; the interval up to the old one was not known yet."""
        quantity = self.history.energy(*this, *self.first)
        if quantity is None:
            return Outcome.LATE_INDEX, this[0], 0, None
        end, index = self.first
        if self.points[0] == self.first and len(self.points) <= REMEMBERED:
            self.points.insert(0, this)
        self.first = this
        return (
            Outcome.BASELINE,
            this[0],
            0,
            (this[0], end, quantity, index, self.history.in_force(end).version),
        )

    def past(self) -> Ints:
        """The same as a row of ShardState.past."""
        row = np.full(PAST, NEVER, np.int64)
        row[:2] = self.first
        for k, point in enumerate(reversed(self.points[:-1]), 1):
            row[2 * k : 2 * k + 2] = point
        return row


def remembered(known: Any, past: Ints, history: History, history_id: int) -> Remembered:
    """A register as its shard's state holds it. What was computed after another history is not cut again."""
    if known["end"] == NEVER:
        return Remembered(history, (NEVER, 0), [])
    points = [(int(known["end"]), int(known["raw"]))]
    if known["history"] == history_id:
        pairs = past[2:].reshape(-1, 2).tolist()
        points[:0] = [(end, index) for end, index in reversed(pairs) if end != NEVER]
    return Remembered(history, (int(past[0]), int(past[1])), points)


def _without_changes(master: Any) -> History:
    multiplier = Multiplier(ALWAYS, int(master["version"]), int(master["multiplier_milli"]))
    return History((multiplier,), (), int(master["modulus"]))
