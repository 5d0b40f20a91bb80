"""A wrong multiplier corrected later: the stored intervals of a register, computed once more from its stored indexes.

A correction says which multiplier was right in [since, until). What stood there is superseded, never forgotten: its
versions keep their numbers, and rows name the version that they were computed by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from carbonstream.processors.register_history import ALWAYS, History, Multiplier
from carbonstream.schemas.codes import RowFlag


class StoredRow(NamedTuple):
    """A row of table reading. Times UTC ms; raw_index None where the row does not end at an index."""

    end: int
    start: int
    quantity: int  # thousandths of the base unit
    raw_index: int | None
    version: int
    quality: int
    flags: int


@dataclass(frozen=True, slots=True)
class Interval:
    """A register's interval as it is stored, its parts put together. first: None where no index is kept at `start`."""

    start: int
    end: int
    first: int | None
    last: int
    quantity: int
    version: int
    quality: int


@dataclass(frozen=True, slots=True)
class Recomputed:
    """An interval and what it should be."""

    interval: Interval
    quantity: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a correction makes of a meter's multipliers. superseded: versions that are in force no more."""

    multipliers: tuple[Multiplier, ...]
    superseded: tuple[int, ...]
    added: tuple[Multiplier, ...]


def corrected(
    multipliers: Sequence[Multiplier], since: int, until: int | None, milli: int, newest: int
) -> Timeline:
    """The multipliers in force once `milli` (thousandths) is right for intervals that end in (since, until].

    multipliers: in force now, by valid_from; since: UTC ms or ALWAYS; until: UTC ms, None: no end; newest: highest
    version ever given. Behind `until` what was in force there goes on, under a version of its own.
    """
    inside = [m for m in multipliers if m.valid_from >= since and (until is None or m.valid_from < until)]
    added = [Multiplier(since, newest + 1, milli)]
    if until is not None and all(m.valid_from != until for m in multipliers):
        after = History(tuple(multipliers)).in_force(until + 1)
        added.append(Multiplier(until, newest + 2, after.milli))
    standing = [m for m in multipliers if m not in inside]
    timeline = tuple(sorted([*standing, *added], key=lambda m: m.valid_from))
    return Timeline(timeline, tuple(m.version for m in inside), tuple(added))


def intervals_of(rows: Iterable[StoredRow]) -> list[Interval]:
    """The intervals that a register's rows (ascending) are parts of; the first rows may be parts of one not given."""
    found: list[Interval] = []
    point: tuple[int, int] | None = None
    start, quantity = None, 0
    for row in rows:
        if row.flags & RowFlag.VOID:
            continue
        if row.flags & RowFlag.BASELINE:
            point, start, quantity = (row.end, row.raw_index or 0), None, 0
            continue
        start, quantity = row.start if start is None else start, quantity + row.quantity
        if row.raw_index is None:
            continue
        first = point[1] if point is not None and point[0] == start else None
        found.append(Interval(start, row.end, first, row.raw_index, quantity, row.version, row.quality))
        point, start, quantity = (row.end, row.raw_index), None, 0
    return found


def differing(
    intervals: Iterable[Interval], history: History, milli_of: Mapping[int, int]
) -> tuple[list[Recomputed], list[Interval]]:
    """(intervals that are otherwise by `history`, those that cannot be told as an index they need is not kept).

    milli_of: every version's multiplier in thousandths.
    """
    wrong: list[Recomputed] = []
    unknown: list[Interval] = []
    for interval in intervals:
        is_other = history.in_force(interval.end).milli != milli_of[interval.version]
        quantity = None
        if interval.first is not None:
            quantity = history.energy(interval.start, interval.first, interval.end, interval.last)
        if quantity is None:
            if is_other:
                unknown.append(interval)
        elif is_other or quantity != interval.quantity:
            wrong.append(Recomputed(interval, quantity))
    return wrong, unknown


def with_multipliers(history: History, timeline: Timeline) -> History:
    """The same register and exchanges with corrected multipliers."""
    return replace(history, multipliers=timeline.multipliers)


__all__ = [
    "ALWAYS", "Interval", "Recomputed", "StoredRow", "Timeline", "corrected", "differing", "intervals_of",
    "with_multipliers",
]  # fmt: skip
