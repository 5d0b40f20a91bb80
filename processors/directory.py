"""Where a meter's rows count: arrays by dense meter number, and names of entities.

It holds only what never changes once a meter is registered, so that a sink may keep what it has read. (A class may
change once; the load that does it ends the sinks' sessions.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NOWHERE: Final = 0  # entity numbers begin at 1

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
    ]
)


@dataclass(slots=True)
class Directory:
    """`entries`: ENTRY array by meter number (site NOWHERE: unknown). `site_ids`: site id by site entity."""

    entries: NDArray[Any] = field(default_factory=lambda: np.zeros(1, ENTRY))
    site_ids: dict[int, str] = field(default_factory=dict)

    def knows(self, numbers: NDArray[np.int64]) -> bool:
        """Whether every number is registered here."""
        if not len(numbers):
            return True
        return int(numbers.max()) < len(self.entries) and bool(
            (self.entries["site"][numbers] != NOWHERE).all()
        )
