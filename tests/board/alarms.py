"""Warnings and shares as the api would tell of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from .park import NEWEST, NOW


def warning(
    entity: str,
    level: str,
    severity: str,
    *,
    state: str = "active",
    hours_ago: int = 0,
    indicator: str = "co2",
    backfill: bool = False,
    rule: str = "target-level",
    value: str,
    target: str,
    plan: str = "",
) -> dict[str, Any]:
    """One warning. `plan`: of plan-to-date, the target's share up to the day judged."""
    bucket: datetime = NEWEST - timedelta(hours=hours_ago + 1)
    snapshot: dict[str, Any] = {"total": value, "target": {"value": target}, "level": level}
    if rule == "plan-to-date":
        snapshot["plan"] = plan
    return {
        "id": f"{rule}:{entity}:{indicator}:{bucket:%Y-%m}-01:{level}",
        "version": 2 if state == "cleared" else 1,
        "rule": rule,
        "entity": entity,
        "indicator": indicator,
        "period": f"{bucket:%Y-%m}-01",
        "level": level,
        "severity": severity,
        "state": state,
        "bucket": bucket.isoformat(),
        "backfill": backfill,
        "snapshot": snapshot,
        "changed_at": NOW.isoformat(),
    }


WARNINGS: Final = [
    warning("enterprise:ENT-2", "80", "notice", hours_ago=30, value="1104220.5", target="1380000"),
    warning("enterprise:ENT-1", "100", "alarm", hours_ago=2, value="1950411.77", target="1950000"),
    warning("enterprise:ENT-1", "90", "alert", hours_ago=26, value="1755040.2", target="1950000"),
    warning(
        "enterprise:ENT-3",
        "100",
        "alert",
        rule="plan-to-date",
        indicator="energy",
        hours_ago=5,
        value="148000",
        target="240000",
        plan="141000",
    ),
    warning(
        "enterprise:ENT-2",
        "100",
        "alert",
        rule="plan-to-date",
        state="cleared",
        hours_ago=3,
        value="700000",
        target="1380000",
        plan="710000",
    ),
    warning(
        "site:330502-0001",
        "90",
        "notice",
        hours_ago=24 * 460,
        backfill=True,
        value="43210.4",
        target="48000",
    ),
]


def _share(entity: str, name_zh: str, name_en: str, co2_kg: str | None) -> dict[str, Any]:
    return {"entity": entity, "name_zh": name_zh, "name_en": name_en, "co2_kg": co2_kg}


OVERVIEW: Final[dict[str, Any]] = {
    "today": {"co2_kg": "118225.5129", "kgce": "29211.88", "electricity_kwh": "237686.998"},
    "by_industry": [
        _share("industry:31", "黑色金属冶炼和压延加工业", "Ferrous metal smelting", "48112.0255"),
        _share("industry:30", "非金属矿物制品业", "Non-metallic minerals", "33561.2"),
        _share("industry:26", "化学原料和化学制品制造业", "Chemicals", None),
        _share("industry:17", "纺织业", "Textiles", "9120.75"),
        _share("industry:22", "造纸和纸制品业", "Paper", "8004.5"),
        _share("industry:38", "电气机械和器材制造业", "Electrical machinery", "6950.125"),
        _share("industry:14", "食品制造业", "Food", "4870.0005"),
        _share("industry:27", "医药制造业", "Pharmaceuticals", "3610"),
    ],
    "by_enterprise": [
        _share("enterprise:ENT-1", "模拟钢铁厂 1", "Simulated steel works 1", "48112.0255"),
        _share("enterprise:ENT-2", "模拟水泥厂 1", "Simulated cement works 1", "33561.2"),
        *[
            _share(f"enterprise:ENT-{n}", f"第{n}工厂", f"Works no. {n}", f"{9000 - n * 321}.5")
            for n in range(4, 13)
        ],
        _share("enterprise:ENT-3", "模拟化工厂 1", "Simulated chemical works 1", None),
    ],
    "warnings": {"active": 5},
    "freshness": {},
}
