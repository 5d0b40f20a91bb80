"""Put labelled faults into a clean series: seeded places, lengths and sizes. What is delivered is told in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from carbonstream.processors.vee.params import RATIOS
from carbonstream.schemas.periods import DAY_MS, HOUR_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

GRACE_INTERVALS: Final = 4
LONG_GRACE_MS: Final = DAY_MS
LONG: Final = frozenset({"x10", "x1000", "ct_swap", "clock_shift"})
LONG_HOURS: Final = (24, 168)  # a day to a week
CT_RATIOS: Final = RATIOS[:8]
MAX_SHIFT_HOURS: Final = 12
REST_INTERVALS: Final = 16  # clean readings between a fault's grace and the next fault
LONG_REST_MS: Final = DAY_MS
JITTER: Final = 3  # intervals a shuffled reading may be late
TRIES: Final = 50  # places tried where a fault would change nothing


@dataclass(frozen=True, slots=True)
class Episode:
    """One injected fault. Times are true ones, UTC ms: what the readings' ends are on a right clock."""

    fault: str
    first: int
    last: int
    until: int  # last, and the grace in which it may still be found


@dataclass(slots=True)
class Delivery:
    """What arrives, in order of arrival; one entry a reading."""

    true_end: Ints  # UTC ms
    end: Ints  # as stamped, UTC ms
    value: Floats  # kWh
    order: Floats  # arrival: sort by it


def interval_faults(
    end: Ints, value: Floats, interval_ms: int, p99: Floats, hour: Ints, chance: Generator
) -> tuple[Delivery, list[Episode]]:
    """One round: every kind of fault in turn until the series is full.

    p99: by hour of day, kWh; hour: local hour of day of each reading.
    """
    stream = Delivery(end.copy(), end.copy(), value.copy(), np.arange(len(end), dtype=np.float64))
    work = _Work(stream, value, interval_ms, p99, hour, chance)
    episodes: list[Episode] = []
    at = 1 + int(chance.integers(0, DAY_MS // interval_ms))
    while True:
        for fault in chance.permutation(np.array(sorted(INJECTORS))).tolist():
            length = work.length(fault)
            place = work.place(fault, at, length)
            if place is None:
                return work.delivered(), episodes
            if place < 0:
                continue  # it would change nothing here
            INJECTORS[fault](work, place, length)
            grace = LONG_GRACE_MS if fault in LONG else GRACE_INTERVALS * interval_ms
            last = int(end[place + length - 1])
            episodes.append(Episode(fault, int(end[place]), last, last + grace))
            rest = LONG_REST_MS if fault in LONG else REST_INTERVALS * interval_ms
            at = int(np.searchsorted(end, last + grace + rest)) + int(chance.integers(0, 8))


class _Work:
    """The series a round changes."""

    def __init__(
        self, stream: Delivery, clean: Floats, interval_ms: int, p99: Floats, hour: Ints, chance: Generator
    ) -> None:
        self.stream, self.clean, self.chance = stream, clean, chance
        self.interval_ms, self.p99, self.hour = interval_ms, p99, hour
        self.gone = np.zeros(len(clean), np.bool_)
        self.copies: list[tuple[int, float]] = []  # reading, arrival
        positive = clean[clean > 0]
        self.usual = float(np.median(positive)) if len(positive) else 1.0
        self.resolution = max(int(np.gcd.reduce(np.rint(clean * 1_000).astype(np.int64))), 1) / 1_000

    def length(self, fault: str) -> int:
        if fault in LONG:
            return max(int(self.chance.integers(*LONG_HOURS, endpoint=True)) * HOUR_MS // self.interval_ms, 1)
        low, high = {
            "missing": (1, 96), "frozen": (8, 96), "duplicate": (1, 24), "shuffle": (4, 24)
        }.get(fault, (1, 1))  # fmt: skip
        return int(self.chance.integers(low, high, endpoint=True))

    def place(self, fault: str, at: int, length: int) -> int | None:
        """First reading at or behind `at` where the fault changes something; None at the end, -1 where nowhere near."""
        last = len(self.clean) - length - GRACE_INTERVALS  # what tells a fault may stand behind it
        if at > last:
            return None
        for place in range(at, min(at + TRIES, last + 1)):
            if self._changes(fault, place, length):
                return place
        return -1

    def _changes(self, fault: str, place: int, length: int) -> bool:
        values = self.clean[place : place + length]
        if fault == "spike":
            return bool(self.p99[self.hour[place]] > 0)
        if fault == "frozen":
            before = self.clean[place - 1]
            return bool(before > 0 and (values != before).any())
        if fault in LONG:
            return bool((values > 0).any())
        return True

    def delivered(self) -> Delivery:
        s = self.stream
        copies = np.array([i for i, _ in self.copies], np.int64)
        index = np.concatenate([np.flatnonzero(~self.gone), copies])
        arrival = np.concatenate([s.order[~self.gone], [at for _, at in self.copies]])
        index, arrival = (a[np.argsort(arrival, kind="stable")] for a in (index, arrival))
        return Delivery(s.true_end[index], s.end[index], s.value[index], arrival)


def _missing(work: _Work, place: int, length: int) -> None:
    work.gone[place : place + length] = True


def _frozen(work: _Work, place: int, length: int) -> None:
    work.stream.value[place : place + length] = work.clean[place - 1]


def _spike(work: _Work, place: int, length: int) -> None:
    """A meter of whole kWh tells no part of one, whatever it tells."""
    spike = work.p99[work.hour[place]] * work.chance.uniform(3, 10)
    work.stream.value[place] = np.ceil(round(spike / work.resolution, 6)) * work.resolution


def _negative(work: _Work, place: int, length: int) -> None:
    work.stream.value[place] = -(work.clean[place] or work.usual)


def _times(factor: float) -> Callable[[_Work, int, int], None]:
    def inject(work: _Work, place: int, length: int) -> None:
        work.stream.value[place : place + length] *= factor

    return inject


def _ct_swap(work: _Work, place: int, length: int) -> None:
    work.stream.value[place : place + length] *= float(work.chance.choice(CT_RATIOS))


def _clock_shift(work: _Work, place: int, length: int) -> None:
    """An hour to twelve, ahead or behind: a hole where the clock leaps on, old intervals again where it is set back."""
    hours = work.chance.uniform(1, MAX_SHIFT_HOURS) * work.chance.choice((-1, 1))
    least = max(-(-HOUR_MS // work.interval_ms), 1)
    shift = round(hours * HOUR_MS / work.interval_ms)
    if abs(shift) < least:
        shift = least if hours > 0 else -least
    work.stream.end[place : place + length] += shift * work.interval_ms


def _duplicate(work: _Work, place: int, length: int) -> None:
    for reading in range(place, place + length):
        work.copies.append((reading, work.stream.order[reading] + 0.25 + int(work.chance.integers(0, 9))))


def _shuffle(work: _Work, place: int, length: int) -> None:
    late = work.chance.uniform(0, JITTER, length)
    late[0], late[1] = 1.5, 0  # at least one pair changes places
    work.stream.order[place : place + length] += late


INJECTORS: Final[dict[str, Callable[[_Work, int, int], None]]] = {
    "missing": _missing,
    "frozen": _frozen,
    "spike": _spike,
    "negative": _negative,
    "x10": _times(10),
    "x1000": _times(1_000),
    "ct_swap": _ct_swap,
    "clock_shift": _clock_shift,
    "duplicate": _duplicate,
    "shuffle": _shuffle,
}
