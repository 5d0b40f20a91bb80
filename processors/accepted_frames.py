"""What the ledger's own reader asks of a frame before it tells its readings apart, and of the numbers frames bear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from carbonstream.schemas.frames import MAX_READINGS
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS
from carbonstream.schemas.shards import SHARDS

LAST_END_MS: Final = 4_102_444_800_000  # 2100
LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of a source that are not where they should stand in meter.readings: their frames never came, or come
    behind a later one and are refused."""

    source: str
    mode: str
    shard: int
    first_seq: int
    last_seq: int
    day: int  # of the frame that came instead: days since 1970-01-01


def newest_day(ends: list[int]) -> int:
    """Local day of the newest end (UTC ms), in days since 1970-01-01; 0 where there is none."""
    newest = max(ends, default=0)
    return (newest - 1 + OFFSET_MS) // DAY_MS if newest > 0 else 0


def is_name(text: Any) -> bool:
    """Whether a text can name a source in a table."""
    return isinstance(text, str) and 0 < len(text) <= LONGEST_NAME and "\0" not in text


def is_sound(frame: Any, n: int) -> bool:
    """Whether columns fit together, so that single readings can be told apart."""
    meters, meter, unit, start = (frame.get(name) for name in ("meters", "meter", "unit", "start"))
    shard, seq, sent, quality = (frame.get(name) for name in ("shard", "seq", "sent", "quality"))
    return (
        n <= MAX_READINGS
        and is_name(frame.get("source"))
        and all(type(x) is int and x >= 0 for x in (shard, seq, sent))
        and shard < SHARDS
        and seq < 2**62
        and sent < LAST_END_MS
        and frame.get("mode", "live") in ("live", "backfill", "estimate", "edit")
        and isinstance(frame.get("end"), list)
        and isinstance(frame.get("value"), list)
        and isinstance(meter, list)
        and isinstance(meters, list)
        and len(frame["value"]) == len(meter) == n
        and all(not isinstance(column, list) or len(column) == n for column in (unit, quality))
        and (start is None or (isinstance(start, list) and len(start) == n))
        and len(meters) <= MAX_READINGS
        and set(map(type, meters)) <= {str}
        and max(map(len, meters), default=0) <= LONGEST_NAME
        and "\0" not in "".join(meters)
        and set(map(type, meter)) <= {int}
        and min(meter, default=0) >= 0
        and max(meter, default=-1) < len(meters)
    )
