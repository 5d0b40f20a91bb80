"""From emissions frames to the rows that one transaction of the sink stores, and which of them replace others.

Pure: a batch of frames in, arrays out. A frame is taken only when it continues its partition's chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.apportion import apportion
from carbonstream.processors.expectation import reaches_due
from carbonstream.processors.judged import MAX_INTERVAL_MS
from carbonstream.schemas.codes import ESTIMATED_QUALITIES, Mode, Outcome, RowFlag
from carbonstream.schemas.errors import BrokenChain
from carbonstream.schemas.frames import SOURCE_DECLARED
from carbonstream.schemas.periods import HOUR_MS, SECOND_MS

Ints = NDArray[np.int64]
COLUMNS: Final = ("start", "end", "quantity", "raw_index", "quality", "code", "multiplier_version")
UNTOLD: Final = {"multiplier_version": 1}  # answers from before there were versions
# where an interval cut anew has what a column holds; else 0: Quality.VALID and Outcome.STORED
ADJUSTED_COLUMNS: Final = {
    "start": "start", "end": "end", "quantity": "quantity", "raw_index": "raw_index", "multiplier_version": "version",
}  # fmt: skip
NONE: Final = np.empty(0, np.int64)
NOT_DUE: Final = int(
    RowFlag.APPORTIONED | RowFlag.BASELINE | RowFlag.WITHIN | RowFlag.VOID
)  # rows that are no reading that was due
MOST_ROWS: Final = MAX_INTERVAL_MS // HOUR_MS + 2  # of one reading
STORED_BEFORE: Final = -1  # `reading` of a row that an earlier batch stored


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
            f"{where} answers topic {origin['topic_id']}, the layout has {topic_id}; "
            "run `carbonstream repair`"
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
    declared: NDArray[np.bool_]
    edited: NDArray[np.bool_]
    void: NDArray[np.bool_]  # nothing is to stand for the interval
    multiplier_version: Ints
    row: Ints  # in its frame
    cause: Ints  # position here: of an interval that a late index cut anew the late reading's, else its own
    release: Ints = field(default_factory=lambda: NONE)  # processors.release; empty: none is released

    @property
    def is_adjusted(self) -> NDArray[np.bool_]:
        """Whether an entry is no reading, but what a late one left of an interval stored before."""
        adjusted: NDArray[np.bool_] = self.cause != np.arange(len(self.cause))
        return adjusted


def rows_made(document: dict[str, Any]) -> int:
    """How many rows a frame of carbon.emissions makes at most: its readings are cut at hours, a month's makes 745."""
    start, end, n = document["start"], document["end"], len(document["meter"])
    if not n or start is None:
        return n
    # ms, of each or of all; of what was rejected it may be anything
    span = np.subtract(end, start, dtype=np.float64)
    if span.max() <= HOUR_MS:
        return n
    made = np.clip(span // HOUR_MS + 2, 1, MOST_ROWS)
    return int(made.sum() if made.ndim else made * n)


def concatenate(frames: Sequence[dict[str, Any]]) -> Readings:
    """The frames' columns, one after the other; of each first what its late indexes cut anew."""
    parts: dict[str, list[Ints]] = {name: [] for name in COLUMNS}
    number: list[Ints] = []
    lengths: list[int] = []  # of each frame with what it cut anew
    first: list[int] = []  # position of each frame's first reading
    cut: list[tuple[int, int, int]] = []  # position, the late reading's position and row
    void: list[int] = []  # positions
    before = 0
    for document in frames:
        meter, adjusted = document["meter"], document.get("adjusted", ())
        first.append(before + len(adjusted))
        for at, interval in enumerate(adjusted, start=before):
            cut.append((at, first[-1] + interval["row"], interval["row"]))
            number.append(np.array([document["numbers"][meter[interval["row"]]]], np.int64))
            for name in COLUMNS:
                parts[name].append(np.array([interval.get(ADJUSTED_COLUMNS.get(name), 0)], np.int64))
        void += [first[-1] + row for row in document.get("void", ())]
        lengths.append(len(adjusted) + len(meter))
        before += lengths[-1]
        for name in COLUMNS:
            column = document[name] if name in document else UNTOLD[name]
            is_column = isinstance(column, list)  # else one value stands for as many
            parts[name].append(
                np.array(column, np.int64) if is_column else np.full(len(meter), column, np.int64)
            )
        if meter:
            number.append(np.array(document["numbers"], np.int64)[meter])
    frame = np.repeat(np.arange(len(frames)), lengths)
    cause = np.arange(before)
    row = cause - np.array(first, np.int64)[frame]
    for at, reading, its_row in cut:
        cause[at], row[at] = reading, its_row
    backfill = np.array([d["mode"] == Mode.BACKFILL for d in frames], np.bool_)
    declared = np.array([d["source"] == SOURCE_DECLARED for d in frames], np.bool_)
    edited = np.array([d["mode"] == Mode.EDIT for d in frames], np.bool_)
    is_void = np.zeros(before, np.bool_)
    is_void[void] = True
    return Readings(
        void=is_void[cause],
        declared=declared[frame],
        edited=edited[frame],
        number=np.concatenate(number) if number else NONE,
        frame=frame,
        backfill=backfill[frame],
        row=row,
        cause=cause,
        **{name: np.concatenate(arrays) if arrays else NONE for name, arrays in parts.items()},
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the hypertable, one entry a part of a stored reading. (time, meter) may repeat: see fold."""

    time: Ints  # UTC ms, the part's end
    start: Ints
    meter: Ints
    quantity: Ints
    raw_index: Ints  # -1: none
    quality: Ints
    flags: Ints
    reading: Ints  # position of the reading in Readings, or STORED_BEFORE
    multiplier_version: Ints

    def __len__(self) -> int:
        return len(self.time)

    def take(self, which: NDArray[Any]) -> Rows:
        """The rows selected by a mask or positions."""
        return Rows(*(getattr(self, name)[which] for name in self.__slots__))

    @property
    def counts(self) -> Ints:
        """1 for a row by which a due interval counts as measured; 0 for estimates and rows of NOT_DUE."""
        whole: NDArray[np.bool_] = (self.flags & NOT_DUE) == 0
        return np.where(whole & ~self.is_estimate, 1, 0)

    @property
    def is_last(self) -> NDArray[np.bool_]:
        """Whether a row ends where its reading does: there the reading is counted."""
        last: NDArray[np.bool_] = (self.flags & RowFlag.APPORTIONED) == 0
        return last

    @property
    def is_estimate(self) -> NDArray[np.bool_]:
        estimate: NDArray[np.bool_] = np.isin(self.quality, ESTIMATED_QUALITIES)
        return estimate

    @property
    def estimated(self) -> Ints:
        """The quantity where it is an estimate, else 0."""
        return np.where(self.is_estimate, self.quantity, 0)


def rows_of(readings: Readings, interval_s: NDArray[Any]) -> Rows:
    """Stored readings cut at hour borders. interval_s: by meter number, as Directory has it."""
    taken = np.flatnonzero(readings.code <= Outcome.BASELINE)
    parts = apportion(readings.start[taken], readings.end[taken], readings.quantity[taken])
    of = taken[parts.of]
    flags = np.where(parts.last, 0, int(RowFlag.APPORTIONED))
    flags |= np.where(readings.backfill[of], int(RowFlag.BACKFILL), 0)
    flags |= np.where(readings.declared[of], int(RowFlag.DECLARED), 0)
    flags |= np.where(readings.edited[of], int(RowFlag.EDITED), 0)
    flags |= np.where(readings.void[of], int(RowFlag.VOID), 0)
    flags |= np.where(readings.code[of] == Outcome.BASELINE, int(RowFlag.BASELINE), 0)
    interval_ms = interval_s[readings.number[taken]].astype(np.int64) * SECOND_MS
    is_due = reaches_due(readings.start[taken], readings.end[taken], interval_ms)
    flags |= np.where((is_due | (readings.code[taken] == Outcome.BASELINE))[parts.of], 0, int(RowFlag.WITHIN))
    return Rows(
        multiplier_version=readings.multiplier_version[of],
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
    """What becomes of the rows of a batch, each (time, meter) seen in arrival order after what is stored."""

    rows: Rows  # in force after the batch and new in it, each (time, meter) once
    equal: Rows  # the same again: duplicates
    weaker: Rows  # estimates where a measurement stands: superseded at once
    replaced: Rows  # no longer in force; `reading` STORED_BEFORE where an earlier batch had stored them
    replaced_by: Ints  # position of the reading that took each one's place


def fold(rows: Rows, stored: Rows | None = None) -> Folded:
    """Decide by (time, meter), in arrival order: the same again is a duplicate, a measurement beats an estimate that
    is no edit, else the later one wins. So it makes no difference how a stream is cut into batches.

    stored: what stands in the table under keys of `rows`, each key at most once, `reading` STORED_BEFORE.
    """
    every = rows if stored is None else joined(stored, rows)
    order = np.lexsort((every.time, every.meter))  # stable: arrival order within a key, stored rows first
    meter, time = every.meter[order], every.time[order]
    first = np.flatnonzero(np.append(True, (meter[1:] != meter[:-1]) | (time[1:] != time[:-1])))[: len(order)]
    size = np.diff(np.append(first, len(order)))
    standing = order[first]  # of each key
    estimate = every.is_estimate
    weak = estimate & ((every.flags & RowFlag.EDITED) == 0)
    equal, weaker, replaced, by = [NONE], [NONE], [NONE], [NONE]
    keys = np.flatnonzero(size > 1)
    for k in range(1, int(size.max(initial=1))):
        keys = keys[size[keys] > k]
        before, later = standing[keys], order[first[keys] + k]
        same = _is_equal(every, before, later)
        less = ~same & weak[later] & ~estimate[before]
        wins = ~(same | less)
        equal.append(later[same])
        weaker.append(later[less])
        replaced.append(before[wins])
        by.append(every.reading[later[wins]])
        standing[keys[wins]] = later[wins]
    standing = np.sort(standing[every.reading[standing] != STORED_BEFORE])
    return Folded(
        every.take(standing),
        every.take(np.concatenate(equal)),
        every.take(np.concatenate(weaker)),
        every.take(np.concatenate(replaced)),
        np.concatenate(by),
    )


def nothing_replaced(rows: Rows) -> Folded:
    """Rows of which each stands alone."""
    none = rows.take(NONE)
    return Folded(rows, none, none, none, NONE)


def joined(a: Rows, b: Rows) -> Rows:
    """The rows of `a`, then those of `b`."""
    return Rows(*(np.concatenate([getattr(a, name), getattr(b, name)]) for name in Rows.__slots__))


def _is_equal(rows: Rows, i: Ints, j: Ints) -> NDArray[np.bool_]:
    """Whether rows of one (time, meter) say the same. What the checks doubt of a measurement does not change it; an
    edit's quality and multiplier are what it is about."""
    estimate, edited = rows.is_estimate, (rows.flags[j] & RowFlag.EDITED) != 0
    equal: NDArray[np.bool_] = (
        (rows.start[i] == rows.start[j])
        & (rows.quantity[i] == rows.quantity[j])
        & (rows.raw_index[i] == rows.raw_index[j])
        & ((rows.quality[i] == rows.quality[j]) | ~(estimate[i] | estimate[j] | edited))
        & ((rows.multiplier_version[i] == rows.multiplier_version[j]) | ~edited)
    )
    return equal
