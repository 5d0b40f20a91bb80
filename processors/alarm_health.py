"""How heavy the load of warnings on operators is, after EEMUA 191 and ANSI/ISA-18.2 16 (performance monitoring)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.alarm_states import CLASS_NAMES
from carbonstream.schemas.periods import DAY_MS, MINUTE_MS

Ints = NDArray[np.int64]

BIN_MS: Final = 10 * MINUTE_MS
# Per operator position and 10 minutes, in steady operation (EEMUA 191 table 11; ISA-18.2 table 5)
ACCEPTABLE: Final = 1.0
MANAGEABLE: Final = 2.0
# A flood begins with more than 10 in 10 minutes and ends with less than 5 (ISA-18.2 16.5.4)
FLOOD_ABOVE: Final = 10
FLOOD_BELOW: Final = 5
CHATTER_TIMES: Final = 3  # in CHATTER_MS (ISA-18.2 16.5.6)
CHATTER_MS: Final = MINUTE_MS
STALE_MS: Final = DAY_MS  # active for longer without a break (ISA-18.2 16.5.7)
# Share of annunciations by priority, % (EEMUA 191): high, medium, low
PRIORITY_SHARES: Final = {1: 5.0, 2: 15.0, 3: 80.0}
TOP: Final = 10


@dataclass(frozen=True, slots=True)
class Annunciation:
    """An alarm was put before the operators; key: of its episodes; `at` UTC ms; class_, priority as of a card."""

    key: str
    at: int
    class_: int
    priority: int


@dataclass(frozen=True, slots=True)
class Flood:
    """Ten-minute periods [start, end), UTC ms, and how many came in them at all positions."""

    start: int
    end: int
    annunciated: int


@dataclass(frozen=True, slots=True)
class Load:
    """The load in one span. Rates are per operator position and 10 minutes."""

    annunciated: int
    rate_mean: float
    rate_max: float
    floods: tuple[Flood, ...]
    flood_percent: float  # of the span's time; less than 1 is the aim of ISA-18.2 table 5
    chattering: tuple[str, ...]
    top: tuple[tuple[str, int], ...]
    class_percent: dict[int, float]
    priority_percent: dict[int, float]

    @property
    def verdict(self) -> str:
        """By the mean rate: acceptable, manageable, or too much."""
        if self.rate_mean <= ACCEPTABLE:
            return "acceptable"
        return "manageable" if self.rate_mean <= MANAGEABLE else "too much"


def load(annunciations: Iterable[Annunciation], now: int, span_ms: int, positions: int) -> Load:
    """The load of the last `span_ms` before `now` (UTC ms) on `positions` operator positions.

    Periods of 10 minutes are counted back from `now`.
    """
    first = now - span_ms
    found = sorted((a for a in annunciations if first < a.at <= now), key=lambda a: (a.at, a.key))
    bins = span_ms // BIN_MS
    at = np.array([a.at for a in found], np.int64)
    counts = np.bincount((at - first - 1) // BIN_MS, minlength=bins) if found else np.zeros(bins, np.int64)
    floods = flooded(counts, first, positions)
    by_key = Counter(a.key for a in found)
    return Load(
        annunciated=len(found),
        rate_mean=len(found) / bins / positions,
        rate_max=float(counts.max(initial=0)) / positions,
        floods=floods,
        flood_percent=100.0 * sum(f.end - f.start for f in floods) / (bins * BIN_MS),
        chattering=chattering(found),
        top=tuple(sorted(by_key.items(), key=lambda item: (-item[1], item[0]))[:TOP]),
        class_percent=shares((a.class_ for a in found), CLASS_NAMES),
        priority_percent=shares((a.priority for a in found), PRIORITY_SHARES),
    )


def shares(found: Iterable[int], kinds: Iterable[int]) -> dict[int, float]:
    """How many of each kind there are, % of all; 0 of all where there are none."""
    counted = Counter(found)
    return {kind: 100.0 * counted[kind] / max(counted.total(), 1) for kind in kinds}


def flooded(counts: Ints, first: int, positions: int) -> tuple[Flood, ...]:
    """The floods in counts of annunciations by 10 minutes from `first` (UTC ms) on."""
    floods: list[Flood] = []
    begun: int | None = None
    for n, count in enumerate([*counts.tolist(), 0]):
        over = begun is not None and (count < FLOOD_BELOW * positions or n == len(counts))
        if begun is not None and over:
            floods.append(Flood(first + begun * BIN_MS, first + n * BIN_MS, int(counts[begun:n].sum())))
            begun = None
        elif begun is None and count > FLOOD_ABOVE * positions:
            begun = n
    return tuple(floods)


def chattering(annunciations: Sequence[Annunciation]) -> tuple[str, ...]:
    """Alarms that came CHATTER_TIMES within CHATTER_MS; the annunciations are in order of time."""
    times: defaultdict[str, list[int]] = defaultdict(list)
    for one in annunciations:
        times[one.key].append(one.at)
    return tuple(
        sorted(
            key
            for key, at in times.items()
            if any(b - a <= CHATTER_MS for a, b in zip(at, at[CHATTER_TIMES - 1 :], strict=False))
        )
    )


def stale(raised_at: Iterable[tuple[str, int]], now: int) -> tuple[str, ...]:
    """Of (alarm, raised at, UTC ms) those that stand for longer than STALE_MS, the oldest first."""
    return tuple(key for key, at in sorted(raised_at, key=lambda r: (r[1], r[0])) if now - at > STALE_MS)
