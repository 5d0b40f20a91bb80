"""An index that a register never showed, struck out: what is stored up to it goes, and the indexes beside it meet.

A misread index may be believed, where it is above the last one and no modulus says how far the register goes. What
follows lies below it and is rejected, or counts too little. Once it is struck, the next index is judged against the
one before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from carbonstream.processors.recomputing import Interval, Recomputed, StoredRow, intervals_of
from carbonstream.processors.register_history import History
from carbonstream.schemas.codes import RowFlag


@dataclass(frozen=True, slots=True)
class Strike:
    """What striking an index changes. struck: the interval up to it, of which nothing stands; behind: the one from it
    to the next index, which then begins at the index before; None where it is the newest."""

    struck: Interval
    behind: Recomputed | None

    @property
    def changes(self) -> list[Recomputed]:
        """The same as intervals with what is to stand for them, for a preview."""
        found = [Recomputed(self.struck, 0)]
        if self.behind is not None:
            old = self.behind.interval
            merged = replace(old, start=self.struck.start, quantity=0)
            found += [Recomputed(old, 0), Recomputed(merged, self.behind.quantity)]
        return found


def strike(rows: Sequence[StoredRow], at: int, history: History) -> Strike:
    """Strike the index at `at` (UTC ms) of a register. rows: ascending, from the index before it to the one behind it.

    Raises ValueError with the remedy where there is none, none before it, or the one behind it cannot follow.
    """
    if any(row.end == at and row.flags & RowFlag.BASELINE for row in rows):
        raise ValueError(
            "is the register's first index, nothing stands before it: record an exchange at its time (exchanges.csv)"
        )
    intervals = intervals_of(rows)
    struck = next((i for i in intervals if i.end == at), None)
    if struck is None:
        raise ValueError("no stored index of this register has this time")
    if struck.first is None:
        raise ValueError("the index before it is not kept")
    behind = next((i for i in intervals if i.start == at), None)
    if behind is None:
        return Strike(struck, None)
    quantity = history.energy(struck.start, struck.first, behind.end, behind.last)
    if quantity is None:
        raise ValueError("the index behind it cannot follow the one before it: strike that one first")
    return Strike(struck, Recomputed(replace(behind, first=struck.first), quantity))
