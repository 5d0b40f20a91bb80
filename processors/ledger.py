"""The ledger: how many readings, and how many Wh of electricity, by source, site, day and what became of them.

Two hops are counted apart: `accepted` by a reader of meter.readings of its own, `outcome` by the sink with its rows.
A reading is booked on the local day of the instant before its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.checks import MAX_QUANTITY
from carbonstream.processors.directory import Directory
from carbonstream.processors.grouping import grouped
from carbonstream.processors.registers import multiplied
from carbonstream.processors.rows import Readings, Rows
from carbonstream.schemas.carriers import CARRIER_BY_ID, THOUSANDTHS, UNITS, BaseUnit
from carbonstream.schemas.codes import Outcome, RowFlag
from carbonstream.schemas.errors import InvalidReading
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


def metered_wh(value: object, unit: str | None, multiplier_milli: int) -> int:
    """Wh that an interval meter's reading claims, taken or not; 0 where it is no sound amount of electricity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or unit not in THOUSANDTHS:
        return 0
    base, scale = THOUSANDTHS[unit]
    if (
        base is not BaseUnit.KWH
        or not 0 <= value * scale * max(multiplier_milli, 1_000) <= MAX_QUANTITY * 1_000
    ):
        return 0
    return int(multiplied(np.array([round(value * scale)]), np.array([multiplier_milli]))[0])


@dataclass(frozen=True, slots=True)
class Count:
    """One line of the ledger to be added."""

    source: str
    site: str
    day: int  # days since 1970-01-01
    outcome: int
    readings: int
    quantity_wh: int


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
    frames: Sequence[dict[str, Any]],
    readings: Readings,
    code: Ints,
    replaced: Rows,
    replaced_readings: Ints,
    directory: Directory,
) -> list[Count]:
    """Ledger lines of one batch.

    code: what became of each reading, the sink's own findings included. replaced: rows superseded, with the
    position of the reading that did it.
    """
    names = Names()
    source = np.array([names.number(d["source"]) for d in frames], np.int64)[readings.frame]
    site = _sites(frames, readings, directory, names)
    day = day_of(readings.end)
    known = np.maximum(readings.number, 0)
    entries = directory.entries[np.where(known < len(directory.entries), known, 0)]
    electric = entries["carrier"] == ELECTRICITY
    wh = np.where(electric & (code <= Outcome.BASELINE), readings.quantity, 0)
    _claimed(frames, readings, code, directory, wh)
    # a superseded row leaves `stored` and enters `superseded`, under the reading that replaced it
    by = replaced_readings
    whole = ((replaced.flags & RowFlag.APPORTIONED) == 0).astype(np.int64)
    old_wh = np.where(electric[by], replaced.quantity, 0) if len(by) else np.empty(0, np.int64)
    keys = [np.concatenate([column, column[by], column[by]]) for column in (source, site, day)] + [
        np.concatenate([code, np.full(len(by), Outcome.STORED), np.full(len(by), Outcome.SUPERSEDED)])
    ]
    sums = [
        np.concatenate([np.ones(len(code), np.int64), -whole, whole]),
        np.concatenate([wh, -old_wh, old_wh]),
    ]
    (s, p, d, o), (n, q) = grouped(keys, sums)
    columns = zip(s.tolist(), p.tolist(), d.tolist(), o.tolist(), n.tolist(), q.tolist(), strict=True)
    lines = [Count(names.texts[a], names.texts[b], c, e, f, g) for a, b, c, e, f, g in columns if f or g]
    for document in frames:  # records no reading could be taken from
        for reject in document["rejects"]:
            if reject["row"] == -1:
                lines.append(Count(document["source"], "", NO_DAY, reject["code"], document["refused"], 0))
    return lines


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
        first = np.searchsorted(readings.frame, np.arange(len(frames)))
        for i in unknown.tolist():
            f = int(readings.frame[i])
            document = frames[f]
            meter_id = document["meters"][document["meter"][i - int(first[f])]]
            site[i] = names.number(site_text(meter_id))
    return site


def _claimed(
    frames: Sequence[dict[str, Any]], readings: Readings, code: Ints, directory: Directory, wh: Ints
) -> None:
    """Book what rejected readings of interval meters claimed: the accepted hop counted it too."""
    duplicate_here = np.flatnonzero((code == Outcome.DUPLICATE) & (readings.code <= Outcome.BASELINE))
    entries = directory.entries
    for i in duplicate_here.tolist():  # found by the sink
        entry = entries[readings.number[i]]
        electric = entry["carrier"] == ELECTRICITY and not entry["register"]
        wh[i] = readings.quantity[i] if electric else 0
    first: Ints | None = None
    for f, document in enumerate(frames):
        for reject in document["rejects"]:
            if reject["row"] < 0:
                continue
            if first is None:
                first = np.searchsorted(readings.frame, np.arange(len(frames)))
            i = int(first[f]) + reject["row"]
            number = int(readings.number[i])
            if number < 0 or number >= len(entries) or entries[number]["register"]:
                continue
            entry = entries[number]
            if entry["carrier"] == ELECTRICITY:
                unit = reject["unit"] or UNITS[entry["unit"]]
                wh[i] = metered_wh(reject_value(reject), unit, int(entry["multiplier_milli"]))


def reject_value(reject: dict[str, Any]) -> float | None:
    """A rejected reading's value as a number, or None. (It is kept as text, since it may be anything.)"""
    if reject["code"] == Outcome.NOT_A_NUMBER:
        return None
    try:
        return float(reject["value"])
    except (TypeError, ValueError):
        return None
