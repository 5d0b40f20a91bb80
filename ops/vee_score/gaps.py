"""How near estimates of gaps come: readings that are known are hidden, estimated, and compared.

Gaps of 1, 2, 4, 8 and 24 h lie in the second half (by time) of each series, each judged alone with all else known as
it was: the readings before it and the first behind it. The estimator has no parameter that is fitted, so the first
half is only past. Days are told apart by the week alone: whose public holidays a file follows is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.ops.vee_score.series import Series
from carbonstream.processors.calendar_cn import WEEKDAYS_ONLY, local_day
from carbonstream.processors.estimation import PAST_MS, Gap, Past, estimate_gap
from carbonstream.schemas.periods import DAY_MS, HOUR_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOURS: Final = (1, 2, 4, 8, 24)
MASKS: Final = 200  # of each length in each series; all there are where it has fewer


@dataclass(slots=True)
class _Score:
    """Sums over the masks of one length, kWh."""

    day_apart: float = 0.0
    day_energy: float = 0.0
    intervals: int = 0
    apart: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("mae", "mae_last", "mae_yesterday"), 0.0)
    )

    def figures(self) -> dict[str, float | None]:
        """None where no mask fits, or no energy flowed."""
        day_error = self.day_apart / self.day_energy if self.day_energy > 0 else None
        return {
            "day_error": day_error,
            **{
                name: total / self.intervals if self.intervals else None for name, total in self.apart.items()
            },
        }


def score_gaps(series: list[Series], seed: int) -> dict[str, Any]:
    """{"gaps": {"1h": {"day_error", "mae", "mae_last", "mae_yesterday"}, "2h": ...}}; the same for the same seed.

    day_error: sum of |estimated - true| energy of the days touched, over their true energy. mae: kWh an interval;
    mae_last repeats the last value, mae_yesterday the same interval of the day before (where it is missing, of the
    newest day that has it, else the last value). All are pooled over the masks of all series.
    """
    scores = {hours: _Score() for hours in HOURS}
    for one in map(Series.on_our_clock, series):
        for hours in HOURS:
            _judge(one, hours, seed, scores[hours])
    return {"gaps": {f"{hours}h": score.figures() for hours, score in scores.items()}}


def _judge(series: Series, hours: int, seed: int, score: _Score) -> None:
    intervals, rest = divmod(hours * HOUR_MS, series.interval_ms)
    if rest or not intervals:
        return
    quantity = np.rint(series.value * 1_000).astype(np.int64)
    day = local_day(series.end - series.interval_ms)
    days, place = np.unique(day, return_inverse=True)
    energy = np.bincount(place, series.value, len(days))
    for first in _masks(series, intervals, np.random.default_rng([seed, hours])):
        hidden = slice(first, first + intervals)
        oldest = int(np.searchsorted(series.end, series.end[first] - PAST_MS - DAY_MS))
        gap = Gap(int(series.end[first]) - series.interval_ms, intervals, series.interval_ms)
        past = Past(series.end[oldest:first], quantity[oldest:first])
        estimate = estimate_gap(past, gap, int(quantity[first + intervals]), WEEKDAYS_ONLY)
        if estimate is None:
            continue
        true = series.value[hidden]
        apart = estimate.quantity / 1_000 - true
        touched, at = np.unique(place[hidden], return_inverse=True)
        score.day_apart += float(np.abs(np.bincount(at, apart)).sum())
        score.day_energy += float(energy[touched].sum())
        score.intervals += intervals
        rivals = {"mae_last": series.value[first - 1], "mae_yesterday": _yesterday(series, hidden)}
        score.apart["mae"] += float(np.abs(apart).sum())
        for name, rival in rivals.items():
            score.apart[name] += float(np.abs(rival - true).sum())


def _masks(series: Series, intervals: int, chance: np.random.Generator) -> Iterator[int]:
    """Positions of first hidden readings, rising: all hidden ones and the neighbours on both sides are known."""
    end = series.end
    first = np.arange(1, max(len(end) - intervals, 1))
    whole = end[first + intervals] - end[first - 1] == (intervals + 1) * series.interval_ms
    second_half = end[first] - series.interval_ms >= (end[0] + end[-1]) / 2
    fits = first[whole & second_half]
    yield from (
        np.sort(chance.choice(fits, min(MASKS, len(fits)), replace=False)).tolist() if len(fits) else []
    )


def _yesterday(series: Series, hidden: slice) -> Floats:
    """[k] the same intervals of the newest earlier day that has each; the last value where none has."""
    wanted, before = series.end[hidden], series.end[: hidden.start]
    found = np.full(len(wanted), series.value[hidden.start - 1])
    missing = np.ones(len(wanted), np.bool_)
    for days in range(1, 8):
        at = np.searchsorted(before, wanted - days * DAY_MS)
        has = missing & (at < len(before))
        has[has] = before[at[has]] == wanted[has] - days * DAY_MS
        found[has] = series.value[at[has]]
        missing &= ~has
    return found
