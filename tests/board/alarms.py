"""Warnings and shares as the api would tell of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from .park import NEWEST, NOW

DEFINITION = {  # as packaged
    "owner": "energy management",
    "cause": "The period's target is used up",
    "consequence": "Every further reading is above the target",
    "action": "Curtail what can wait and explain the excess",
    "respond_s": 86_400,
}

PRIORITY = {"alarm": "high", "alert": "medium", "notice": "low"}


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
    answer: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One warning. `plan`: of plan-to-date, the target's share up to the day judged."""
    bucket: datetime = NEWEST - timedelta(hours=hours_ago + 1)
    snapshot: dict[str, Any] = {
        "total": value,
        "target": {"value": target},
        "level": level,
        "definition": DEFINITION,
    }
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
        "priority": PRIORITY[severity],
        "state": state,
        "bucket": bucket.isoformat(),
        "backfill": backfill,
        "snapshot": snapshot,
        "changed_at": NOW.isoformat(),
        "answer": answer,
    }


WARNINGS: Final = [
    warning("enterprise:ENT-2", "80", "notice", hours_ago=30, value="1104220.5", target="1380000"),
    warning(
        "enterprise:ENT-1",
        "100",
        "alarm",
        hours_ago=2,
        value="1950411.77",
        target="1950000",
        answer={"state": "awaited", "overdue": True},
    ),
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


def standing(state: str, **other: Any) -> dict[str, Any]:
    """How a warning stands with the operators."""
    told = {
        "state": state, "change": 1, "annunciated": state.endswith("unacked"), "since": NOW.isoformat(),
        "claimed_by": None, "shelved": None, "out_of_service": None, "suppressed_by": None,
    }  # fmt: skip
    return told | other


class Desk:
    """What operators see and do; empty until `lay` puts warnings on it."""

    def __init__(self) -> None:
        self.warnings: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []

    def lay(self) -> None:
        """The wall's active warnings, as a shift finds them."""
        shelf = {"by": "李娜", "why": "更换传感器", "until": (NOW + timedelta(hours=8)).isoformat(), "remind_at": None,
                 "reminded": False}  # fmt: skip
        states = [
            standing("active-acked", claimed_by="李娜", change=3),
            standing("active-unacked"),
            standing("active-unacked"),
            standing("shelved", shelved=shelf, change=2),
            standing("cleared-unacked", change=2),
            standing("suppressed", suppressed_by="past"),
        ]
        self.warnings = [
            one | {"operator": {"priority": one["priority"]} | told}
            for one, told in zip(WARNINGS, states, strict=True)
        ]

    def take(self, body: dict[str, Any], by: str) -> str:
        """Carry a command out on the warnings laid here."""
        id_ = f"c{len(self.commands)}"
        to = {"acknowledge": "active-acked", "shelve": "shelved", "unshelve": "active-unacked"}
        targets = []
        for one in self.warnings:
            if one["id"] in body["warnings"]:
                before = one["operator"]
                told = standing(
                    to.get(body["kind"], before["state"]),
                    change=before["change"] + 1,
                    priority=before["priority"],
                )
                if body["kind"] == "claim":
                    told["claimed_by"] = by
                if body["kind"] == "shelve":
                    told["shelved"] = {"by": by, "why": body["why"], "until": body["until"], "remind_at": None,
                                       "reminded": False}  # fmt: skip
                one["operator"] = told
                targets.append({"target": one["id"], "outcome": "applied", "reason": None})
        self.commands.append(
            {
                "id": id_,
                "kind": body["kind"],
                "by": by,
                "outcome": "applied",
                "targets": targets,
                "body": body,
            }
        )
        return id_

    def answer(self, path: str, query: dict[str, str]) -> dict[str, Any] | None:
        """The answer to a call about the desk, None where it is about something else."""
        wanted = query.get("operator_state")
        groups = {
            "annunciated": {"active-unacked", "cleared-unacked"},
            "open": {"active-unacked", "cleared-unacked", "active-acked"},
            "inhibited": {"shelved", "suppressed", "out-of-service"},
        }
        if path == "/v1/warnings" and wanted is not None:
            found = [w for w in self.warnings if w["operator"]["state"] in groups[wanted]]
            return {"warnings": sorted(found, key=lambda w: not w["operator"]["annunciated"])}
        if path == "/v1/warnings" and self.warnings:
            state = query.get("state")
            return {"warnings": [w for w in self.warnings if state in (None, w["state"])]}
        if path == "/v1/warnings/commands":
            return {"commands": self.commands[::-1]}
        if path == "/v1/warnings/health":
            return HEALTH
        if path == "/v1/warnings/handover":
            return self.handover(query["since"])
        return None

    def handover(self, since: str) -> dict[str, Any]:
        """As the api tells it."""

        def of(*states: str) -> list[dict[str, Any]]:
            return [
                one["operator"] | {k: one[k] for k in ("id", "entity", "rule", "severity")}
                for one in self.warnings
                if one["operator"]["state"] in states and not one["backfill"]
            ]

        changed = {
            "operation": "shelve", "warning": WARNINGS[3]["id"], "change": 2, "from_state": "active-unacked",
            "to_state": "shelved", "at": NOW.isoformat(), "by": "李娜", "why": "更换传感器",
        }  # fmt: skip
        return {
            "since": since, "counts": {}, "past": 1, "open": of("active-unacked", "cleared-unacked", "active-acked"),
            "shelved": of("shelved"), "suppressed": of("suppressed"), "out_of_service": of("out-of-service"),
            "changed": [changed], "changed_counts": {"raised": 4, "shelve": 1},
        }  # fmt: skip


def _load(annunciated: int, rate: float, verdict: str) -> dict[str, Any]:
    return {
        "annunciated": annunciated, "rate_mean": rate, "rate_max": 3.0, "verdict": verdict, "floods": [],
        "chattering": [], "priority_percent": {"high": 6.2, "medium": 18.8, "low": 75.0},
    }  # fmt: skip


HEALTH: Final[dict[str, Any]] = {
    "operator_positions": 1,
    "spans": {
        "hour": _load(9, 1.5, "manageable"),
        "day": _load(96, 0.7, "acceptable"),
        "30 days": _load(9_000, 2.1, "too much"),
    },
    "stale_count": 2,
    "states": {"active-unacked": 2, "active-acked": 1, "cleared-unacked": 1, "shelved": 1, "suppressed": 1},
}


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
