"""A park as the api would tell of it: exact, and the same at every run.

Three enterprises and a plant whose only readings are of 2024. Quantities are integers of Wh made from the
hour's number; CO2 and standard coal are quantity x coefficient in decimals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from typing import Any, Final

SHANGHAI: Final = timezone(timedelta(hours=8))
# A Wednesday afternoon; the newest reading ended at 14:00.
NOW: Final = datetime(2026, 3, 18, 14, 3, 20, tzinfo=SHANGHAI)
NEWEST: Final = NOW.replace(minute=0, second=0)
HOUR: Final = timedelta(hours=1)

CO2_PER_KWH: Final = Decimal("0.4974")
KGCE_PER_KWH: Final = Decimal("0.1229")
READINGS_AN_HOUR: Final = 4

ENTITIES: Final = [
    {"id": f"{kind}:{name}", "kind": kind, "name_zh": name_zh, "name_en": name_en}
    for kind, name, name_zh, name_en in (
        ("park", "HZ-01", "模拟产业园 1", "Simulated park 1"),
        ("region", "330500", "湖州市", "Huzhou"),
        ("region", "330000", "浙江省", "Zhejiang"),
        ("region", "CN", "全国", "China"),
        ("enterprise", "ENT-1", "模拟钢铁厂 1", "Simulated steel works 1"),
        ("enterprise", "ENT-2", "模拟水泥厂 1", "Simulated cement works 1"),
        ("enterprise", "ENT-3", "模拟化工厂 1", "Simulated chemical works 1"),
        ("site", "330502-0001", "钢铁厂（2024 年回放）", "Steel plant (2024 replay)"),
    )
]
# kW at full load.
LOAD_KW: Final = {"park:HZ-01": 21_400, "enterprise:ENT-1": 9_100, "enterprise:ENT-3": 4_000}
# Per cent of it by the hour: two shifts and a lunch break.
DAY: Final = (52, 50, 49, 49, 51, 55, 66, 82, 94, 97, 98, 90, 84, 95, 98, 97, 93, 86, 78, 74, 71, 66, 60, 55)
REPLAYED: Final = "site:330502-0001"
REPLAY_YEAR: Final = 2024
REPLAY_END: Final = datetime(2024, 12, 31, tzinfo=SHANGHAI)
# Uses coke besides electricity, and nobody has published a coefficient for it.
LACKING: Final = "enterprise:ENT-3"

COEFFICIENTS: Final[list[dict[str, Any]]] = [
    {
        "id": 11,
        "carrier": "electricity",
        "scope": "330000",
        "month": "2023-12",
        "value": str(CO2_PER_KWH),
        "unit": "kgCO2/kWh",
        "document": "关于发布2023年电力碳足迹因子数据的公告（生态环境部、国家统计局）",
        "data_year": 2023,
        "published_at": "2025-12-31T00:00:00+08:00",
        "carried_months_max": 27,
    },
    {
        "id": 12,
        "carrier": "electricity",
        "scope": "CN",
        "month": "2021-04",
        "value": str(KGCE_PER_KWH),
        "unit": "kgce/kWh",
        "document": "GB/T 2589-2020 综合能耗计算通则",
        "data_year": None,
        "published_at": "2020-09-29T00:00:00+08:00",
        "carried_months_max": 59,
    },
]


def plain(value: Decimal) -> str:
    """Every digit, no exponent, no zeros that say nothing."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class Hour:
    """What was read in one hour of one entity."""

    wh: int
    readings: int
    coke_kg: int


@cache
def hour_of(entity: str, start: datetime) -> Hour | None:
    """None where the entity was not read."""
    if entity == REPLAYED:
        if start.year != REPLAY_YEAR or start >= REPLAY_END:
            return None
        full_kw = 240 if start.weekday() < 5 else 60
    elif start >= NEWEST or start < NOW - timedelta(days=500):
        return None
    else:
        full_kw = LOAD_KW.get(entity, 1_000)
    wobble = (start.toordinal() * 37 + start.hour * 101) % 97
    wh = full_kw * 10 * DAY[start.hour] + full_kw * wobble // 2 + wobble
    return Hour(wh, READINGS_AN_HOUR, 130 if entity == LACKING else 0)


