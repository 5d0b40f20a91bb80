"""A change of an intensity or change-rate warning, and its record: every amount, value added and price it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from carbonstream.processors.ratios import Compared, Months, comparisons, ratio_transitions
from carbonstream.processors.targets import GRAIN_NAMES, Target
from carbonstream.processors.total_records import text
from carbonstream.processors.warning_rules import Definition, RuleBook
from carbonstream.processors.warnings import RULE_VERSION, Entry, Transition, entries
from carbonstream.processors.warnings_record import (
    BACKFILL_AFTER_MS,
    UsedCoefficient,
    class_of,
    part_document,
    reference_of,
)
from carbonstream.schemas import warnings as shapes
from carbonstream.schemas.periods import DAY_MS, local_iso
from carbonstream.schemas.warning_rules import RuleKind

LEVEL: Final = Decimal(100)
PUBLISHED_WITHIN_MS: Final = 92 * DAY_MS  # statistics of a month are published in the quarter after it


@dataclass(frozen=True, slots=True)
class RatioSight:
    """What is known of a target of an intensity or its change. other: of the period compared with; None for none."""

    target: Target
    months: Months
    other: Months | None
    rules: RuleBook

    @property
    def kind(self) -> RuleKind:
        """The rule that judges it."""
        return RuleKind.INTENSITY if self.target.about.against is None else RuleKind.CHANGE_RATE

    @property
    def id(self) -> str:
        """Of its one warning."""
        return ":".join((self.kind.value, *self.target.key, text(LEVEL) or ""))


@dataclass(frozen=True, slots=True)
class RatioVerdict:
    """What must be told. compared: what was judged; None where nothing of it is judged any more."""

    id: str
    rule: str
    entry: Entry
    until: int  # UTC ms: end of the months judged
    definition: Definition | None
    compared: Compared | None
    months: Months
    other: Months | None


def judge_ratio(sight: RatioSight, told: Mapping[str, Sequence[Transition]]) -> list[RatioVerdict]:
    """What must be told of a target's warning."""
    target, history = sight.target, told.get(sight.id, ())
    rule = sight.rules.find(sight.kind, target.entity, target.start)
    compared = comparisons(sight.months, sight.other)
    if rule is None:
        found = entries(history, ())
    else:
        wanted = ratio_transitions(compared, target.value, rule, target.start)
        days = compared[-1].end if compared else 0
        found = entries(history, wanted, target.start + days * DAY_MS)
    by_until = {target.start + c.end * DAY_MS: c for c in compared}
    verdicts = []
    for entry in found:
        until = entry.transition.bucket + DAY_MS
        at = by_until.get(until)
        verdicts.append(
            RatioVerdict(sight.id, sight.kind.value, entry, until, rule, at, sight.months, sight.other)
        )
    return verdicts


def ratio_record(
    target: Target, verdict: RatioVerdict, version: int, parts: Sequence[UsedCoefficient], now_ms: int
) -> shapes.Warning:
    """The record of a verdict. parts: what the amount up to there is made of."""
    definition, compared = verdict.definition, verdict.compared
    facts: dict[str, Any] = {}
    if compared is not None:
        facts = {
            "amount": text(compared.amount),
            "value_added": text(compared.value),
            "intensity": text(compared.intensity),
            "months": _months(verdict.months, compared.end),
            "provisional": any(told.provisional for told in verdict.months.told),
        }
        other = target.compared_with
        if compared.before is not None and verdict.other is not None and other is not None:
            amount, value = compared.before
            count = len(facts["months"])
            facts |= {
                "change_percent": text(compared.change),
                "compared_with": {
                    "period": other.period_name,
                    "amount": text(amount),
                    "value_added": text(value),
                    "intensity": text(Compared(0, amount, value).intensity),
                    "months": _months(verdict.other, verdict.other.ends[count - 1]),
                },
            }
    return shapes.Warning(
        id=verdict.id,
        version=version,
        rule=verdict.rule,
        entity=target.entity,
        indicator=target.indicator,
        period=target.period.isoformat(),
        level=text(LEVEL),
        severity=class_of(definition),
        state=verdict.entry.transition.state.value,
        bucket=local_iso(verdict.entry.transition.bucket),
        backfill=is_past(verdict, now_ms),
        snapshot={
            "rule_version": RULE_VERSION,
            "definition": None if definition is None else definition.document(),
            "correction": verdict.entry.corrects,
            "target": {
                "grain": GRAIN_NAMES[target.grain],
                "period": target.period_name,
                "value": text(target.value),
                "unit": target.about.unit,
                "price_year": target.price_year,
            },
            **facts,
            "from": local_iso(target.start),
            "until": local_iso(verdict.until),
            "parts": [part_document(part) for part in parts],
        },
        changed_at=local_iso(now_ms),
        **reference_of(definition),
    )


def is_past(verdict: RatioVerdict, now_ms: int) -> bool:
    """Whether it is too old to be announced: it was news when the last value added came, a quarter later at most."""
    loaded = max((told.loaded_ms for told in verdict.months.told), default=0)
    news = min(max(verdict.until, loaded), verdict.until + PUBLISHED_WITHIN_MS)
    return now_ms >= news + BACKFILL_AFTER_MS


def _months(months: Months, until: int) -> list[dict[str, Any]]:
    return [
        {
            "month": told.month.isoformat()[:7],
            "amount": text(amount),
            "value_added": text(told.value),
            "unit": told.unit,
            "provisional": told.provisional,
            "loaded_at": local_iso(told.loaded_ms),
        }
        for end, amount, told in zip(months.ends, months.amounts, months.told, strict=True)
        if end <= until
    ]
