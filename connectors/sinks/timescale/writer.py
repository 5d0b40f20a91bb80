"""One batch into the database, in one transaction.

Fast: every row is past its meter's newest stored time, so binary COPY goes straight into the hypertable; a
unique violation rolls back to the staged path. Only this connection writes its partitions' meters (it holds
their advisory locks), so no row can appear between looking and writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import errors

from carbonstream.connectors.sinks.timescale import tables
from carbonstream.connectors.sinks.timescale.row_step import STAGE, store_fast, store_staged
from carbonstream.processors.directory import Directory
from carbonstream.processors.ledger import outcome_counts
from carbonstream.processors.release import Moved, is_release, origins_of, settle
from carbonstream.processors.rows import STORED_BEFORE, Folded, Position, Readings, Rows, rows_of
from carbonstream.processors.totals import Changes, total_changes

LONG_AGO: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames to be stored together, and where each partition stands after them."""

    frames: Sequence[dict[str, Any]]
    readings: Readings
    positions: dict[int, Position]


class Writer:
    """Writes batches over one connection. `newest` remembers each meter's newest stored time, by number."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.newest: NDArray[np.int64] = np.full(1, LONG_AGO)
        connection.execute("set synchronous_commit = on")
        connection.execute("set jit = off")
        connection.execute(STAGE)
        connection.execute(tables.STAGE_TOTAL)
        connection.commit()

    def write(self, batch: Batch, directory: Directory) -> str:
        """Store one batch; returns the path taken. On any error nothing of it is stored."""
        batch, moved = self._settled(batch)
        rows = rows_of(batch.readings, directory.entries["interval_s"])
        if len(rows):
            self._reserve(int(rows.meter.max()) + 1)
        if self._is_new(rows):
            try:
                return self._transaction(batch, rows, moved, directory, staged=False)
            except errors.UniqueViolation:
                self.connection.rollback()
        return self._transaction(batch, rows, moved, directory, staged=True)

    def _settled(self, batch: Batch) -> tuple[Batch, list[Moved]]:
        """The batch with its released readings told apart. What is released is decided before the transaction: only
        this connection moves held readings of its partitions."""
        if not any(is_release(document) for document in batch.frames):
            return batch, []
        origins = origins_of(batch.frames)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            before = tables.released_before(cursor, origins)
        readings, moved = settle(batch.frames, batch.readings, before)
        return replace(batch, readings=readings), moved

    def _transaction(
        self, batch: Batch, rows: Rows, moved: list[Moved], directory: Directory, *, staged: bool
    ) -> str:
        with self.connection.transaction(), self.connection.cursor() as cursor:
            step = store_staged if staged else store_fast
            stored = step(cursor, rows)
            totals = total_changes(_changes(stored.folded), directory)
            tables.write_totals(cursor, totals)
            tables.write_mark(cursor, totals)
            counts = outcome_counts(batch.frames, batch.readings, stored.folded, directory)
            tables.write_ledger(cursor, "outcome", counts)
            tables.write_kept(cursor, batch.frames, moved)
            tables.write_released(cursor, moved)
            tables.write_corrections(cursor, batch.frames, batch.readings, stored.folded)
            tables.write_positions(cursor, batch.positions)
        np.maximum.at(self.newest, stored.folded.rows.meter, stored.folded.rows.time)
        return stored.path

    def _reserve(self, numbers: int) -> None:
        missing = numbers - len(self.newest)
        if missing > 0:
            self.newest = np.concatenate([self.newest, np.full(max(missing, len(self.newest)), LONG_AGO)])

    def _is_new(self, rows: Rows) -> bool:
        """Every row past its meter's newest, and each (meter, time) once."""
        if not (rows.time > self.newest[rows.meter]).all():
            return False
        order = np.lexsort((rows.time, rows.meter))
        meter, time = rows.meter[order], rows.time[order]
        return not ((meter[1:] == meter[:-1]) & (time[1:] == time[:-1])).any()


def _changes(folded: Folded) -> Changes:
    new = folded.rows
    # a row that the batch itself replaced was never counted
    old = folded.replaced.take(folded.replaced.reading == STORED_BEFORE)
    return Changes(
        meter=np.concatenate([new.meter, old.meter]),
        start=np.concatenate([new.start, old.start]),
        readings=np.concatenate([new.counts, -old.counts]),
        quantity=np.concatenate([new.quantity, -old.quantity]),
        estimated=np.concatenate([new.estimated, -old.estimated]),
    )
