"""Local periods of Asia/Shanghai, vectorised over UTC milliseconds.

China has kept UTC+8 without summer time since 1992 and nothing before 2000 is accepted, so local time is a
fixed offset. An interval belongs to the period it starts in; 24:00 counts to the day before.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.schemas.codes import Grain

Ms = NDArray[np.int64]

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
OFFSET_MS: Final = 8 * HOUR_MS
SHANGHAI: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
YEAR_2000_MS: Final = 946_656_000_000  # 2000-01-01T00:00 local


def bucket_start(grain: Grain, at_ms: Ms) -> Ms:
    """Start (UTC ms) of the local period of `grain` that holds each instant; same shape as `at_ms`."""
    if grain is Grain.HOUR:
        return at_ms - at_ms % HOUR_MS
    local = at_ms + OFFSET_MS
    if grain is Grain.DAY:
        return local - local % DAY_MS - OFFSET_MS
    months = local.astype("datetime64[ms]").astype("datetime64[M]")
    if grain is Grain.QUARTER:
        months = months - (months.astype(np.int64) % 3).astype("timedelta64[M]")
    elif grain is Grain.YEAR:
        months = months.astype("datetime64[Y]").astype("datetime64[M]")
    return months.astype("datetime64[ms]").astype(np.int64) - OFFSET_MS


def month_index(at_ms: Ms) -> Ms:
    """Local months since 1970-01 of each instant."""
    return (at_ms + OFFSET_MS).astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)


def month_of(text: str) -> int:
    """'2024-03' as months since 1970-01. Raises ValueError."""
    return int(np.datetime64(text, "M").astype(np.int64))


@lru_cache(4_096)
def month_text(index: int) -> str:
    """Inverse of month_of."""
    return str(np.datetime64(index, "M"))


@lru_cache(4_096)
def next_bucket(grain: Grain, start_ms: int) -> int:
    """Start of the period after the one that starts at `start_ms`."""
    step = {Grain.HOUR: HOUR_MS, Grain.DAY: DAY_MS}.get(grain)
    if step is not None:
        return start_ms + step
    months = {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}[grain]
    local = np.datetime64(start_ms + OFFSET_MS, "ms").astype("datetime64[M]") + np.timedelta64(months, "M")
    return int(local.astype("datetime64[ms]").astype(np.int64)) - OFFSET_MS


def to_datetime(at_ms: int) -> datetime:
    """UTC milliseconds as an aware datetime."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)


def to_ms(at: datetime) -> int:
    """An aware datetime as UTC milliseconds, exactly (no floats)."""
    delta = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * DAY_MS) + delta.seconds * SECOND_MS + delta.microseconds // 1_000


def local_text(at: datetime) -> str:
    """An instant as ISO 8601 with the offset of Asia/Shanghai."""
    return at.astimezone(SHANGHAI).isoformat()


@lru_cache(4_096)
def local_iso(at_ms: int) -> str:
    """ISO 8601 with the +08:00 offset."""
    return to_datetime(at_ms).astimezone(SHANGHAI).isoformat(timespec="seconds")
