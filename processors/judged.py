"""What the first checks give of a frame, and the limits they are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.frames import Ints
from carbonstream.processors.meters import PAST
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import DAY_MS, YEAR_2000_MS

Array = NDArray[Any]

# An interval longer than a month is not a reading but a declaration (processors.declared), which comes by days.
MAX_INTERVAL_MS: Final = 32 * DAY_MS
# 1e13 thousandths = 1e10 kWh, what all of China uses in nine hours: beyond it is a slip, and sums would leave 64 bits
MAX_QUANTITY: Final = 10**13
NO_INDEX: Final = -1
NONE: Final = np.empty(0, np.int64)
NO_PAST: Final = np.empty((0, PAST), np.int64)


@dataclass(frozen=True, slots=True)
class Limits:
    """How old and how far ahead a reading may be, ms."""

    live_max_age_ms: int
    live_max_ahead_ms: int
    backfill_max_ahead_ms: int

    def window(self, mode: Mode, now: int | None) -> tuple[int, int]:
        """(oldest, newest) UTC ms a reading may reach; before the first tick nothing is too new."""
        if now is None:
            return YEAR_2000_MS, np.iinfo(np.int64).max
        if mode is Mode.BACKFILL:
            return YEAR_2000_MS, now + self.backfill_max_ahead_ms
        return max(YEAR_2000_MS, now - self.live_max_age_ms), now + self.live_max_ahead_ms


@dataclass(frozen=True, slots=True)
class Judged:
    """One entry a reading, in the frame's order."""

    slot: Ints  # of its meter, -1 unknown
    master: Array  # MASTER entry of its meter
    code: Ints  # Outcome
    start: Ints  # UTC ms; where not taken as given, or the end
    end: Ints  # UTC ms; 0 where missing
    # thousandths of the base unit, after the multiplier; of an interval meter's reading that is not taken what it
    # claims, where that is a sound amount of the meter's carrier; else 0
    quantity: Ints
    # registers, taken or below their last index: thousandths before the multiplier; NO_INDEX for all others
    raw_index: Ints
    quality: Ints
    version: Ints  # of the multiplier in force at its end
    adjusted: Array  # ADJUSTED: intervals known before that late indexes cut anew; row: the reading's
    updates: Ints  # slots of which this frame moves what is remembered
    newest: Array  # STATE entries of those slots
    past: Ints  # of those slots, as in ShardState
    void: Ints = field(default_factory=lambda: NONE)  # rows of an edit that leaves nothing to stand
    # all STORED, rising slots, one end, no index below the one before it
    is_usual: bool = False
