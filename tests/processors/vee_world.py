"""Series of meters unlike the steel plant's, made from a seed: a roof, a charger, an office, a flat, a boiler."""

from __future__ import annotations

import csv
import gzip
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path

import numpy as np

from carbonstream.ops.vee_score.series import Floats, Ints, Series
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, OFFSET_MS, local_iso

MONDAY_MS = 1_672_617_600_000 - OFFSET_MS  # 2023-01-02T00:00 local
STEEL = Path(str(files("carbonstream.schemas") / "reference" / "steel" / "Steel_industry_data.csv.gz"))


def ends(days: int, interval_ms: int) -> Ints:
    return MONDAY_MS + np.arange(1, days * DAY_MS // interval_ms + 1) * interval_ms


def clock(end: Ints, interval_ms: int) -> tuple[Ints, Floats]:
    """Day since Monday, and hour of the day with fractions, at each interval's middle."""
    local = end - MONDAY_MS - interval_ms // 2
    return local // DAY_MS, local % DAY_MS / HOUR_MS


def roof(days: int = 200, interval_ms: int = HOUR_MS, seed: int = 3) -> Series:
    """Photovoltaics of 100 kW: zero at night, clouds that last, days that grow and shrink with the year."""
    chance = np.random.default_rng(seed)
    end = ends(days, interval_ms)
    day, hour = clock(end, interval_ms)
    half = 6 + 1.5 * np.sin((day - 80) / 365 * 2 * np.pi)
    sun = np.maximum(np.cos((hour - 12) / half * np.pi / 2), 0) * (np.abs(hour - 12) < half)
    clear = np.clip(chance.beta(2, 1, days), 0.08, 1)[day] * np.clip(
        chance.normal(0.9, 0.1, len(end)), 0.3, 1
    )
    return Series("roof", interval_ms, end, np.round(100 * sun * clear * interval_ms / HOUR_MS, 3))


def charger(days: int = 200, interval_ms: int = 30 * MINUTE_MS, seed: int = 4) -> Series:
    """A charger of 22 kW: nothing for hours, then an hour or four at nearly full power."""
    chance = np.random.default_rng(seed)
    end = ends(days, interval_ms)
    power = np.zeros(len(end))
    per_hour = HOUR_MS // interval_ms
    for day in range(days):
        for _ in range(int(chance.poisson(2.5 if day % 7 < 5 else 1))):
            begin = day * 24 * per_hour + int(chance.normal(13, 4) * per_hour)
            length = int(chance.integers(per_hour, 4 * per_hour))
            power[max(begin, 0) : begin + length] = (
                chance.choice([11, 22])
                * chance.normal(0.97, 0.01, length)[: max(min(len(end) - max(begin, 0), length), 0)]
                if begin >= 0 and begin + length <= len(end)
                else 0
            )
    return Series("charger", interval_ms, end, np.round(power * interval_ms / HOUR_MS, 3))


def office(days: int = 200, interval_ms: int = HOUR_MS, seed: int = 5, factor: float = 1.0) -> Series:
    """A building: base load, working hours from Monday to Friday, a few holidays."""
    chance = np.random.default_rng(seed)
    end = ends(days, interval_ms)
    day, hour = clock(end, interval_ms)
    works = (day % 7 < 5) & ~np.isin(day, chance.choice(days, days // 40))
    busy = 1 / (1 + np.exp(-(hour - 7.5) * 2)) - 1 / (1 + np.exp(-(hour - 18) * 1.5))
    power = 30 + works * 120 * np.maximum(busy, 0) * chance.normal(1, 0.08, days)[day]
    value = power * np.exp(0.05 * chance.standard_normal(len(end))) * interval_ms / HOUR_MS
    return Series("office", interval_ms, end, np.round(value, 2) * factor)


def flat(days: int = 200, interval_ms: int = 15 * MINUTE_MS, seed: int = 6) -> Series:
    """A dwelling whose meter tells whole kWh: what is left of one interval counts in a later one."""
    chance = np.random.default_rng(seed)
    end = ends(days, interval_ms)
    day, hour = clock(end, interval_ms)
    evening = np.exp(-(((hour - 20) / 2.5) ** 2)) + 0.5 * np.exp(-(((hour - 7.5) / 1.2) ** 2))
    power = 0.8 + 7 * evening * chance.gamma(4, 0.25, days)[day] * chance.gamma(2, 0.5, len(end))
    index = np.floor(np.cumsum(power) * interval_ms / HOUR_MS)
    return Series("flat", interval_ms, end, np.diff(index, prepend=0.0))


def boiler(days: int = 200, interval_ms: int = HOUR_MS, seed: int = 7) -> Series:
    """Heat of a district: with the weather of the day, lower at night, none at all in warm weeks."""
    chance = np.random.default_rng(seed)
    end = ends(days, interval_ms)
    day, hour = clock(end, interval_ms)
    cold = np.zeros(days)
    for d in range(1, days):
        cold[d] = 0.8 * cold[d - 1] + chance.normal(0, 2)
    need = np.maximum(18 - (9 - 11 * np.cos(np.arange(days) / 365 * 2 * np.pi) - cold), 0)[day]
    load = need * (1 - 0.25 * (hour < 5)) * (1 + 0.3 * np.exp(-(((hour - 6.5) / 1.0) ** 2)))
    value = 40 * load * np.exp(0.06 * chance.standard_normal(len(end))) * interval_ms / HOUR_MS
    return Series("boiler", interval_ms, end, np.round(value, 1))


def by_the_day(series: Series) -> Series:
    """The same energy, told once a day."""
    day = (series.end - MONDAY_MS - 1) // DAY_MS
    value = np.round(np.bincount(day, series.value), 3)
    return Series(
        f"{series.meter} by the day", DAY_MS, MONDAY_MS + np.arange(1, len(value) + 1) * DAY_MS, value
    )


def written(series: Series, path: Path) -> Path:
    """The series as a CSV file."""
    rows = zip(series.end.tolist(), series.value.tolist(), strict=True)
    lines = [f"{series.meter},{local_iso(end)},{value}" for end, value in rows]
    path.write_text("\n".join(["meter,time,value", *lines]))
    return path


def steel() -> Series:
    """The plant's year as the data set gives it."""
    ends_, values = [], []
    with gzip.open(STEEL, "rt", encoding="utf-8-sig") as lines:
        for row in csv.DictReader(lines):
            end = datetime.strptime(row["date"], "%d/%m/%Y %H:%M").replace(
                tzinfo=timezone(timedelta(hours=8))
            )
            if (end.hour, end.minute) == (0, 0):
                end += timedelta(days=1)  # a day's 24:00 carries its own date
            ends_.append(int(end.timestamp()) * 1_000)
            values.append(float(row["Usage_kWh"]))
    return Series("steel", 15 * MINUTE_MS, np.array(ends_, np.int64), np.array(values))
