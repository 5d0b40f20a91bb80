"""The sink without a database: rows by (meter, time), totals as summed-up changes, ledger lines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from carbonstream.processors.directory import Directory
from carbonstream.processors.ledger import Count, outcome_counts
from carbonstream.processors.release import Origin, settle
from carbonstream.processors.rows import STORED_BEFORE, Folded, Rows, concatenate, fold, joined, rows_of
from carbonstream.processors.totals import GRAINS, LEVELS, Changes, total_changes
from carbonstream.schemas.codes import ESTIMATED_QUALITIES
from carbonstream.schemas.periods import bucket_start

Line = tuple[str, str, int, int]  # source, site, day, outcome
TotalKey = tuple[int, int, int, int, int, int]  # entity, grain, bucket, class, carrier, shard
EMPTY = Rows(*(np.empty(0, np.int64) for _ in Rows.__slots__))


class Table:
    """What a sink would have stored."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.rows = EMPTY
        self.totals: defaultdict[TotalKey, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.ledger: defaultdict[Line, list[int]] = defaultdict(lambda: [0, 0])
        self.converted: Counter[Line] = Counter()
        self.released: set[Origin] = set()

    def store(self, frames: list[dict[str, Any]]) -> Folded:
        readings, moved = settle(frames, concatenate(frames), self.released)
        self.released |= {m.origin for m in moved}
        folded = self._fold(rows_of(readings, self.directory.entries["interval_s"]))
        for count in outcome_counts(frames, readings, folded, self.directory):
            line = self.ledger[count.source, count.site, count.day, count.outcome]
            line[0], line[1] = line[0] + count.readings, line[1] + count.quantity_wh
            self.converted[count.source, count.site, count.day, count.outcome] += count.converted
        old = folded.replaced.take(folded.replaced.reading == STORED_BEFORE)
        changes = changes_of(folded.rows, old)
        moved = total_changes(changes, self.directory)
        for *key, n, q, e in zip(*(getattr(moved, name).tolist() for name in moved.__slots__), strict=True):
            total = self.totals[tuple(key)]
            total[:] = total[0] + n, total[1] + q, total[2] + e
        return folded

    def _fold(self, rows: Rows) -> Folded:
        keys = set(keys_of(rows))
        met = np.array([key in keys for key in keys_of(self.rows)], np.bool_)
        folded = fold(rows, self.rows.take(met))
        gone = set(keys_of(folded.rows))
        stay = np.array([key not in gone for key in keys_of(self.rows)], np.bool_)
        stored = folded.rows.take(np.arange(len(folded.rows)))
        stored.reading[:] = STORED_BEFORE
        self.rows = joined(self.rows.take(stay), stored)
        return folded

    def stored_rows(self) -> list[tuple[int, ...]]:
        columns = (getattr(self.rows, name).tolist() for name in Rows.__slots__)
        return sorted(zip(*columns, strict=True))

    def lines(self) -> dict[Line, tuple[int, int]]:
        return {line: (n, wh) for line, (n, wh) in self.ledger.items() if n or wh}

    def sums(self) -> dict[TotalKey, tuple[int, ...]]:
        return {key: tuple(total) for key, total in self.totals.items() if any(total)}


def changes_of(new: Rows, old: Rows) -> Changes:
    return Changes(
        meter=np.concatenate([new.meter, old.meter]),
        start=np.concatenate([new.start, old.start]),
        readings=np.concatenate([new.counts, -old.counts]),
        quantity=np.concatenate([new.quantity, -old.quantity]),
        estimated=np.concatenate([new.estimated, -old.estimated]),
    )


def totals_of_rows(rows: Rows, directory: Directory) -> dict[TotalKey, tuple[int, ...]]:
    """Totals summed from the rows, one by one."""
    found: defaultdict[TotalKey, list[int]] = defaultdict(lambda: [0, 0, 0])
    counts = rows.counts.tolist()
    for i, number in enumerate(rows.meter.tolist()):
        entry = directory.entries[number]
        if not entry["boundary"]:
            continue
        estimated = int(rows.quantity[i]) if int(rows.quality[i]) in ESTIMATED_QUALITIES else 0
        for level in LEVELS:
            if not entry[level]:
                continue
            for grain in GRAINS[level]:
                bucket = int(bucket_start(grain, rows.start[i : i + 1])[0])
                key = (
                    int(entry[level]),
                    int(grain),
                    bucket,
                    *(int(entry[n]) for n in ("class", "carrier", "shard")),
                )
                total = found[key]  # type: ignore[index]
                total[:] = total[0] + counts[i], total[1] + int(rows.quantity[i]), total[2] + estimated
    return {key: tuple(total) for key, total in found.items() if any(total)}


def keys_of(rows: Rows) -> list[tuple[int, int]]:
    return list(zip(rows.meter.tolist(), rows.time.tolist(), strict=True))


def by_day(counts: Iterable[Count]) -> dict[tuple[str, str, int], tuple[int, int]]:
    """Readings and Wh by source, site and day, whatever became of them."""
    readings: Counter[tuple[str, str, int]] = Counter()
    wh: Counter[tuple[str, str, int]] = Counter()
    for c in counts:
        readings[c.source, c.site, c.day] += c.readings
        wh[c.source, c.site, c.day] += c.quantity_wh
    return {key: (n, wh[key]) for key, n in readings.items() if n or wh[key]}
