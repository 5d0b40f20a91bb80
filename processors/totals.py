"""What a batch of row changes adds to the totals: exact sums by entity, class, carrier, grain and bucket.

Sites have hours and months (their days are sums of hours); enterprises, parks and classes have days too. Regions,
industries and domains are sums over classes at reading time: a class is the finest set of sites that share them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.directory import NOWHERE, Directory
from carbonstream.processors.grouping import grouped
from carbonstream.processors.metering import Level
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import HOUR_MS, bucket_start

Ints = NDArray[np.int64]
LEVELS: Final = {
    "site": Level.SITE,
    "enterprise": Level.ENTERPRISE,
    "park": Level.PARK,
    "class": Level.CLASS,
}
GRAINS: Final = {
    "site": (Grain.HOUR, Grain.MONTH),
    "enterprise": (Grain.HOUR, Grain.DAY, Grain.MONTH),
    "park": (Grain.HOUR, Grain.DAY, Grain.MONTH),
    "class": (Grain.HOUR, Grain.DAY, Grain.MONTH),
}


@dataclass(frozen=True, slots=True)
class Changes:
    """Signed changes of stored quantities, one entry a row: +1 new, -1 what it replaces. Times UTC ms."""

    meter: Ints
    start: Ints
    readings: Ints
    quantity: Ints
    estimated: Ints


@dataclass(frozen=True, slots=True)
class TotalChanges:
    """Signed changes of totals, one entry a (entity, grain, bucket, class, carrier, shard)."""

    entity: Ints
    grain: Ints
    bucket: Ints  # UTC ms
    class_: Ints
    carrier: Ints
    shard: Ints
    readings: Ints
    quantity: Ints
    estimated: Ints


def total_changes(changes: Changes, directory: Directory) -> TotalChanges:
    """Sum up; sub-meters (outside the boundary) count nowhere, meters of the meter tree at the levels it gives them.
    Every meter must be in the directory.
    """
    levels = directory.levels(changes.meter, changes.start)
    inside = levels != 0
    entries, levels = directory.entries[changes.meter[inside]], levels[inside]
    hour_index = changes.start[inside] // HOUR_MS
    sums = [changes.readings[inside], changes.quantity[inside], changes.estimated[inside]]
    # first to (site, carrier, hour): everything else is a sum of these few
    names = ("site", "carrier", "enterprise", "park", "class", "shard")
    (site, carrier, enterprise, park, class_, shard, levels, hour), sums = grouped(
        [*(entries[name].astype(np.int64) for name in names), levels, hour_index], sums
    )
    hour = hour * HOUR_MS
    of = {"site": site, "enterprise": enterprise, "park": park, "class": class_}
    pieces: list[list[Ints]] = []
    for level, bit in LEVELS.items():
        entity = of[level]
        here = (entity != NOWHERE) & (levels & bit != 0)
        if not here.any():
            continue
        for grain in GRAINS[level]:
            keys, added = grouped(
                [entity[here], bucket_start(grain, hour[here]), class_[here], carrier[here], shard[here]],
                [s[here] for s in sums],
            )
            moved = np.flatnonzero((added[0] != 0) | (added[1] != 0) | (added[2] != 0))
            e, b, c, k, s = (key[moved] for key in keys)
            pieces.append([e, np.full(len(moved), int(grain)), b, c, k, s, *(a[moved] for a in added)])
    if not pieces:
        return TotalChanges(*(np.empty(0, np.int64) for _ in range(9)))
    return TotalChanges(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
