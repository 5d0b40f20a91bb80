"""From emissions frames to what one transaction of the sink writes: rows, held and rejected readings, ledger counts.

Pure: a batch of frames in, arrays out. A frame is taken only when it continues its partition's chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.apportion import apportion
from carbonstream.schemas.codes import ESTIMATED_QUALITIES, Mode, Outcome, RowFlag
from carbonstream.schemas.errors import BrokenChain

Ints = NDArray[np.int64]
COLUMNS: Final = ("start", "end", "quantity", "raw_index", "quality", "code")
NO_DAY_MS: Final = 1  # a reading without a usable time is booked on 1970-01-01


@dataclass(slots=True)
class Position:
    """Where a partition of carbon.emissions stands; -1 before the first frame."""

    source_offset: int = -1
    emissions_offset: int = -1
    tick: int = 0
    reference: dict[str, int] = field(default_factory=dict)


def follow(position: Position, document: dict[str, Any], emissions_offset: int, topic_id: str) -> bool:
    """Whether this frame is the next of the chain; False for a second copy. Moves `position` when it is.

    Raises BrokenChain when a frame is missing between, or belongs to another topic.
    """
    origin = document["origin"]
    where = f"carbon.emissions[{origin['partition']}]@{emissions_offset}"
    if origin["topic_id"] != topic_id:
        raise BrokenChain(
            f"{where} answers topic {origin['topic_id']}, the layout has {topic_id}; run `carbonstream repair`"
        )
    if origin["offset"] <= position.source_offset:
        position.emissions_offset = emissions_offset
        return False
    if origin["previous"] != position.source_offset:
        raise BrokenChain(
            f"{where} answers offset {origin['offset']} after {origin['previous']}, "
            f"but {position.source_offset} was stored last; run `carbonstream repair`"
        )
    position.source_offset, position.emissions_offset = origin["offset"], emissions_offset
    position.tick = max(position.tick, document["tick"])
    if document.get("reference"):
        position.reference = document["reference"]
    return True


@dataclass(frozen=True, slots=True)
class Readings:
    """All readings of a batch, one entry each, in arrival order."""

    number: Ints  # dense meter number, -1 unknown
    start: Ints
    end: Ints
    quantity: Ints
    raw_index: Ints
    quality: Ints
    code: Ints
    frame: Ints  # position of the frame in the batch
    backfill: NDArray[np.bool_]


def concatenate(frames: Sequence[dict[str, Any]]) -> Readings:
    """The frames' columns, one after the other."""
    lists: dict[str, list[int]] = {name: [] for name in COLUMNS}
    number: list[Ints] = []
    lengths: list[int] = []
    for document in frames:
        meter = document["meter"]
        lengths.append(len(meter))
        for name in COLUMNS:
            column = document[name]  # one value stands for as many
            lists[name].extend(column if isinstance(column, list) else repeat(column, len(meter)))
        if meter:
            number.append(np.array(document["numbers"], np.int64)[meter])
    columns = {name: np.array(values, np.int64) for name, values in lists.items()}
    frame = np.repeat(np.arange(len(frames)), lengths)
    backfill = np.array([d["mode"] == Mode.BACKFILL for d in frames], np.bool_)
    return Readings(
        number=np.concatenate(number) if number else np.empty(0, np.int64),
        frame=frame,
        backfill=backfill[frame],
        **columns,
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the hypertable, one entry a part of a stored reading. (time, meter) may repeat: the last counts."""

    time: Ints  # UTC ms, the part's end
    start: Ints
    meter: Ints
    quantity: Ints
    raw_index: Ints  # -1: none
    quality: Ints
    flags: Ints
    reading: Ints  # position of the reading in Readings

    def __len__(self) -> int:
        return len(self.time)

    def take(self, which: NDArray[Any]) -> Rows:
        """The rows selected by a mask or positions."""
        return Rows(*(getattr(self, name)[which] for name in self.__slots__))

    @property
    def counts(self) -> Ints:
        """1 for a row that stands for a whole reading with energy, 0 for earlier parts and baselines."""
        return ((self.flags & (RowFlag.APPORTIONED | RowFlag.BASELINE)) == 0).astype(np.int64)

    @property
    def estimated(self) -> Ints:
        """The quantity where it is an estimate, else 0."""
        return np.where(np.isin(self.quality, ESTIMATED_QUALITIES), self.quantity, 0)


def rows_of(readings: Readings) -> Rows:
    """Stored readings cut at hour borders."""
    taken = np.flatnonzero(readings.code <= Outcome.BASELINE)
    parts = apportion(readings.start[taken], readings.end[taken], readings.quantity[taken])
    of = taken[parts.of]
    flags = np.where(parts.last, 0, int(RowFlag.APPORTIONED))
    flags |= np.where(readings.backfill[of], int(RowFlag.BACKFILL), 0)
    flags |= np.where(readings.code[of] == Outcome.BASELINE, int(RowFlag.BASELINE), 0)
    return Rows(
        time=parts.end,
        start=parts.start,
        meter=readings.number[of],
        quantity=parts.quantity,
        raw_index=np.where(parts.last, readings.raw_index[of], -1),
        quality=readings.quality[of],
        flags=flags,
        reading=of,
    )


@dataclass(frozen=True, slots=True)
class Folded:
    """Rows of a batch with each (time, meter) once, and the earlier ones of a key that the batch itself replaced."""

    rows: Rows
    equal: Rows  # the same again: duplicates
    replaced: Rows  # superseded within the batch


def fold(rows: Rows) -> Folded:
    """Keep the last row of each (time, meter); an earlier equal one makes the later a duplicate."""
    order = np.lexsort((rows.time, rows.meter))  # stable: arrival order within a key
    same = (rows.meter[order][1:] == rows.meter[order][:-1]) & (rows.time[order][1:] == rows.time[order][:-1])
    if not same.any():
        none = rows.take(np.empty(0, np.int64))
        return Folded(rows, none, none)
    keep: dict[tuple[int, int], int] = {}
    equal: list[int] = []
    replaced: list[int] = []
    for i in range(len(rows)):
        key = (int(rows.meter[i]), int(rows.time[i]))
        before = keep.get(key)
        if before is not None and is_equal(rows, i, rows, before):
            equal.append(i)
            continue
        if before is not None:
            replaced.append(before)
        keep[key] = i
    at = np.array(sorted(keep.values()), np.int64)
    return Folded(
        rows.take(at), rows.take(np.array(equal, np.int64)), rows.take(np.array(replaced, np.int64))
    )


def is_equal(a: Rows, i: int, b: Rows, j: int) -> bool:
    """Whether two rows of one (time, meter) say the same."""
    return bool(
        a.start[i] == b.start[j]
        and a.quantity[i] == b.quantity[j]
        and a.raw_index[i] == b.raw_index[j]
        and a.quality[i] == b.quality[j]
    )