def starts(grain: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """Local bucket starts in [since, until)."""
    at = since
    while at < until:
        yield at
        at = after(grain, at)


def after(grain: str, start: datetime) -> datetime:
    """Start of the next bucket."""
    if grain == "hour":
        return start + HOUR
    if grain == "day":
        return start + timedelta(days=1)
    if grain == "year":
        return start.replace(year=start.year + 1)
    return (start.replace(day=1) + timedelta(days=32)).replace(day=1)


@cache
def figures(entity: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Sum of the hours in [since, until) in the api's shape."""
    hours = [found for start in starts("hour", since, until) if (found := hour_of(entity, start)) is not None]
    wh = sum(one.wh for one in hours)
    coke = sum(one.coke_kg for one in hours)
    readings = sum(one.readings for one in hours)
    due = int((until - since) / HOUR) * READINGS_AN_HOUR if entity != REPLAYED or readings else 0
    quantity = {}
    if hours:
        value = f"{wh // 1000}.{wh % 1000:03d}"
        quantity["electricity"] = {"value": value, "unit": "kWh", "estimated": "0.000"}
    if coke:
        quantity["coke"] = {"value": f"{coke}.000", "unit": "kg", "estimated": "0.000"}
    kwh = Decimal(wh) / 1000
    return {
        "readings": readings,
        "expected": due,
        "completeness": readings / due if due else None,
        "quantity": quantity,
        "co2_kg": None if coke else plain(kwh * CO2_PER_KWH),
        "kgce": None if coke else plain(kwh * KGCE_PER_KWH),
        "missing_coefficients": ["coke"] if coke else [],
        "missing_calorific": ["coke"] if coke else [],
        "provisional": until > NEWEST,
    }


def totals(entity: str, grain: str, since: datetime, until: datetime) -> dict[str, Any]:
    """GET /v1/totals."""
    buckets = []
    for start in starts(grain, since, until):
        found = figures(entity, start, after(grain, start))
        if found["readings"]:
            buckets.append({"bucket": start.isoformat(), **found})
    return {
        "entity": entity,
        "grain": grain,
        "as_of": None,
        "unit": {"co2": "kg", "energy": "kgce"},
        "buckets": buckets,
        "sum": figures(entity, since, until),
        "coefficients": COEFFICIENTS,
    }


def freshness(entity: str) -> dict[str, Any]:
    """GET /v1/freshness."""
    newest = REPLAY_END if entity == REPLAYED else NEWEST
    replayed = entity == REPLAYED
    due = 0 if replayed else 14 * READINGS_AN_HOUR * 32
    return {
        "newest_end": newest.isoformat(),
        "age_s": (NOW - newest).total_seconds(),
        "stored_at_tick": (NOW - timedelta(seconds=1)).isoformat(),
        "readings_today": 0 if replayed else due - 3,
        "expected_today": due,
        "completeness_today": None if replayed else (due - 3) / due,
        "partitions": [{"partition": p, "tick_age_s": 1.0 if p != 5 else 44.0} for p in range(8)],
        "live_meters": 0 if replayed else 32,
    }


def streamed(entity: str, start: datetime, co2_kg: str, kwh: str = "1000.000") -> dict[str, Any]:
    """A `total` event: the hour's absolute total."""
    return {
        "entity": entity,
        "grain": "hour",
        "bucket": start.isoformat(),
        "bucket_ms": int(start.timestamp() * 1000),
        "readings": 1,
        "expected": READINGS_AN_HOUR,
        "completeness": 1 / READINGS_AN_HOUR,
        "coverage": 1.0,
        "estimated_share": 0.0,
        "oldest_missing": None,
        "provisional": True,
        "co2_kg": co2_kg,
        "kgce": "122.9",
        "carriers": [
            {
                "carrier": "electricity",
                "class": 1,
                "unit": "kWh",
                "quantity": kwh,
                "estimated": "0.000",
                "readings": 1,
                "co2_kg": co2_kg,
                "kgce": "122.9",
                "coefficient": 11,
                "coefficient_month": "2023-12",
            }
        ],
        "computed": int(NOW.timestamp() * 1000),
    }
