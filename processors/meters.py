"""Meters of one shard as arrays by slot: what reference data say of them, and what convert remembers.

A meter's dense number is slot * 64 + shard, so a slot is the number divided by 64. Arrays grow by doubling; a
block of 512 slots is what one meter.state record holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from carbonstream.schemas.carriers import CARRIER_BY_NUMBER, UNITS, BaseUnit, thousandths_in
from carbonstream.schemas.shards import SHARDS

BLOCK: Final = 512
NEVER: Final = -1  # no reading yet
NO_END: Final = np.iinfo(np.int64).max
NO_MODULUS: Final = 0

BASE_UNITS: Final = tuple(BaseUnit)
# [unit of UNITS, base unit of BASE_UNITS]: thousandths of the base unit in one of the unit, 0 where it measures
# something else
UNIT_SCALE: Final = np.array([[thousandths_in(u, b) or 0.0 for b in BASE_UNITS] for u in UNITS], np.float64)

MASTER: Final = np.dtype(
    [
        ("register", "?"),
        ("base", "i1"),  # index into BASE_UNITS of the carrier
        ("unit", "i1"),  # index into UNITS
        ("carrier", "<i2"),
        ("class", "<i4"),
        ("interval_ms", "<i8"),
        ("modulus", "<i8"),  # thousandths, before the multiplier; NO_MODULUS
        ("multiplier_milli", "<i8"),  # thousandths
        ("valid_from", "<i8"),  # UTC ms
        ("valid_to", "<i8"),  # UTC ms, NO_END
    ]
)
# 24 B a meter: the newest accepted reading. raw: a register's index, or an interval meter's quantity before the
# multiplier, in thousandths of the base unit.
STATE: Final = np.dtype([("end", "<i8"), ("start", "<i8"), ("raw", "<i8")])
Array = NDArray[Any]
Ints = NDArray[np.int64]
LISTS_REMEMBERED: Final = (
    512  # a shard of 30 M / 64 meters in frames of 500 has about 1,000; 512 lists are 50 MB
)


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter as ref.meters carries it. Times UTC ms; modulus in thousandths, None where it never rolls over."""

    meter_id: str
    number: int
    carrier: int
    register: bool
    unit: str
    multiplier_milli: int
    modulus: int | None
    interval_ms: int
    valid_from: int
    valid_to: int | None
    class_: int


@dataclass(frozen=True, slots=True)
class Lookup:
    """What reference data say of one list of meter ids; all arrays have one entry an id."""

    ids: list[str]
    slot: Ints  # -1 unknown
    master: Array  # MASTER entries; of an unknown id the last slot's, never to be used
    groups: list[tuple[int, int]]  # distinct (class, carrier)
    group: Ints  # index into groups
    encoded: bytes  # the columns meters, numbers and carriers of an emissions frame, as JSON members
    # what processors.emissions worked out for this list: local month -> (generation of the reference, plan)
    plans: dict[int, tuple[int, Any]] = field(default_factory=dict)


class ShardMeters:
    """Reference data of a shard's meters: `slots` by id, and `master`, a MASTER array by slot.

    A source sends the same list of meters again and again, so the last lists looked up are remembered.
    """

    __slots__ = ("_seen", "master", "shard", "slots")

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.slots: dict[str, int] = {}
        self.master: Array = np.zeros(BLOCK, MASTER)
        self._seen: dict[tuple[int, str, str], Lookup] = {}

    def lookup(self, ids: list[str]) -> Lookup:
        """What is known of these ids."""
        key = (len(ids), ids[0], ids[-1]) if ids else (0, "", "")
        seen = self._seen.get(key)
        if seen is not None and seen.ids == ids:
            return seen
        found = self._look_up(ids)
        if (found.slot >= 0).all():  # senders could name unknown meters without end
            if len(self._seen) >= LISTS_REMEMBERED:
                self._seen.clear()
            self._seen[key] = found
        return found

    def _look_up(self, ids: list[str]) -> Lookup:
        slot = np.array([self.slots.get(i, -1) for i in ids], np.int64)
        master = self.master[slot]
        pairs = list(zip(master["class"].tolist(), master["carrier"].tolist(), strict=True))
        groups = list(dict.fromkeys(pairs))
        columns = {
            "meters": ids,
            "numbers": np.where(slot < 0, -1, slot * SHARDS + self.shard).tolist(),
            "carriers": np.where(slot < 0, 0, master["carrier"]).tolist(),
        }
        group = np.array([groups.index(pair) for pair in pairs], np.int64)
        return Lookup(ids, slot, master, groups, group, orjson.dumps(columns)[1:-1])

    def put(self, meter: Meter) -> None:
        """Add or replace one meter."""
        slot = meter.number // SHARDS
        self._seen.clear()
        self.master = grown(self.master, slot + 1, np.zeros(1, MASTER))
        self.slots[meter.meter_id] = slot
        self.master[slot] = (
            meter.register,
            BASE_UNITS.index(CARRIER_BY_NUMBER[meter.carrier].base_unit),
            UNITS.index(meter.unit),
            meter.carrier,
            meter.class_,
            meter.interval_ms,
            NO_MODULUS if meter.modulus is None else meter.modulus,
            meter.multiplier_milli,
            meter.valid_from,
            NO_END if meter.valid_to is None else meter.valid_to,
        )


class ShardState:
    """What convert remembers of a shard's meters: `newest`, a STATE array by slot."""

    __slots__ = ("dirty", "newest")

    def __init__(self) -> None:
        self.newest: Array = np.full(BLOCK, NEVER, STATE)
        self.dirty: NDArray[np.bool_] = np.zeros(
            1, np.bool_
        )  # blocks changed since they were last written down

    def put(self, slots: Ints, newest: Array) -> None:
        """Replace the newest readings of these slots."""
        self.reserve(int(slots.max()) + 1)
        self.newest[slots] = newest
        self.dirty[slots // BLOCK] = True

    def reserve(self, slots: int) -> None:
        """Make room for at least this many slots."""
        if slots > len(self.newest):
            self.newest = grown(self.newest, slots, np.full(1, NEVER, STATE))
            self.dirty = grown(self.dirty, len(self.newest) // BLOCK, np.zeros(1, np.bool_))

    def take_dirty(self) -> list[int]:
        """Numbers of the changed blocks; they count as written from now on."""
        numbers: list[int] = np.flatnonzero(self.dirty).tolist()
        self.dirty[:] = False
        return numbers

    def block(self, number: int) -> bytes:
        """One block of 512 slots, packed."""
        return self.newest[number * BLOCK : (number + 1) * BLOCK].tobytes()

    def restore(self, number: int, packed: bytes) -> None:
        """Inverse of block(). Raises ValueError when the length is not a block's."""
        block = np.frombuffer(packed, STATE)
        if len(block) != BLOCK:
            raise ValueError(f"a block of meter.state has {len(block)} meters, not {BLOCK}")
        self.reserve((number + 1) * BLOCK)
        self.newest[number * BLOCK : (number + 1) * BLOCK] = block


def grown(array: Array, at_least: int, fill: Array) -> Array:
    """`array`, doubled as often as needed to hold `at_least` entries; new ones are `fill`."""
    size = len(array)
    if at_least <= size:
        return array
    while size < at_least:
        size *= 2
    return np.concatenate([array, np.repeat(fill, size - len(array))])
