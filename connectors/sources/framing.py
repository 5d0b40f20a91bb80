"""Readings into frames: grouped by shard, cut at 500, as columns. Pure.

One way for all sources: columns of one shard as numpy arrays, so that a frame costs the same few vectorised
steps whether it holds one pushed reading or 500 of a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from carbonstream.processors.frames import MISSING, Floats, Ints
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.frames import MAX_READINGS, TYPE_READINGS, cloud_event_headers
from carbonstream.schemas.shards import shard_of, site_of

Unit = str | NDArray[Any] | None  # one for all, or an object array of str and None; None: the meter's own

FEW: Final = 100  # rows up to which a dict is faster than numpy.unique (2 us against 20 us for ten)


@dataclass(frozen=True, slots=True)
class Columns:
    """Readings as columns of equal length n. `ids` may hold more meters than the rows use."""

    ids: Sequence[str]  # meter ids SITE/METER, distinct
    meter: Ints  # [n] index into ids
    start: Ints | None  # [n] UTC ms, MISSING where a reading names none
    end: Ints  # [n] UTC ms
    value: Floats  # [n] finite
    unit: Unit
    quality: Ints | None = None  # [n] of estimates; None: measured

    def __len__(self) -> int:
        return len(self.end)

    def rows(self, at: slice | Ints) -> Columns:
        """Some of the readings, in the order of `at`."""
        return Columns(
            self.ids,
            self.meter[at],
            None if self.start is None else self.start[at],
            self.end[at],
            self.value[at],
            self.unit[at] if isinstance(self.unit, np.ndarray) else self.unit,
            None if self.quality is None else self.quality[at],
        )


class Stamp(NamedTuple):
    """What a source writes on its frames. `sent` in UTC ms."""

    source: str
    mode: Mode
    sent: int


def by_shard(columns: Columns) -> Iterator[tuple[int, Columns]]:
    """The readings of each shard, shards ascending, rows in their order. Raises InvalidReading for an id
    without a site.
    """
    shard_of_id = np.array([shard_of(site_of(meter)) for meter in columns.ids], np.int64)
    shard = shard_of_id[columns.meter]
    present = np.unique(shard)
    if len(present) == 1:
        yield int(present[0]), columns
        return
    order = np.argsort(shard, kind="stable")
    cuts = np.searchsorted(shard[order], present)
    for number, at in zip(present.tolist(), np.split(order, cuts[1:]), strict=True):
        yield number, columns.rows(at)


def frames(stamp: Stamp, shard: int, first_seq: int, columns: Columns) -> Iterator[tuple[int, bytes]]:
    """(seq, record) of each frame of one shard's readings: cut at MAX_READINGS, seqs consecutive."""
    for i, low in enumerate(range(0, len(columns), MAX_READINGS)):
        seq = first_seq + i
        part = columns if len(columns) <= MAX_READINGS else columns.rows(slice(low, low + MAX_READINGS))
        yield seq, record(stamp, shard, seq, part)


def frames_needed(readings: int) -> int:
    """How many frames `readings` of one shard take."""
    return -(-readings // MAX_READINGS)


def record(
    stamp: Stamp, shard: int, seq: int, columns: Columns, more: Mapping[str, Any] | None = None
) -> bytes:
    """One frame as meter.readings carries it: at most MAX_READINGS readings, all of `shard`. more: further members."""
    if len(columns) > MAX_READINGS:
        raise ValueError(f"a frame holds at most {MAX_READINGS} readings, not {len(columns)}")
    used, meter = _distinct(columns.meter)
    ids = columns.ids
    frame: dict[str, Any] = {
        "source": stamp.source,
        "shard": shard,
        "seq": seq,
        "sent": stamp.sent,
        "mode": stamp.mode.value,
        "meters": [ids[i] for i in used],
        "meter": meter,
    }
    if columns.start is not None:
        given = columns.start != MISSING
        if given.all():
            frame["start"] = np.ascontiguousarray(columns.start)
        elif given.any():
            frame["start"] = [
                s if g else None for s, g in zip(columns.start.tolist(), given.tolist(), strict=True)
            ]
    frame["end"] = np.ascontiguousarray(columns.end)
    frame["value"] = np.ascontiguousarray(columns.value)
    unit = columns.unit.tolist() if isinstance(columns.unit, np.ndarray) else columns.unit
    if isinstance(unit, list) and len(set(unit)) == 1:
        unit = unit[0]
    if unit is not None:
        frame["unit"] = unit
    if columns.quality is not None:
        frame["quality"] = np.ascontiguousarray(columns.quality)
    return orjson.dumps(frame | dict(more or {}), option=orjson.OPT_SERIALIZE_NUMPY)


def _distinct(meter: Ints) -> tuple[list[int], Ints | list[int]]:
    """Which entries are used, and for each row which of those."""
    if len(meter) <= FEW:
        position: dict[int, int] = {}
        rows = [position.setdefault(i, len(position)) for i in meter.tolist()]
        return list(position), rows
    used, inverse = np.unique(meter, return_inverse=True)
    return used.tolist(), inverse


def headers(stamp: Stamp, shard: int, seq: int) -> list[tuple[str, bytes]]:
    """CloudEvents headers of a frame; its id is its place in the source's sequence."""
    return cloud_event_headers(TYPE_READINGS, stamp.source, frame_id(stamp.mode, shard, seq))


def frame_id(mode: Mode, shard: int, seq: int) -> str:
    """Identifies a frame within its source."""
    return f"{mode.value}/{shard}/{seq}"
