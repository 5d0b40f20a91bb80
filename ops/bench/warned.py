"""How soon a warning is told: limits that single readings cross, and a subscriber of carbon.warnings with a watch."""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from confluent_kafka import TopicPartition
from numpy.typing import NDArray

from carbonstream.connectors import kafka
from carbonstream.ops.bench.fleet import QUARTER_MS, ShardLoad
from carbonstream.schemas import topics
from carbonstream.schemas.periods import HOUR_MS
from carbonstream.schemas.settings import Settings

COLUMNS: Final = (
    "rule", "kind", "scope", "parameters", "class", "priority", "owner", "cause", "consequence", "action", "respond_s",
    "state", "valid_from",
)  # fmt: skip
Sent = tuple[int, int]  # shard, seq


def crossings(
    loads: Sequence[ShardLoad], first: int, rounds: int, warnings: int
) -> dict[str, tuple[float, Sent]]:
    """meter -> (limit in kW that its reading crosses, the frame that holds it), `warnings` of them, spread over the
    frames of `rounds` rounds from `first`."""
    found: dict[str, tuple[float, Sent]] = {}
    frames = [(load, i) for load in loads for i in range(len(load.meters))]
    for n in range(warnings):
        load, i = frames[n * len(frames) // warnings]
        round_ = first + n % rounds
        meters = orjson.loads(b"{" + load.meters[i] + b"}")["meters"]
        # an interval meter that rises by at least 0.01 kWh a round, or none of this frame
        rising = np.flatnonzero((load.step[i] > 0) & (load.step[i] < 0.05) & (load.first[i] < 50))
        if len(rising):
            m = int(rising[n % len(rising)])
            kwh = load.first[i][m] + load.step[i][m] * (round_ - 0.5)
            found[meters[m]] = float(kwh) * HOUR_MS / QUARTER_MS, (load.shard, round_ * len(load.meters) + i)
    return found


def write_rules(limits: Mapping[str, tuple[float, Sent]], path: Path) -> Path:
    """One rule a meter, for `carbonstream load`."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(COLUMNS)
        for n, (meter, (limit, _)) in enumerate(limits.items()):
            judged = "interval-limit", f"meter:{meter}", f"limit={limit:.4f};on_s=0;off_s=0"
            out.writerow([f"bench-{n}", *judged, "alarm", "high", "bench", "load", "none", "none", 900, "on",
                          "2020-01-01T00:00:00+08:00"])  # fmt: skip
    return path


class WarnedClock(threading.Thread):
    """Reads carbon.warnings, committed records only, and notes when each meter's warning came."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="warned", daemon=True)
        self._ending = threading.Event()
        self._consumer = kafka.reader(settings, **kafka.STAYING)
        topic, n = settings.topic(topics.WARNINGS), settings.partitions_of(topics.WARNINGS)
        ends = [kafka.end_offsets_of(self._consumer, topic, p)[1] for p in range(n)]
        self._consumer.assign([TopicPartition(topic, p, end) for p, end in enumerate(ends)])
        self.seen: dict[str, float] = {}  # meter -> wall ms

    def run(self) -> None:
        """Read until stop()."""
        while not self._ending.is_set():
            for message in self._consumer.consume(100, 0.1):
                kafka.check(message)
                if message.error() is None:
                    snapshot: Any = orjson.loads(message.value() or b"{}").get("snapshot", {})
                    if "meter" in snapshot:
                        self.seen.setdefault(snapshot["meter"], time.time() * 1_000)

    def wait(self, warnings: int, timeout_s: float) -> None:
        """Until so many have come, at most so long."""
        until = time.monotonic() + timeout_s
        while len(self.seen) < warnings and time.monotonic() < until:
            self._ending.wait(0.1)

    def stop(self) -> None:
        """End and wait."""
        self._ending.set()
        self.join()
        self._consumer.close()

    def latencies_s(
        self, limits: Mapping[str, tuple[float, Sent]], acks: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Seconds from acknowledgement of the frame to its warning, one entry a limit whose frame was sent; inf: none
        came. acks: rows of (partition, offset, acknowledged wall ms, readings, shard, seq)."""
        acknowledged = {(int(shard), int(seq)): ms for _, _, ms, _, shard, seq in acks.tolist()}
        return np.array([
            (self.seen.get(meter, np.inf) - acknowledged[sent]) / 1_000
            for meter, (_, sent) in limits.items() if sent in acknowledged
        ])  # fmt: skip
