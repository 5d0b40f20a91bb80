"""A clean series as a register's indexes: one that begins anew now and then, or one that passes its modulus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from carbonstream.ops.vee_score.faults import GRACE_INTERVALS, Delivery, Episode
from carbonstream.processors.register_history import LARGEST, TURN_MS, Exchange
from carbonstream.schemas.periods import DAY_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
RESET_DAYS: Final = (5, 20)  # from one reset to the next


@dataclass(frozen=True, slots=True)
class Register:
    """What a register tells, its faults, and what an operator records of its resets."""

    start: int  # the index before the first reading, thousandths
    modulus: int | None  # thousandths
    delivery: Delivery
    episodes: list[Episode]
    exchanges: list[tuple[int, Exchange]]  # before which reading each is recorded


def modulus_of(value: Floats, interval_ms: int) -> int:
    """A register's modulus, thousandths of kWh: the least power of ten that holds 1,500 h at the series' highest rate,
    as each meter's register must (IEC 62052-11)."""
    most = max(float(value.max(initial=0)), 0.001) * 1_000 * TURN_MS / interval_ms
    return int(10 ** np.ceil(np.log10(most)))


def rolling_over(end: Ints, value: Floats, interval_ms: int, chance: Generator) -> Register:
    """A register that passes its modulus at a seeded place, and wherever its sum does again."""
    modulus = modulus_of(value, interval_ms)
    counted = _counted(value)
    start = modulus - 1 - int(chance.integers(0, max(int(counted[-1]), 1)))
    return _told(end, start, start + counted, modulus, [], interval_ms)


def beginning_anew(
    end: Ints, value: Floats, interval_ms: int, modulus: int | None, chance: Generator
) -> Register:
    """A register that begins anew from zero every few days. modulus: None where it never rolls over."""
    counted = _counted(value)
    start = int(chance.integers(0, modulus_of(value, interval_ms)))
    index = start + counted
    resets: list[int] = []
    at = int(end[0]) + DAY_MS
    while True:
        at += int(chance.integers(RESET_DAYS[0] * DAY_MS, RESET_DAYS[1] * DAY_MS))
        i = int(np.searchsorted(end, at))
        if i + 2 * GRACE_INTERVALS >= len(end):
            return _told(end, start, index, modulus, resets, interval_ms)
        near = index[max(i - 2 * GRACE_INTERVALS, 0) : i] // (modulus or LARGEST)
        fresh = counted[i:] - counted[i - 1]
        if near[0] == near[-1] and fresh[0] < index[i - 1] % (modulus or LARGEST):  # else it would not fall
            index[i:] = fresh
            resets.append(i)


def _counted(value: Floats) -> Ints:
    """Thousandths: an index that were rounded behind its modulus could be the modulus itself, which none is."""
    return np.rint(np.cumsum(value) * 1_000).astype(np.int64)


def _told(
    end: Ints, start: int, index: Ints, modulus: int | None, resets: list[int], interval_ms: int
) -> Register:
    """What the register tells where its counts, without a modulus, are `index`."""
    turn = modulus or LARGEST
    turns = np.flatnonzero(np.diff(index // turn, prepend=start // turn) == 1).tolist()
    index = index % turn
    grace = GRACE_INTERVALS * interval_ms
    marks = sorted([(i, "register_reset") for i in resets] + [(i, "register_rollover") for i in turns])
    return Register(
        start,
        modulus,
        Delivery(end, end, index / 1_000, np.arange(len(end), dtype=np.float64)),
        [Episode(fault, int(end[i]), int(end[i]), int(end[i]) + grace) for i, fault in marks],
        [(i + GRACE_INTERVALS + 1, Exchange(int(end[i - 1]), int(index[i - 1]), 0, None)) for i in resets],
    )
