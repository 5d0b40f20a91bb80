"""How the eight energy-intensive industries draw power, gas, coal and heat: made-up loads for demonstrations.
Pure.

A load is a function of (seed, time): its cumulated quantity has a closed form, so a register and an interval
meter of it agree, and a simulation that starts again goes on where it would have been. All noise is added to
the cumulated quantity, where it cancels between neighbours: no energy appears or is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.schemas.periods import DAY_MS, MINUTE_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ORIGIN_MS: Final = 1_514_736_000_000  # 2018-01-01T00:00 local, a Monday: every register stood at 0
SLOT_MINUTES: Final = 5
SLOTS: Final = 24 * 60 // SLOT_MINUTES
# Shares of a mean day and a mean minute. A load falls to (0.3 of a holiday - 0.03) x 0.45 of a night = 0.12
# of its mean at the least, so that minute noise of 0.04 leaves every register growing.
DAY_NOISE: Final = 0.03
MINUTE_NOISE: Final = 0.04
# Eves of Spring Festival, whose seven days of rest follow; 1 January, 1 May and 1 October stand still.
NEW_YEAR_EVES: Final = (
    "2018-02-15", "2019-02-04", "2020-01-24", "2021-02-11", "2022-01-31", "2023-01-21", "2024-02-09",
    "2025-01-28", "2026-02-16", "2027-02-05", "2028-01-25", "2029-02-12", "2030-02-02",
)  # fmt: skip


class Shape(IntEnum):
    """Form of a day and a week."""

    CONTINUOUS = 0  # refinery, kiln, boiler
    THREE_SHIFT = 1  # dips when shifts change
    TWO_SHIFT = 2  # 06:00 to 22:00
    BATCH = 3  # a reactor's charge every four hours
    FURNACE = 4  # an arc furnace: 45 minutes on, 20 to tap and charge, more of it at night's tariff


# share of a working day's quantity on Saturday, Sunday and a holiday
REST: Final = np.array(
    [[1.0, 1.0, 1.0], [0.95, 0.85, 0.4], [0.7, 0.35, 0.3], [1.0, 0.9, 0.6], [0.95, 0.9, 0.5]], np.float64
)


@dataclass(frozen=True, slots=True)
class Loads:
    """Meters as columns of length m."""

    seed: Ints
    shape: Ints  # Shape
    mean: Floats  # units an hour on a working day
    register: NDArray[np.bool_]
    multiplier: Floats
    modulus: Floats  # index at which a register rolls over
    interval_ms: Ints

    def __len__(self) -> int:
        return len(self.seed)


def read(loads: Loads, meter: Ints, end: Ints) -> Floats:
    """What each meter shows: a register's index at `end`, or the quantity of the interval that ends there.

    meter: [n] index into loads; end: [n] UTC ms from ORIGIN_MS on. Values have three decimals, of the meter's
    unit.
    """
    upto = cumulated(loads, meter, end)
    before = cumulated(loads, meter, np.maximum(end - loads.interval_ms[meter], ORIGIN_MS))
    index = np.floor(upto / loads.multiplier[meter] * 1_000) / 1_000 % loads.modulus[meter]
    # rounded as a register's steps are, so that both kinds add up alike
    quantity = np.floor(upto * 1_000) - np.floor(before * 1_000)
    return np.where(loads.register[meter], np.round(index, 3), quantity / 1_000)


def cumulated(loads: Loads, meter: Ints, at: Ints) -> Floats:
    """Units since ORIGIN_MS, never decreasing; arguments as of `read`. Raises ValueError before ORIGIN_MS."""
    if len(at) and int(at.min()) < ORIGIN_MS:
        raise ValueError(f"simulated loads begin at {ORIGIN_MS} (2018-01-01 local), not {int(at.min())}")
    seed, shape = loads.seed[meter], loads.shape[meter]
    day, of_day = np.divmod(at - ORIGIN_MS, DAY_MS)
    factor = _day_factors(int(day.max(initial=0)) + 1)
    whole = np.cumsum(factor, axis=1) - factor
    begins = whole[shape, day] + DAY_NOISE * uniform(seed, day)
    drawn = factor[shape, day] + DAY_NOISE * (uniform(seed, day + 1) - uniform(seed, day))
    days = begins + drawn * _day_share(shape, of_day)
    minute, of_minute = np.divmod(at - ORIGIN_MS, MINUTE_MS)
    low, high = uniform(seed + 1, minute), uniform(seed + 1, minute + 1)
    wobble = MINUTE_NOISE / 1_440 * (low + (high - low) * (of_minute / MINUTE_MS))
    return np.asarray(loads.mean[meter] * 24 * (days + wobble), np.float64)


def _day_factors(days: int) -> Floats:
    """[shape, day] share of a working day's quantity, from ORIGIN_MS on."""
    day = np.arange(days)
    weekday = day % 7
    kind = np.where(weekday == 5, 0, np.where(weekday == 6, 1, -1))
    date = np.datetime64("2018-01-01") + day
    eves = np.array(NEW_YEAR_EVES, "datetime64[D]")
    resting = np.isin(date, (eves[:, None] + np.arange(8)).ravel())
    month = date.astype("datetime64[M]").astype(np.int64) % 12
    of_month = (date - date.astype("datetime64[M]")).astype(np.int64)
    for fixed, length in ((0, 1), (4, 1), (9, 3)):  # 1 January, 1 May, 1 to 3 October
        resting |= (month == fixed) & (of_month < length)
    kind = np.where(resting, 2, kind)
    return np.where(kind >= 0, REST[:, np.maximum(kind, 0)], 1.0)


def _day_share(shape: Ints, of_day: Ints) -> Floats:
    """Share of a day's quantity drawn by `of_day` (ms since local midnight)."""
    slot, rest = np.divmod(of_day, SLOT_MINUTES * MINUTE_MS)
    profile = np.stack([_profile(s) for s in Shape])
    done = np.cumsum(profile, axis=1) - profile
    return np.asarray(
        done[shape, slot] + profile[shape, slot] * (rest / (SLOT_MINUTES * MINUTE_MS)), np.float64
    )


def _profile(shape: Shape) -> Floats:
    """[SLOTS] shares of a day, their sum 1."""
    minute = np.arange(SLOTS) * SLOT_MINUTES
    hour = minute / 60
    if shape is Shape.CONTINUOUS:
        level = 1 + 0.03 * np.sin((hour - 9) / 24 * 2 * np.pi)
    elif shape is Shape.THREE_SHIFT:
        level = np.where((minute % 480 < 30) | (minute % 480 >= 465), 0.55, 1.0)
    elif shape is Shape.TWO_SHIFT:
        level = np.where((hour >= 6) & (hour < 22), 1.0, 0.35)
        level[(minute >= 690) & (minute < 750)] = 0.7
    elif shape is Shape.BATCH:
        level = np.interp(minute % 240, [0, 30, 120, 200, 240], [0.4, 1.0, 1.0, 0.6, 0.4])
    else:
        level = np.where(minute % 65 < 45, 1.0, 0.35) * np.where((hour >= 22) | (hour < 8), 1.0, 0.8)
    return np.asarray(level / level.sum(), np.float64)


def uniform(seed: Any, key: Any) -> Floats:
    """[0, 1) for each pair of integers: SplitMix64's finaliser (Steele, Lea, Flood 2014) over both."""
    with np.errstate(over="ignore"):
        z = np.asarray(seed).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.asarray(key).astype(
            np.uint64
        )
        for _ in range(2):
            z = z + np.uint64(0x9E3779B97F4A7C15)
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
    return np.asarray((z >> np.uint64(11)).astype(np.float64) / 2**53)
