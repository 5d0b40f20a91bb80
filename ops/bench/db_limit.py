"""What the database alone can take: the sink's rows, staged by binary COPY and inserted by its own statement, without
Kafka or totals.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any, Final

import numpy as np

from carbonstream.connectors.database import connect, one_row
from carbonstream.connectors.sinks.timescale.row_step import STAGE, STAGED_INSERT, copy_rows
from carbonstream.processors.rows import Rows
from carbonstream.schemas.settings import Settings

BATCHES: Final = 30  # of some 40,000 rows: ten seconds, as shorter runs differ by a quarter
REPEATS: Final = 3


def db_limit(
    settings: Settings,
    numbers: np.ndarray[Any, np.dtype[np.int64]],
    begin_ms: int,
    batch: int,
    connections: int,
) -> dict[str, Any]:
    """Rows/s of the staged path alone, median of 3: later quarters of the same meters, `batch` rows a transaction."""
    rates: list[float] = []
    quarter = 0
    for _ in range(REPEATS):
        parts = np.array_split(numbers, connections)
        threads = [
            threading.Thread(target=_load, args=(settings, part, begin_ms, quarter, batch, BATCHES))
            for part in parts
        ]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rates.append(BATCHES * batch * connections / (time.monotonic() - began))
        quarter += BATCHES * batch // len(parts[0]) + 2
    return {
        "readings_per_s": round(statistics.median(rates)),
        "runs": [round(rate) for rate in rates],
        "connections": connections,
        "batch_rows": batch,
        "settings": _settings(settings),
    }


def _load(
    settings: Settings,
    numbers: np.ndarray[Any, np.dtype[np.int64]],
    begin_ms: int,
    quarter: int,
    batch: int,
    n: int,
) -> None:
    with connect(settings, application="bench limit") as connection:
        connection.execute("set synchronous_commit = on")
        connection.execute("set jit = off")
        connection.execute(STAGE)
        connection.commit()
        at = 0
        for _ in range(n):
            which = np.arange(at, at + batch)
            at += batch
            time_ms = begin_ms + (quarter + which // len(numbers) + 1) * 900_000
            meter = numbers[which % len(numbers)]
            zero = np.zeros(batch, np.int64)
            rows = Rows(
                time=time_ms,
                start=time_ms - 900_000,
                meter=meter,
                quantity=which % 50_000,
                raw_index=np.where(meter % 128 < 64, which, -1),
                quality=zero,
                flags=zero,
                reading=zero,
                multiplier_version=zero + 1,
            )
            with connection.transaction(), connection.cursor() as cursor:
                copy_rows(cursor, "stage", rows)
                cursor.execute(STAGED_INSERT)


def _settings(settings: Settings) -> dict[str, str]:
    names = (
        "fsync",
        "synchronous_commit",
        "shared_buffers",
        "max_wal_size",
        "wal_compression",
        "checkpoint_timeout",
    )
    with connect(settings, application="bench limit") as connection:
        return {name: one_row(connection, "select current_setting(%s)", (name,))[0] for name in names}
