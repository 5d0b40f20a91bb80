"""A meter's habit as arrays by slot: what is learned once a local day, and the little that changes with each reading.

PROFILE and `habit` are written down once a day (145 + 2,880 B a meter), RECENT at each checkpoint (192 B);
tables made of them (1,009 B a meter) are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.meters import BLOCK, NEVER, grown
from carbonstream.processors.vee.params import BINS, HOURS, HYPOTHESES, KINDS, RUN_CLASSES

Array = NDArray[Any]
Ints = NDArray[np.int64]
HASHES: Final = 16  # intervals whose values are remembered by a hash of a byte

PROFILE: Final = np.dtype(
    [
        ("scale", "<f4"),  # the first day's highest value, thousandths; 0: no day yet
        ("days", "<u2"),  # learned
        ("unlearned", "u1"),  # days in a row not learned, because a changed level was told
        ("frozen_days", "u1"),  # days in a row with a frozen value told
        ("weight", "<u2", (KINDS,)),  # in `habit`, of each hour of that kind
        ("high", "u1", (HOURS,)),  # highest value by hour, steps
        ("limit", "u1", (HOURS,)),  # above it a value is suspect, steps; follows from high
        ("top", "u1"),  # the highest of all, steps
        ("run", "u1", (RUN_CLASSES,)),  # longest run of identical values by octave below the top
        ("run_days", "u1", (RUN_CLASSES,)),  # days that had values there
        ("frozen", "u1", (RUN_CLASSES,)),  # a run of this length is told; follows from run
        ("any", "u1", (BINS,)),  # how likely each energy is at its likeliest hour, 255ths; follows from habit
        ("most", "u1", (HYPOTHESES,)),  # the most that normal life said for each hypothesis, nats
    ]
)
RECENT: Final = np.dtype(
    [
        ("end", "<i8"),  # newest reading, UTC ms
        ("quantity", "<i8"),  # its value
        ("filled", "<u8"),  # bit i: the interval i before the newest was told
        ("hash", "u1", (HASHES,)),  # of values by interval number mod HASHES
        (
            "bar",
            "<f4",
        ),  # a value above it needs a closer look, thousandths: the hour's limit; -inf where one is held
        (
            "near",
            "<f4",
            (2,),
        ),  # octaves against the limit of their hour: the value that is held, the one before it
        ("energy", "<f4"),  # of the hour so far, thousandths
        ("high", "<f4"),  # the hour's highest value so far, thousandths
        ("peak", "<f4"),  # the highest of today's hours before it, thousandths; only the first day's is used
        ("hour", "<i4"),  # local hour of the newest, hours since 1970
        ("held", "?"),  # the newest waits for the next
        ("run", "u1"),  # identical values up to the newest
        ("again", "u1"),  # intervals in a row that were told again,
        ("other", "u1"),  # of them with another value
        ("active", "u1"),  # bits of levels: what is told and lasts
        ("told", "u1"),  # bits of learning: what was told today
        ("parts", "u1"),  # readings in the hour so far
        ("energies", "u1", (HOURS,)),  # today's hours, bins; NO_BIN
        ("highs", "u1", (HOURS,)),  # today's highest values, steps
        ("runs", "u1", (RUN_CLASSES,)),  # today's longest runs
        ("said", "<i2", (HYPOTHESES,)),  # evidence for each hypothesis, PER_NAT
        ("most", "u1", (HYPOTHESES,)),  # its highest today, nats
    ],
    align=True,
)
PER_NAT: Final = 40  # evidence is counted in 40ths of a nat: that of any probability above 0.002 fits a byte
NO_TABLE: Final = 255
NO_BIN: Final = 255
ALL_FILLED: Final = np.uint64(2**64 - 1)  # before a meter's first reading nothing is missing


class Habits:
    """Profiles of one shard's meters by slot; arrays grow by doubling."""

    __slots__ = (
        "before",
        "dirty",
        "habit",
        "held",
        "keeps_before",
        "likely",
        "profile",
        "recent",
        "table_of",
    )

    def __init__(self, *, keeps_before: bool = False) -> None:
        """keeps_before: of a profile that changes, what it was when it was last written down."""
        self.profile: Array = np.zeros(BLOCK, PROFILE)
        self.recent: Array = np.repeat(_unknown(), BLOCK)
        # [slot, (end, raw)]: a register's index below its last one, which waits for the next; NEVER where none does
        self.held: Ints = np.full((BLOCK, 2), NEVER)
        # [slot, kind of day, hour, bin]: how often an hour's energy fell there, times 4
        self.habit: NDArray[np.uint8] = np.zeros((BLOCK, KINDS, HOURS, BINS), np.uint8)
        # [slot, hour, bin + 1]: likelihood of an hour's energy on a day of the kind `table_of`, which `levels` makes of
        # profile and habit when it is needed; it is not written down
        self.likely: NDArray[np.uint8] = np.zeros((BLOCK, HOURS, BINS + 2), np.uint8)
        self.table_of: NDArray[np.uint8] = np.full(BLOCK, NO_TABLE, np.uint8)
        self.dirty: NDArray[np.bool_] = np.zeros(BLOCK, np.bool_)  # learned since it was written down
        # slot -> bytes of profile and habit as they were written down, of dirty slots where keeps_before is set
        self.before: dict[int, bytes] = {}
        self.keeps_before = keeps_before

    def reserve(self, slots: int) -> None:
        """Make room for at least this many slots."""
        if slots > len(self.profile):
            self.profile = grown(self.profile, slots, np.zeros(1, PROFILE))
            self.recent = grown(self.recent, slots, _unknown())
            self.held = grown(self.held, slots, np.full((1, 2), NEVER))
            more = len(self.profile) - len(self.habit)
            self.habit = np.concatenate([self.habit, np.zeros((more, KINDS, HOURS, BINS), np.uint8)])
            self.likely = np.concatenate([self.likely, np.zeros((more, HOURS, BINS + 2), np.uint8)])
            self.table_of = grown(self.table_of, slots, np.full(1, NO_TABLE, np.uint8))
            self.dirty = grown(self.dirty, slots, np.zeros(1, np.bool_))

    def about_to_learn(self, slot: Ints) -> None:
        """The profile and habit of these slots are about to change."""
        if self.keeps_before:
            for one in slot[~self.dirty[slot]].tolist():
                self.before[one] = self.profile[one].tobytes() + self.habit[one].tobytes()
        self.dirty[slot] = True
        self.table_of[slot] = NO_TABLE


def entries_of(recent: Array, slot: Ints) -> Array:
    """RECENT entries of `slot`, copied: by words, four times as fast as by fields."""
    words: Array = recent.view(np.int64).reshape(len(recent), -1).take(slot, axis=0)
    entries: Array = words.view(RECENT).reshape(-1)
    return entries


def put_entries(recent: Array, slot: Ints, entries: Array) -> None:
    """Inverse of entries_of."""
    recent.view(np.int64).reshape(len(recent), -1)[slot] = entries.view(np.int64).reshape(len(entries), -1)


def parts_of(meters: int) -> Iterator[slice]:
    """So many at once that what is worked out of their `habit` stays in the cache and below malloc's mmap threshold."""
    return (slice(first, first + 32) for first in range(0, meters, 32))


def sum_of_kinds(counts: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Entries of `habit`, summed over the kinds of day."""
    total = counts[:, 0].astype(np.uint16)
    for kind in range(1, KINDS):
        total += counts[:, kind]
    return total


def _unknown() -> Array:
    entry = np.zeros(1, RECENT)
    entry["end"] = entry["hour"] = NEVER
    entry["filled"] = ALL_FILLED
    entry["energies"] = NO_BIN
    entry["bar"] = np.inf
    return entry
