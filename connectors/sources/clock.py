"""The wall clock. Sources alone read it; behind Kafka the only clock is a tick's time."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """UTC milliseconds now."""
    return time.time_ns() // 1_000_000
