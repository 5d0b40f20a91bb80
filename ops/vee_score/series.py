"""A clean series of one meter, and why some cannot be scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.schemas.periods import DAY_MS, MINUTE_MS, OFFSET_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MIN_DAYS: Final = 14  # two weeks: one to learn from, one to judge


@dataclass(frozen=True, slots=True)
class Series:
    """Readings of one meter in time order, each time once."""

    meter: str
    interval_ms: int  # the commonest distance of two readings
    end: Ints  # [n] UTC ms, rising
    value: Floats  # [n] kWh
    offset_ms: int = OFFSET_MS  # of local time: the commonest offset of its times

    def on_our_clock(self) -> Series:
        """Moved so that its own local midnight is ours: the processors' days are local days."""
        return replace(self, end=self.end + self.offset_ms - OFFSET_MS, offset_ms=OFFSET_MS)


def series_of(meter: str, readings: Mapping[int, float], offset_ms: int) -> Series | str:
    """The series of a meter's readings (UTC ms: kWh), or why it cannot be scored and what to do."""
    end = np.array(sorted(readings), np.int64)
    if len(end) < 3 or end[-1] - end[0] < MIN_DAYS * DAY_MS:
        return f"less than {MIN_DAYS} days; give more, the first half only teaches its habit"
    interval = commonest_step(readings)
    if interval % MINUTE_MS or DAY_MS % interval:
        return f"reports every {interval / MINUTE_MS:g} min; resample it to whole minutes that divide a day"
    return Series(meter, interval, end, np.array([readings[at] for at in end.tolist()]), offset_ms)


def commonest_step(times: Iterable[int]) -> int:
    """ms between two of them; 0 where there are less than two."""
    steps, counts = np.unique(np.diff(np.array(sorted(times), np.int64)), return_counts=True)
    return int(steps[counts.argmax()]) if len(steps) else 0
