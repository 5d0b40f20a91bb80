"""What the times of deliveries tell of an interval meter: holes, repetitions, late readings, a clock set back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.vee.profile import HASHES
from carbonstream.schemas.periods import HOUR_MS

Array = NDArray[Any]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
REACH: Final = 63  # intervals that `filled` looks back
ONE: Final = np.uint64(1)


@dataclass(frozen=True, slots=True)
class Delivered:
    """One entry a reading."""

    ahead: Mask  # later than all before it: only these say anything of the meter's habit
    next: Mask  # and directly behind the newest
    missing: Mask  # a hole a few readings back has stayed open
    late: Mask  # fills a hole
    duplicate: Mask  # told again with the same value
    clock: Mask  # so much was told again with other values that the clock must have been set back


def deliver(recent: Array, end: Ints, quantity: Ints, interval: Ints, wait: int) -> Delivered:
    """Place readings of distinct interval meters behind what is known of them; changes `recent` (RECENT entries).

    end: UTC ms; interval: ms. Values of repetitions are compared by a hash of 8 bits, 16 intervals back.
    """
    new = recent["end"] < 0
    number = end // interval
    step = number - recent["end"] // interval
    step[new] = 1
    filled = recent["filled"]
    told = _hash(quantity)
    rows = np.arange(len(end))
    at = number % HASHES
    ahead = step > 0
    far = np.where(ahead, np.minimum(step, REACH), 0).astype(np.uint64)
    back = np.where(ahead, 0, np.minimum(-step, REACH)).astype(np.uint64)
    reachable = step >= -REACH
    again = ~ahead & (((filled >> back) & ONE) == ONE) & reachable
    alike = (recent["hash"][rows, at] == told) | (step <= -HASHES)
    other = again & ~alike
    duplicate = again & alike
    late = ~ahead & ~again
    # a shift by 64 is not defined, so by 63 and once more
    moved = np.where(step > REACH, np.uint64(0), filled << far)
    recent["filled"] = np.where(ahead, moved | ONE, np.where(reachable, filled | (ONE << back), filled))
    edges = recent["filled"] & ~(recent["filled"] >> ONE)  # bit i: told, and the interval before it was not
    missing = ahead & (((edges >> np.uint64(wait)) & ((ONE << np.minimum(far, 40)) - ONE)) != 0) & ~new
    recent["hash"][rows[~again & reachable], at[~again & reachable]] = told[~again & reachable]
    run = np.where(again, np.minimum(recent["again"], 254) + 1, 0)
    others = np.where(again, np.minimum(recent["other"], 254) + other, 0)
    enough = np.maximum(HOUR_MS // interval, 1)
    clock = again & (run >= enough) & (2 * others >= enough) & (others > 0)
    clock &= (recent["again"] < enough) | (2 * recent["other"] < enough)  # told once
    recent["again"], recent["other"] = run, others
    return Delivered(ahead, ahead & (step == 1) & ~new, missing, late, duplicate, clock)


def deliver_next(recent: Array, end: int, quantity: Ints, interval: int, wait: int) -> Mask:
    """`deliver` for readings that are all directly behind the newest and have the same end; what is missing."""
    filled = recent["filled"]
    filled <<= ONE
    filled |= ONE
    recent["hash"][:, end // interval % HASHES] = _hash(quantity)
    recent["again"] = recent["other"] = 0
    two: Mask = (filled & np.uint64(3 << wait)) == np.uint64(1 << wait)
    return two


def _hash(quantity: Ints) -> NDArray[np.uint8]:
    """Eight bits of a value (Knuth's multiplicative hash)."""
    product = np.ascontiguousarray(quantity).view("<u8") * np.uint64(11_400_714_819_323_198_485)
    highest: NDArray[np.uint8] = product.view(np.uint8)[7::8]
    return highest
