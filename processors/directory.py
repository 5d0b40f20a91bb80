"""Where a meter's rows count: arrays by dense meter number, and names of entities.

It holds only what never changes once a meter is registered, so that a sink may keep what it has read. (A class may
change once, a place in the meter tree for hours without rows, and a meter's interval; the load that does it ends the
sinks' sessions.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.metering import EVERYWHERE
from carbonstream.schemas.periods import HOUR_MS

NOWHERE: Final = 0  # entity numbers begin at 1
HOUR_BITS: Final = 24  # hours since 1970 of any instant fit
Ints = NDArray[np.int64]

ENTRY: Final = np.dtype(
    [
        ("site", "<i4"),
        ("enterprise", "<i4"),
        ("park", "<i4"),
        ("class", "<i4"),
        ("carrier", "<i2"),
        ("shard", "<i2"),
        ("boundary", "?"),
        ("register", "?"),
        ("interval_s", "<i4"),  # 0: every reading counts as one that was due
    ]
)


@dataclass(slots=True)
class Directory:
    """`entries`: ENTRY array by meter number (site NOWHERE: unknown). `site_ids`: site id by site entity.

    `placed_from`, `placed_levels`: spans of the meters that have a place in the meter tree, by meter and first
    hour (place_key), ascending; a meter's spans cover all time.
    """

    entries: NDArray[Any] = field(default_factory=lambda: np.zeros(1, ENTRY))
    site_ids: dict[int, str] = field(default_factory=dict)
    placed_from: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    placed_levels: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    def levels(self, meter: Ints, start: Ints) -> Ints:
        """At which levels (processors.metering.Level) rows count, by meter number and start (UTC ms)."""
        levels = np.where(self.entries["boundary"][meter], int(EVERYWHERE), 0)
        if not len(self.placed_from):
            return levels
        at = np.searchsorted(self.placed_from, place_key(meter, start), "right") - 1
        placed = (at >= 0) & (self.placed_from[at] >> HOUR_BITS == meter)
        return np.where(placed, self.placed_levels[at], levels)

    def knows(self, numbers: NDArray[np.int64]) -> bool:
        """Whether every number is registered here."""
        if not len(numbers):
            return True
        return int(numbers.max()) < len(self.entries) and bool(
            (self.entries["site"][numbers] != NOWHERE).all()
        )


def place_key(meter: Ints, start: Ints) -> Ints:
    """Meter number and hour of an instant (UTC ms) as one number that sorts the same."""
    return (meter << HOUR_BITS) | np.clip(start // HOUR_MS, 0, (1 << HOUR_BITS) - 1)
