"""When readings became visible: a reader of its own polls the committed positions and stamps them."""

from __future__ import annotations

import threading
import time

import numpy as np
from numpy.typing import NDArray

from carbonstream.connectors.database import connect
from carbonstream.schemas.settings import Settings

POLL_S = 0.02  # seen up to so much later than it was; more often it would take a tenth of a core


class VisibleClock(threading.Thread):
    """Records (partition, source offset, wall ms) each time a partition's committed position moves."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="visible", daemon=True)
        self._settings = settings
        self._ending = threading.Event()
        self.seen: dict[int, list[tuple[int, float]]] = {}

    def run(self) -> None:
        """Poll until stop()."""
        with connect(self._settings, application="bench visible", autocommit=True) as connection:
            last: dict[int, int] = {}
            ended = False
            while not ended:
                ended = self._ending.wait(POLL_S)  # and once more after the last commit
                rows = connection.execute("select partition, source_offset from position").fetchall()
                now = time.time() * 1_000
                for partition, offset in rows:
                    if last.get(partition) != offset:
                        last[partition] = offset
                        self.seen.setdefault(partition, []).append((offset, now))

    def stop(self) -> None:
        """End and wait."""
        self._ending.set()
        self.join()

    def latencies_s(self, acks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds from acknowledgement to visibility, one entry a frame, repeated by its readings.

        acks: rows of (partition, offset, acknowledged wall ms, readings, ...). inf: never seen.
        """
        found: list[NDArray[np.float64]] = []
        for partition in np.unique(acks[:, 0]).astype(int).tolist():
            mine = acks[acks[:, 0] == partition]
            moves = np.array(self.seen.get(partition, []), np.float64).reshape(-1, 2)
            at = np.searchsorted(moves[:, 0], mine[:, 1])
            shown = np.append(moves[:, 1], np.inf)[at]
            found.append(np.repeat((shown - mine[:, 2]) / 1_000, mine[:, 3].astype(int)))
        return np.concatenate(found) if found else np.empty(0)
