"""Meters of one shard as arrays by slot: what reference data say of them, and what convert remembers.

A meter's dense number is slot * 64 + shard, so a slot is the number divided by 64. Arrays grow by doubling; a
block of 512 slots is what one meter.state record holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from carbonstream.processors.register_history import (
    ALWAYS,
    NO_MODULUS,
    Exchange,
    History,
    Multiplier,
)
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER, UNITS, BaseUnit, thousandths_in
from carbonstream.schemas.shards import SHARDS

BLOCK: Final = 512
NEVER: Final = -1  # no reading yet
NO_END: Final = np.iinfo(np.int64).max

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
        ("multiplier_milli", "<i8"),  # thousandths, of the newest version
        ("version", "<i2"),  # of the multiplier
        ("steady_from", "<i8"),  # UTC ms of the last exchange or change of the multiplier; ALWAYS
        ("history", "<i8"),  # tells one history of multipliers and exchanges from another
        ("valid_from", "<i8"),  # UTC ms
        ("valid_to", "<i8"),  # UTC ms, NO_END
    ]
)
# 32 B a meter: the newest accepted reading. raw: a register's index, or an interval meter's quantity before the
# multiplier, in thousandths of the base unit. history: the MASTER's by which it was taken.
STATE: Final = np.dtype([("end", "<i8"), ("start", "<i8"), ("raw", "<i8"), ("history", "<i8")])
# 80 B a register: (end, index) of its first one, and of the last ones before the newest, latest first. An index that is
# late by no more than these splits an interval: at a quarter of an hour it may come an hour late.
REMEMBERED: Final = 4
PAST: Final = 2 + 2 * REMEMBERED
Array = NDArray[Any]
Ints = NDArray[np.int64]
LISTS_REMEMBERED: Final = (
    512  # a shard of 30 M / 64 meters in frames of 500 has about 1,000; 512 lists are 50 MB
)


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter as ref.meters carries it. Times UTC ms; modulus in thousandths, None where it never rolls over.

    multiplier_milli is the newest version's; multipliers: all versions by valid_from, none where there is one only.
    """

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
    multipliers: tuple[Multiplier, ...] = ()
    exchanges: tuple[Exchange, ...] = ()

    @property
    def history(self) -> History:
        """Its multipliers and exchanges over time."""
        multipliers = self.multipliers or (Multiplier(ALWAYS, 1, self.multiplier_milli),)
        return History(multipliers, self.exchanges, self.modulus or NO_MODULUS)


@dataclass(frozen=True, slots=True)
class Lookup:
    """What reference data say of one list of meter ids; all arrays have one entry an id."""

    ids: list[str]
    slot: Ints  # -1 unknown
    master: Array  # MASTER entries; of an unknown id the last slot's, never to be used
    groups: list[tuple[int, int]]  # distinct (class, carrier)
    group: Ints  # index into groups
    encoded: bytes  # the columns meters, numbers and carriers of an emissions frame, as JSON members
    histories: dict[int, History]  # by slot, of those meters that had an exchange or another multiplier
    # what processors.emissions worked out for this list: local month -> (generation of the reference, plan)
    plans: dict[int, tuple[int, Any]] = field(default_factory=dict)
    usual: list[Any] = field(default_factory=list)  # what processors.checks_usual worked out, once asked


