"""A warning's change as carbon.warnings carries it, with a snapshot from which anyone recomputes it.

Sum of parts' quantity x value is `total`; for target-level it is compared with `threshold`, for
plan-to-date with target x day / days, for pace with the forecast made of the days' totals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from carbonstream.processors.pace import CLEAR_BELOW as PACE_CLEAR_BELOW
from carbonstream.processors.pace import LOOK_BACK_DAYS, WINDOWS_DAYS, Forecast
from carbonstream.processors.targets import GRAIN_NAMES, Target
from carbonstream.processors.total_records import EXACT, text, total
from carbonstream.processors.warning_rules import Definition
from carbonstream.processors.warnings import PACE, PLAN_TO_DATE, RULE_VERSION
from carbonstream.processors.warnings_judging import Verdict
from carbonstream.processors.warnings_levels import threshold
from carbonstream.processors.warnings_plan import CLEAR_BELOW, LEVEL, plan_by
from carbonstream.schemas import warnings as shapes
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.periods import DAY_MS, local_iso
from carbonstream.schemas.warning_rules import WarningClass

# A period's last day is judged a quarter of an hour after it: a day later its warnings are still news.
BACKFILL_AFTER_MS: Final = DAY_MS


@dataclass(frozen=True, slots=True)
class UsedCoefficient:
    """A part of a total: a carrier of a class in a local month, and what it was multiplied with."""

    month: str
    class_: int
    carrier: int
    readings: int
    quantity: Decimal  # thousandths of the carrier's base unit
    estimated: Decimal
    coefficient: int
    coefficient_month: str
    value: Decimal
    amount: Decimal  # kg CO2 or kgce


def warning_record(
    target: Target, verdict: Verdict, version: int, parts: Sequence[UsedCoefficient], now_ms: int
) -> shapes.Warning:
    """The record of a verdict.

    now_ms: the lowest stored tick. Where partitions stand far apart, as in a fast replay, it may lie before the
    interval the verdict is about, which no change can precede.
    """
    bucket = verdict.entry.transition.bucket
    return shapes.Warning(
        id=verdict.id,
        version=version,
        rule=verdict.rule,
        entity=target.entity,
        indicator=target.indicator,
        period=target.period.isoformat(),
        level=text(verdict.level),
        severity=class_of(verdict.definition),
        state=verdict.entry.transition.state.value,
        bucket=local_iso(bucket),
        backfill=now_ms >= target.end + BACKFILL_AFTER_MS,
        snapshot=_snapshot(target, verdict, parts),
        changed_at=local_iso(max(now_ms, bucket)),
        **reference_of(verdict.definition),
    )


def class_of(definition: Definition | None) -> WarningClass:
    """Of the rule that judges; taking back what a rule told that is switched off now is only worth a notice."""
    return WarningClass.NOTICE if definition is None else definition.class_


def reference_of(definition: Definition | None) -> dict[str, Any]:
    """How a record names the rule that judged it."""
    if definition is None:
        return {"priority": None, "definition": None}
    return {"priority": definition.priority.value, "definition": definition.reference}


def _snapshot(target: Target, verdict: Verdict, parts: Sequence[UsedCoefficient]) -> dict[str, Any]:
    day = (verdict.entry.transition.bucket - target.start) // DAY_MS
    against: dict[str, Any] = {"threshold": text(threshold(target.value, verdict.level))}
    if verdict.rule == PACE:
        against = pace_snapshot(target, verdict.forecast, verdict.until)
        if verdict.definition is not None:
            against["clear_below_percent"] = text(verdict.definition.parameters["clear_below"])
    if verdict.rule == PLAN_TO_DATE:
        given = {} if verdict.definition is None else verdict.definition.parameters
        against = {
            "plan": text(plan_by(target.plan, day)),
            "phases": [{"days": part.days, "value": text(part.value)} for part in target.plan],
            "active_above_percent": text(given.get("active_above", LEVEL)),
            "clear_below_percent": text(given.get("clear_below", CLEAR_BELOW)),
        }
    return {
        "rule_version": RULE_VERSION,
        "definition": None if verdict.definition is None else verdict.definition.document(),
        "correction": verdict.entry.corrects,
        "target": {
            "grain": GRAIN_NAMES[target.grain],
            "period": target.period_name,
            "value": text(target.value),
            "unit": target.about.unit,
            "levels": [text(level) for level in target.levels],
        },
        "level": text(verdict.level),
        "total": text(total(part.amount for part in parts)),
        **against,
        "from": local_iso(target.start),
        "until": local_iso(verdict.until),
        "day": day + 1,
        "days": target.days,
        "readings": sum(part.readings for part in parts),
        "parts": [part_document(part) for part in parts],
    }


def pace_snapshot(target: Target, forecast: Forecast | None, until: int) -> dict[str, Any]:
    """What a pace warning was decided by at `until` (UTC ms); without a forecast the rule's own numbers."""
    rules: dict[str, Any] = {
        "windows_days": list(WINDOWS_DAYS),
        "look_back_days": LOOK_BACK_DAYS,
        "clear_below_percent": text(PACE_CLEAR_BELOW),
    }
    if forecast is None:
        return rules

    def date_of(day: int | None) -> str | None:
        return None if day is None else (target.period + timedelta(days=day)).isoformat()

    return rules | {
        "forecast": {"total": text(forecast.total), "low": text(forecast.low), "high": text(forecast.high)},
        "exhausted": {
            "date": date_of(forecast.exhausted),
            "earliest": date_of(forecast.earliest),
            "latest": date_of(forecast.latest),
        },
        "known_until": date_of((until - target.start) // DAY_MS - 1),
        "known_days": [text(amount) for amount in forecast.known],
        "windows": [
            {"days": w.days, "used": text(w.used), "rest": text(w.rest), "exhausted": date_of(w.exhausted)}
            for w in forecast.windows
        ],
    }


def part_document(part: UsedCoefficient) -> dict[str, Any]:
    """A part as snapshots carry it."""
    carrier = CARRIER_BY_NUMBER[part.carrier]
    return {
        "month": part.month,
        "class": part.class_,
        "carrier": carrier.id,
        "unit": carrier.base_unit.value,
        "readings": part.readings,
        "quantity": text(EXACT.scaleb(part.quantity, -3)),
        "estimated": text(EXACT.scaleb(part.estimated, -3)),
        "coefficient": part.coefficient,
        "coefficient_month": part.coefficient_month,
        "value": text(part.value),
        "amount": text(part.amount),
    }
