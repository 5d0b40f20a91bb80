"""Which days of an entity are closed, so that their totals may be judged once and for all.

A condition that can go back (plan-to-date) must not be judged on half a day: its history would depend on
how fast readings came. By the clock a day may be judged 15 minutes after its end (T/CEPPC 14-2023 8.6 c:
near-real-time data come within 15 minutes). But the clock says nothing of an import of years ago, so a day
must also be all there:

  reached  every shard of the entity has all the readings due of the day, or readings of a later day.
           A shard's readings come through one partition in order, so nothing of this day is still under
           way. This alone closes the days of an import, and it is a property of the totals: the same at
           any speed and after any restart.
  live     the entity has readings of the clock's own day or the day before. Then a shard that stays behind
           is silent, and does not hold up the others. On a runtime in virtual time this is always so.
  quiet    nothing of the entity has changed for 15 minutes of the clock: an import has ended and left a gap.

Days are judged in order, up to the first that is not closed; a day after the entity's last reading is never
closed unless nothing is due of it: silence must not clear a warning. What is nevertheless late (an import
beside live readings, a second import, a correction) is judged again from its day on and told as a
correction, only where the outcome differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.expectation import Span, readings_due
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, MINUTE_MS, bucket_start

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

ALLOWANCE_MS: Final = 15 * MINUTE_MS
QUIET_MS: Final = 15 * MINUTE_MS
# How far past a period's end later readings are looked for; a shard silent for longer is left to `quiet`.
LOOK_AHEAD_DAYS: Final = 32


@dataclass(frozen=True, slots=True)
class Coverage:
    """What has come of an entity in one period, by day from its first.

    reached: bool[days], every shard has reached the day; behind: the shards that have not; last: the last
    day with any readings, perhaps beyond the period, -1 for none.
    """

    reached: Bools
    behind: tuple[frozenset[int], ...]
    last: int


def coverage(
    start_ms: int, days: int, spans: Mapping[int, Iterable[Span]], readings: Mapping[int, Ints]
) -> Coverage:
    """What has come of a period of `days` days that begins at `start_ms` (UTC ms).

    spans: what each shard of the entity expects; readings: int64[days + LOOK_AHEAD_DAYS] of each, by day.
    """
    starts = start_ms + DAY_MS * np.arange(days, dtype=np.int64)
    none = np.zeros(days + LOOK_AHEAD_DAYS, np.int64)
    late: dict[int, Bools] = {}
    for shard, expected in spans.items():
        came = readings.get(shard, none)
        due = readings_due(starts, starts + DAY_MS, expected)
        later = np.flatnonzero(came).max(initial=-1) > np.arange(days)
        late[shard] = ~((came[:days] >= due) | later)
    some = [np.flatnonzero(came).max(initial=-1) for came in readings.values()]
    behind = tuple(frozenset(shard for shard, not_yet in late.items() if not_yet[day]) for day in range(days))
    return Coverage(np.array([not b for b in behind], np.bool_), behind, int(max(some, default=-1)))


def closed_by_clock(start_ms: int, days: int, now_ms: int) -> int:
    """How many days of a period (from its first) the clock has closed."""
    return max(0, min(days, (now_ms - ALLOWANCE_MS - start_ms) // DAY_MS))


def closed_until(now_ms: int) -> int:
    """UTC ms: every local day that ends by then is closed by the clock."""
    return int(bucket_start(Grain.DAY, np.array([now_ms - ALLOWANCE_MS], np.int64))[0])


def alive_since(now_ms: int) -> int:
    """An entity with readings since then (UTC ms) is live: the day before the clock's."""
    return int(bucket_start(Grain.DAY, np.array([now_ms], np.int64))[0]) - DAY_MS


def closed_days(covered: Coverage, by_clock: int, *, live: bool, quiet: bool) -> int:
    """How many days, from the first, are closed."""
    reached = covered.reached[:by_clock]
    if live or quiet:
        reached = reached | (np.arange(by_clock) <= covered.last)
    open_days = np.flatnonzero(~reached)
    return int(open_days[0]) if len(open_days) else by_clock
