"""The real checks over many series at once: each is a meter of one site, a frame is one reading of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.checks import judge
from carbonstream.processors.frames import MISSING, UNIT_OF_METER, Frame
from carbonstream.processors.judged import Limits
from carbonstream.processors.meters import Lookup, Meter, ShardMeters, ShardState
from carbonstream.processors.vee.examine import examine
from carbonstream.processors.vee.findings import Readings
from carbonstream.processors.vee.profile import Habits
from carbonstream.schemas.carriers import CARRIER_BY_ID
from carbonstream.schemas.codes import Decision, Mode, Outcome
from carbonstream.schemas.periods import DAY_MS
from carbonstream.schemas.shards import meter_number

Array = NDArray[Any]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# Only its own times judge an old series: it is an import.
LIMITS: Final = Limits(live_max_age_ms=DAY_MS, live_max_ahead_ms=DAY_MS, backfill_max_ahead_ms=DAY_MS)
CARRIER: Final = CARRIER_BY_ID["electricity"].number
OUTCOME_CHECKS: Final = 100  # a reject code of judge stands in `check` as 100 + Outcome
READINGS: Final = 96  # of each meter in a frame, where their order cannot matter
TOLD: Final = np.dtype([("meter", "<i4"), ("reading", "<i4"), ("check", "<i2"), ("decision", "i1")])


@dataclass(frozen=True, slots=True)
class Stream:
    """What one meter delivers, in order of arrival."""

    end: Ints  # UTC ms
    value: Floats  # kWh


class Plant:
    """Meters of one interval length, numbered from 0, and all that the processors remember of them."""

    def __init__(self, meters: int, interval_ms: int) -> None:
        self.interval_ms = interval_ms
        known = ShardMeters(0)
        self.ids = [f"score/{i}" for i in range(meters)]
        for i, meter_id in enumerate(self.ids):
            known.put(
                Meter(
                    meter_id, meter_number(0, i), CARRIER, False, "kWh", 1_000, None, interval_ms, 0, None, 0,
                )
            )  # fmt: skip
        self.known = known
        self.state, self.habits = ShardState(), Habits()
        self.state.reserve(meters)
        self.habits.reserve(meters)

    def place(self, source: Plant, meters: Ints) -> None:
        """Give each own meter i the whole memory of the meter `meters[i]` of `source`."""
        for array, other in (
            (self.state.newest, source.state.newest),
            (self.habits.profile, source.habits.profile),
            (self.habits.recent, source.habits.recent),
            (self.habits.habit, source.habits.habit),
        ):
            array[: len(meters)] = other[meters]

    def run(self, streams: list[Stream], *, learning: bool = False) -> Array:
        """TOLD entries: which reading of which meter told what."""
        longest = max((len(s.end) for s in streams), default=0)
        end = np.full((longest, len(streams)), MISSING)
        value = np.zeros((longest, len(streams)))
        for i, s in enumerate(streams):
            end[: len(s.end), i], value[: len(s.end), i] = s.end, s.value
        if learning:  # clean, so in time order
            known = self.known.lookup(self.ids)
            for first in range(0, longest, READINGS):
                some = slice(first, first + READINGS)
                at = np.nonzero(end[some] != MISSING)
                self._frame(first, known, at[1], end[some][at], value[some][at], learning)
            return np.empty(0, TOLD)
        told = []
        every = np.arange(len(streams))
        lookups: dict[bytes, Lookup] = {}
        for k in range(longest):
            meters = every[end[k] != MISSING]
            if (key := meters.tobytes()) not in lookups:
                lookups[key] = self.known.lookup([self.ids[i] for i in meters.tolist()])
            known = lookups[key]
            found = self._frame(k, known, np.arange(len(meters)), end[k, meters], value[k, meters], learning)
            if len(found):
                entry = np.empty(len(found), TOLD)
                entry["meter"], entry["reading"] = meters[found["row"]], k
                entry["check"], entry["decision"] = found["check"], found["decision"]
                told.append(entry)
        return np.concatenate(told) if told else np.empty(0, TOLD)

    def _frame(self, seq: int, known: Lookup, meter: Ints, end: Ints, value: Floats, learning: bool) -> Array:
        """meter: of each reading, a position in `known`."""
        n = len(end)
        frame = Frame(
            "score", 0, seq, 0, Mode.BACKFILL, known.ids, meter, np.full(n, MISSING), end, value,
            np.full(n, UNIT_OF_METER), {},
        )  # fmt: skip
        judged = judge(frame, known, self.state, None, LIMITS)
        if len(judged.updates):
            self.state.put(judged.updates, judged.newest)
        rejected = np.flatnonzero(judged.code > Outcome.BASELINE)
        refused = np.zeros(len(rejected), [("row", "<i4"), ("check", "<i2"), ("decision", "i1")])
        refused["row"], refused["check"] = rejected, judged.code[rejected] + OUTCOME_CHECKS
        refused["decision"] = Decision.REJECT
        parts = [refused]
        took = np.flatnonzero(judged.code == Outcome.STORED)
        readings = Readings(
            known.slot[meter[took]], judged.start[took], judged.end[took], judged.quantity[took],
            np.full(len(took), self.interval_ms), np.zeros(len(took), np.bool_),
        )  # fmt: skip
        found = examine(readings, self.habits, learning=learning)
        if len(found):
            found["row"] = took[found["row"]]
            parts.append(found)
        return _joined(parts)


def _joined(parts: list[Array]) -> Array:
    parts = [part for part in parts if len(part)]
    joined = np.empty(sum(map(len, parts)), [("row", "<i4"), ("check", "<i2"), ("decision", "i1")])
    at = 0
    for part in parts:
        for name in ("row", "check", "decision"):
            joined[name][at : at + len(part)] = part[name]
        at += len(part)
    return joined
