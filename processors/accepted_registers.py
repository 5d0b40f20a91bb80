"""What the ledger's reader remembers of registers, and what one moved: plain code that shares nothing with convert."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.meters import NEVER, grown
from carbonstream.processors.register_history import NO_MODULUS, History
from carbonstream.schemas.periods import HOUR_MS
from carbonstream.schemas.shards import SHARDS

Ints = NDArray[np.int64]
NINE_DIGITS: Final = 10**12  # Wh, where no modulus is known
REGISTER: Final = np.dtype(
    [("end", "<i8"), ("index", "<i8"), ("first_end", "<i8"), ("first_index", "<i8"), ("moved", "?")]
)
NO_REGISTER: Final = np.array([(NEVER, 0, NEVER, 0, False)], REGISTER)


class Registers:
    """The newest and the first index counted of each register: end (UTC ms, NEVER), index (Wh, not multiplied)."""

    def __init__(self) -> None:
        self._shards: dict[int, NDArray[Any]] = {}

    def shard(self, shard: int, slots: int) -> NDArray[Any]:
        """REGISTER entries by slot, at least `slots`."""
        array = self._shards.get(shard)
        if array is None:
            array = NO_REGISTER.copy()
        if len(array) < slots:
            array = grown(array, slots, NO_REGISTER)
        self._shards[shard] = array
        return array

    def put(self, number: int, newest: tuple[int, int], first: tuple[int, int], *, moved: bool) -> None:
        """Replace one, by the meter's dense number; (end, index) each."""
        slot, shard = divmod(number, SHARDS)
        self.shard(shard, slot + 1)[slot] = (*newest, *first, moved)

    def take_moved(self) -> Ints:
        """(number, end, index, first end, first index) of what moved since the last call, int64[5, n]."""
        found = []
        for shard, array in self._shards.items():
            slots = np.flatnonzero(array["moved"])
            array["moved"][slots] = False
            columns = (array[name][slots] for name in ("end", "index", "first_end", "first_index"))
            found.append(np.stack([slots * SHARDS + shard, *columns]))
        return np.concatenate(found, axis=1) if found else np.empty((5, 0), np.int64)

    def copy(self) -> Registers:
        """Another of the same state."""
        other = Registers()
        other._shards = {shard: array.copy() for shard, array in self._shards.items()}
        return other


def milli_at(history: History | None, newest: int, end: int) -> int:
    """The multiplier of what ends then, thousandths: the newest that is valid from before it. newest: of all."""
    if history is None or end <= 0:
        return newest
    versions = history.multipliers
    return [v.milli for v in versions if v is versions[0] or v.valid_from < end][-1]


def between(
    history: History | None, milli: int, modulus: int, one: tuple[int, int], other: tuple[int, int]
) -> int | None:
    """Wh a register moved from one (end, index) to a later one, exchanges between included; None: it cannot have.

    milli, modulus: the newest multiplier and the modulus of the register in use now.
    """
    legs: list[tuple[int, int, int, int, int | None]] = []
    index, since = one[1], one[0]
    if history is not None:
        modulus = history.modulus
        for exchange in history.exchanges:
            if exchange.at < other[0]:
                is_new = exchange.at == one[0] and index == exchange.initial != exchange.final
                if exchange.at >= one[0] and not is_new:
                    legs.append((index, exchange.final, exchange.at, modulus, None))
                    index, since = exchange.initial, exchange.at
                modulus = modulus if exchange.modulus is None else exchange.modulus
    legs.append((index, other[1], other[0], modulus, other[0] - since))
    wh = 0
    for before, after, end, turn, elapsed in legs:
        factor = milli_at(history, milli, end)
        wh += after * factor // 1_000 - before * factor // 1_000
        step = after - before
        if step < 0:
            if turn == NO_MODULUS or turn <= before or (step + turn) * 2 >= turn:
                return None
            wh, step = wh + turn * factor // 1_000, step + turn
        if elapsed is not None and not is_believed(step, after, turn, elapsed):
            return None
    return wh


def is_believed(step: int, index: int, modulus: int, elapsed_ms: int) -> bool:
    """Whether a register may have moved by `step` Wh to an index: by a tenth of a turn, a thousandth to 0, or as far as
    it gets where 1,500 hours make a turn."""
    turn = modulus or NINE_DIGITS
    return step * (10 if index else 1_000) <= turn or step * 1_500 * HOUR_MS <= turn * elapsed_ms
