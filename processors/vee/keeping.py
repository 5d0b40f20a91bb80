"""A shard's habits as records of meter.state, so that convert takes them up exactly where it stood.

What changes with each reading is written with its block of meters at each checkpoint. A meter's profile changes once
a local day and is written alone then, before its block, with what it was before: where a kill came between the two,
the block is older and the readings behind it are replayed onto the profile they met the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from carbonstream.processors.meters import BLOCK
from carbonstream.processors.vee.params import BINS, HOURS, KINDS
from carbonstream.processors.vee.profile import NO_TABLE, PROFILE, RECENT, Habits

HABIT_BYTES: Final = KINDS * HOURS * BINS
PROFILE_BYTES: Final = PROFILE.itemsize + HABIT_BYTES
RECENT_BYTES: Final = BLOCK * RECENT.itemsize
HELD_BYTES: Final = BLOCK * 16


def recent_block(habits: Habits, number: int) -> bytes:
    """What changes with each reading, of one block of 512 slots."""
    habits.reserve((number + 1) * BLOCK)
    slots = slice(number * BLOCK, (number + 1) * BLOCK)
    return habits.recent[slots].tobytes() + habits.held[slots].tobytes()


def restore_recent(habits: Habits, number: int, packed: bytes) -> None:
    """Inverse of recent_block. Raises ValueError when the length is not a block's."""
    if len(packed) != RECENT_BYTES + HELD_BYTES:
        raise ValueError(
            f"habits of a block in meter.state have {len(packed)} bytes, which are not {BLOCK} meters"
        )
    habits.reserve((number + 1) * BLOCK)
    slots = slice(number * BLOCK, (number + 1) * BLOCK)
    habits.recent[slots] = np.frombuffer(packed[:RECENT_BYTES], RECENT)
    habits.held[slots] = np.frombuffer(packed[RECENT_BYTES:], np.int64).reshape(BLOCK, 2)


def take_profiles(habits: Habits) -> Iterator[tuple[int, bytes]]:
    """(slot, profile now and as last written) of all that changed since; they count as written from now on."""
    slots = np.flatnonzero(habits.dirty).tolist()
    for slot in slots:
        yield slot, packed_profile(habits, slot) + habits.before[slot]
    habits.dirty[:] = False
    habits.before.clear()


def packed_profile(habits: Habits, slot: int) -> bytes:
    """A meter's profile and histogram."""
    packed: bytes = habits.profile[slot].tobytes() + habits.habit[slot].tobytes()
    return packed


def restore_profile(habits: Habits, slot: int, packed: bytes, *, is_met: bool) -> None:
    """Take one record up. is_met: the meter's block was written after it; else what was before holds.

    Raises ValueError when the length is not that of two profiles.
    """
    if len(packed) != 2 * PROFILE_BYTES:
        raise ValueError(f"a profile of meter.state has {len(packed)} bytes, not {2 * PROFILE_BYTES}")
    part = packed[:PROFILE_BYTES] if is_met else packed[PROFILE_BYTES:]
    habits.reserve(slot + 1)
    habits.table_of[slot] = NO_TABLE
    habits.profile[slot] = np.frombuffer(part[: PROFILE.itemsize], PROFILE)[0]
    habits.habit[slot] = np.frombuffer(part[PROFILE.itemsize :], np.uint8).reshape(KINDS, HOURS, BINS)