class ShardMeters:
    """Reference data of a shard's meters: `slots` by id, and `master`, a MASTER array by slot.

    A source sends the same list of meters again and again, so the last lists looked up are remembered.
    """

    __slots__ = ("_seen", "histories", "master", "shard", "slots")

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.slots: dict[str, int] = {}
        self.master: Array = np.zeros(BLOCK, MASTER)
        self.histories: dict[
            int, History
        ] = {}  # by slot, where there is more than one multiplier and register
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
        histories = {s: self.histories[s] for s in slot.tolist() if s in self.histories}
        return Lookup(ids, slot, master, groups, group, orjson.dumps(columns)[1:-1], histories)

    def put(self, meter: Meter) -> None:
        """Add or replace one meter."""
        slot = meter.number // SHARDS
        self._seen.clear()
        self.master = grown(self.master, slot + 1, np.zeros(1, MASTER))
        self.slots[meter.meter_id] = slot
        history = meter.history
        if meter.multipliers or meter.exchanges:
            self.histories[slot] = history
        else:
            self.histories.pop(slot, None)
        self.master[slot] = (
            meter.register,
            BASE_UNITS.index(CARRIER_BY_NUMBER[meter.carrier].base_unit),
            UNITS.index(meter.unit),
            meter.carrier,
            meter.class_,
            meter.interval_ms,
            history.last_modulus,
            history.multipliers[-1].milli,
            history.multipliers[-1].version,
            history.steady_from,
            crc32(repr(history).encode() if slot in self.histories else b"%d/%d" % _only(history)),
            meter.valid_from,
            NO_END if meter.valid_to is None else meter.valid_to,
        )


def _only(history: History) -> tuple[int, int]:
    """Multiplier and modulus of a meter that never had another."""
    return history.multipliers[0].milli, history.modulus


class ShardState:
    """What convert remembers of a shard's meters: `newest`, a STATE array by slot, and `past`, int64[slots, PAST]:
    of registers, in pairs of end and index, the first one and those before the newest. NEVER where there is none.
    """

    __slots__ = ("dirty", "newest", "past")

    def __init__(self) -> None:
        self.newest: Array = np.full(BLOCK, NEVER, STATE)
        self.past: Ints = np.full((BLOCK, PAST), NEVER)
        self.dirty: NDArray[np.bool_] = np.zeros(
            1, np.bool_
        )  # blocks changed since they were last written down

    def put(self, slots: Ints, newest: Array, past: Ints | None = None) -> None:
        """Replace the newest readings of these slots; without `past` those before are forgotten."""
        self.reserve(int(slots.max()) + 1)
        self.newest[slots] = newest
        self.past[slots] = NEVER if past is None else past
        self.dirty[slots // BLOCK] = True

    def reserve(self, slots: int) -> None:
        """Make room for at least this many slots."""
        if slots > len(self.newest):
            self.newest = grown(self.newest, slots, np.full(1, NEVER, STATE))
            self.past = grown(self.past, slots, np.full((1, PAST), NEVER))
            self.dirty = grown(self.dirty, len(self.newest) // BLOCK, np.zeros(1, np.bool_))

    def take_dirty(self) -> list[int]:
        """Numbers of the changed blocks; they count as written from now on."""
        numbers: list[int] = np.flatnonzero(self.dirty).tolist()
        self.dirty[:] = False
        return numbers

    def block(self, number: int) -> bytes:
        """One block of 512 slots, packed: 112 B a meter."""
        slots = slice(number * BLOCK, (number + 1) * BLOCK)
        return self.newest[slots].tobytes() + self.past[slots].tobytes()

    def restore(self, number: int, packed: bytes) -> None:
        """Inverse of block(). Raises ValueError when the length is not a block's."""
        newest, past = packed[: BLOCK * STATE.itemsize], packed[BLOCK * STATE.itemsize :]
        if len(newest) != BLOCK * STATE.itemsize or len(past) != BLOCK * PAST * 8:
            raise ValueError(f"a block of meter.state has {len(packed)} bytes, which are not {BLOCK} meters")
        self.reserve((number + 1) * BLOCK)
        slots = slice(number * BLOCK, (number + 1) * BLOCK)
        self.newest[slots] = np.frombuffer(newest, STATE)
        self.past[slots] = np.frombuffer(past, np.int64).reshape(BLOCK, PAST)


def grown(array: Array, at_least: int, fill: Array) -> Array:
    """`array`, doubled as often as needed to hold `at_least` entries; new ones are `fill`."""
    size = len(array)
    if at_least <= size:
        return array
    while size < at_least:
        size *= 2
    return np.concatenate([array, np.repeat(fill, size - len(array), axis=0)])
