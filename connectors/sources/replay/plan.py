"""How a file's readings become frames: a function of the file and the options alone, so that a replay that
died makes the same frames again. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from carbonstream.connectors.sources.framing import Columns
from carbonstream.processors.frames import Ints
from carbonstream.schemas.frames import MAX_READINGS
from carbonstream.schemas.shards import shard_of, site_of


class Piece(NamedTuple):
    """One frame to be: the `number`-th of its shard."""

    shard: int
    number: int
    rows: Ints  # of the file, by end
    slot: int  # 0 where there are no slots


def pieces(columns: Columns, slot_ms: int | None) -> list[Piece]:
    """The frames in the order of sending: by their last end; within a shard readings are in order of time.

    slot_ms: no frame crosses a multiple of it (event time), so that ticks or pauses fit between; slot k holds
    the readings with k * slot_ms < end <= (k + 1) * slot_ms.
    """
    shard = np.array([shard_of(site_of(meter)) for meter in columns.ids], np.int64)[columns.meter]
    order = np.lexsort((columns.end, shard))  # stable: the file's order breaks ties
    s, end = shard[order], columns.end[order]
    slot = np.zeros(len(end), np.int64) if slot_ms is None else (end - 1) // slot_ms
    at = np.arange(len(end))
    begins = np.ones(len(end), np.bool_)
    begins[1:] = (s[1:] != s[:-1]) | (slot[1:] != slot[:-1])
    run = np.maximum.accumulate(np.where(begins, at, 0))
    low = np.flatnonzero((at - run) % MAX_READINGS == 0)
    high = np.append(low[1:], len(end))
    of = s[low]
    number = np.arange(len(low)) - np.searchsorted(of, of)
    return [
        Piece(int(of[i]), int(number[i]), order[low[i] : high[i]], int(slot[low[i]]))
        for i in np.lexsort((of, end[high - 1])).tolist()
    ]


def frames_by_shard(planned: list[Piece]) -> dict[int, int]:
    """How many frames each shard gets."""
    return {piece.shard: piece.number + 1 for piece in sorted(planned, key=lambda p: (p.shard, p.number))}


def with_slots(planned: list[Piece]) -> Iterator[tuple[int, list[Piece]]]:
    """(slot, its frames) from the first slot to the last, empty ones too."""
    pending: list[Piece] = []
    slot = planned[0].slot
    for piece in planned:
        while piece.slot != slot:
            yield slot, pending
            pending, slot = [], slot + 1
        pending.append(piece)
    yield slot, pending
