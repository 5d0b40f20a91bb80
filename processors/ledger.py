"""The ledger: how many readings, and how many Wh of electricity, by source, site, day and what became of them.

Two hops are counted apart: `accepted` by a reader of meter.readings of its own, `outcome` by the sink with its
rows. A reading is booked on the local day of the instant before its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.directory import Directory
from carbonstream.processors.grouping import grouped
from carbonstream.processors.release import MOVES, MOVES_NOTHING, is_release, mark_of
from carbonstream.processors.rows import Folded, Readings, Rows
from carbonstream.schemas.carriers import CARRIER_BY_ID
from carbonstream.schemas.codes import Outcome, RowFlag
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.frames import SOURCE_ESTIMATOR
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS
from carbonstream.schemas.shards import site_of

Ints = NDArray[np.int64]
ELECTRICITY: Final = CARRIER_BY_ID["electricity"].number
NO_DAY: Final = 0  # 1970-01-01: the reading has no usable time
LAST_DAY: Final = 2_932_896  # 9999-12-31, the last a date column and a reader of it can hold


def day_of(end_ms: Ints) -> Ints:
    """Days since 1970-01-01 (local) a reading is booked on, by its end."""
    days = (end_ms - 1 + OFFSET_MS) // DAY_MS
    return np.where((end_ms > 0) & (days <= LAST_DAY), days, NO_DAY)


@dataclass(frozen=True, slots=True)
class Count:
    """One line of the ledger to be added."""

    source: str
    site: str
    day: int  # days since 1970-01-01
    outcome: int
    readings: int
    quantity_wh: int
    converted: int = 0  # of hop outcome: readings as convert decided, before the sink's moves


@dataclass(slots=True)
class Names:
    """Texts as numbers, for grouping."""

    texts: list[str] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """The text's number, new or known."""
        found = self.at.get(text)
        if found is None:
            found = self.at[text] = len(self.texts)
            self.texts.append(text)
        return found


def site_text(meter_id: str) -> str:
    """The site of a meter id, or the id itself where it names none."""
    try:
        return site_of(meter_id)
    except InvalidReading:
        return meter_id


def outcome_counts(
    frames: Sequence[dict[str, Any]], readings: Readings, folded: Folded, directory: Directory
) -> list[Count]:
    """Ledger lines of one batch: what convert decided, and what the sink found when it stored the rows.

    A reading moves from one outcome to another where its last part does; the energy of each part goes where that
    part went. So the Wh of `stored` are those of the rows, however intervals overlap. What a late index of a register
    does to the intervals beside it is booked under that index: it adds a reading and, between two others, no energy.
    A released reading leaves `held` under the source that had sent it; a second copy of it is no line at all. An
    estimate that gives way is superseded in the estimator's own lines: the measurement is stored, as if nothing had
    been missing.
    """
    names = Names()
    number = readings.number
    source = np.array([names.number(_source(d)) for d in frames], np.int64)[readings.frame]
    estimator = names.number(SOURCE_ESTIMATOR)
    site = _sites(frames, readings, directory, names)
    day, is_adjusted = day_of(readings.end)[readings.cause], readings.is_adjusted
    entries = directory.entries[np.where((number >= 0) & (number < len(directory.entries)), number, 0)]
    electric = (entries["carrier"] == ELECTRICITY) & (number >= 0)
    register = entries["register"]
    # a register's index that was not taken moved nothing; an interval meter's claims what it says
    wh = np.where(electric & (~register | (readings.code <= Outcome.BASELINE)), readings.quantity, 0)
    mark = mark_of(readings)
    counts_here = mark != MOVES_NOTHING
    one, released = (counts_here & ~is_adjusted).astype(np.int64), np.flatnonzero(mark == MOVES)
    lines, sources = [np.arange(len(number)), released], [source, source[released]]
    outcomes = [readings.code, np.full(len(released), int(Outcome.UNKNOWN_METER))]
    counts, sums = [one, -one[released]], [wh * counts_here, np.zeros(len(released), np.int64)]
    said = [one, -one[released]]  # as convert decided

    def move(rows: Rows, line: Ints, to: Outcome) -> None:
        """Rows leave `stored` for `to`, under the readings `line`; a reading whose interval was cut anew stays stored.

        An index claims nothing beside what the rows in force say: theirs is all that the register moved.
        """
        moved, energy = rows.is_last.astype(np.int64), np.where(electric[line], rows.quantity, 0)
        lines.extend((line, line))
        sources.extend((np.where(rows.is_estimate, estimator, source[line]),) * 2)
        baseline = (rows.flags & RowFlag.BASELINE) != 0
        left = np.where(baseline, int(Outcome.BASELINE), int(Outcome.STORED))
        outcomes.extend((left, np.where(is_adjusted[line], int(Outcome.STORED), int(to))))
        counts.extend((-moved, moved))
        said.extend((np.zeros_like(moved), np.zeros_like(moved)))
        sums.extend((-energy, np.where(register[line], 0, energy)))

    for rows, line, to in (
        (folded.equal, folded.equal.reading, Outcome.DUPLICATE),
        (folded.weaker, folded.weaker.reading, Outcome.SUPERSEDED),
        (folded.replaced, folded.replaced_by, Outcome.SUPERSEDED),
    ):
        if len(rows):
            move(rows, line, to)
    at = np.concatenate(lines)
    keys, values = grouped(
        [np.concatenate(sources), site[at], day[at], np.concatenate(outcomes)],
        [np.concatenate(counts), np.concatenate(sums), np.concatenate(said)],
    )
    found = [
        Count(names.texts[s], names.texts[p], d, o, n, q, c)
        for s, p, d, o, n, q, c in zip(*(column.tolist() for column in (*keys, *values)), strict=True)
        if n or q or c
    ]
    found += [  # records no reading could be taken from
        Count(document["source"], "", NO_DAY, reject["code"], document["refused"], 0, document["refused"])
        for document in frames
        if document["refused"]
        for reject in document["rejects"]
    ]
    return found


def _source(document: dict[str, Any]) -> str:
    source: str = document["release_source"] if is_release(document) else document["source"]
    return source


def _sites(frames: Sequence[dict[str, Any]], readings: Readings, directory: Directory, names: Names) -> Ints:
    site = np.full(len(readings.number), -1, np.int64)
    number = readings.number
    known = (number >= 0) & (number < len(directory.entries))
    entity = directory.entries["site"][np.where(known, number, 0)]
    if known.any():
        named = np.full(int(entity.max()) + 1, -1, np.int64)
        for e in np.flatnonzero(np.bincount(entity[known])).tolist():
            if e in directory.site_ids:
                named[e] = names.number(directory.site_ids[e])
        site = np.where(known, named[entity], site)
    unknown = np.flatnonzero(site < 0)
    if len(unknown):
        for i in unknown.tolist():
            f = int(readings.frame[i])
            document = frames[f]
            meter_id = document["meters"][document["meter"][int(readings.row[i])]]
            site[i] = names.number(site_text(meter_id))
    return site
