"""A missed indicator as a warning: class ALERT, kind data quality, one a rule, entity, indicator and local day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from carbonstream.processors.consistency import LATE_MS, Measure
from carbonstream.processors.total_records import text
from carbonstream.processors.warning_rules import Definition, RuleBook
from carbonstream.processors.warnings import State
from carbonstream.processors.warnings_record import class_of, reference_of
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, local_iso
from carbonstream.schemas.warning_rules import RuleKind
from carbonstream.schemas.warnings import Warning as WarningRecord

RULE: Final = "consistency"
RULE_VERSION: Final = 1
KIND: Final = "data quality"
EVERYTHING: Final = "region:CN"
BACKFILL_AFTER_MS: Final = DAY_MS
JUMP_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a warning last."""

    version: int
    state: str


@dataclass(slots=True)
class Missed:
    """Since when what is missed has been, by warning, as of a pass; UTC ms, passed_ms: of a clock that never stands."""

    since: dict[str, int] = field(default_factory=dict)
    now: int = 0
    passed_ms: float = 0.0

    def until(self, now: int, passed_ms: float) -> dict[str, int]:
        """The same for the next pass: nothing where the stored clock stood meanwhile and jumps, as after an outage,
        whose readings are still to come."""
        return self.since if now - self.now <= passed_ms - self.passed_ms + JUMP_MS else {}


def is_told_of(entity: str) -> bool:
    """One cause, one warning: the enterprise that can mend it is told, and who runs the whole; not each region."""
    return entity.startswith("enterprise:") or entity == EVERYTHING


def is_closed(start: int, now: int) -> bool:
    """Whether the local day is over and what was due in it is due for LATE_MS."""
    return now >= start + DAY_MS + LATE_MS


def id_of(measure: Measure, names: Mapping[int, str], start: int) -> str:
    """The warning of an indicator of the local day that starts at `start`; UTC ms."""
    return ":".join((RULE, names[measure.entity], measure.indicator.id, local_iso(start)[:10]))


def missed_since(
    measured: Iterable[Measure], names: Mapping[int, str], before: Mapping[str, int], start: int, now: int
) -> dict[str, int]:
    """By warning, since when its indicator is missed without a break; UTC ms. before: the same a pass earlier."""
    closed = is_closed(start, now)
    missed = [
        id_of(m, names, start) for m in measured if is_told_of(names[m.entity]) and m.warns(closed=closed)
    ]
    return {id_: before.get(id_, now) for id_ in missed}


def changes(
    measured: Iterable[Measure],
    names: Mapping[int, str],
    told: Mapping[str, Told],
    rules: RuleBook,
    missed: Mapping[str, int],
    start: int,
    now: int,
) -> list[WarningRecord]:
    """What must be told of the local day that starts at `start`; UTC ms. names: entity ids by number; missed: see
    `missed_since`. While the day runs a target must have been missed for the rule's on-delay (ISA-18.2)."""
    closed, day = is_closed(start, now), local_iso(start)[:10]
    bucket = min(now, start + DAY_MS - 1) // HOUR_MS * HOUR_MS
    records = []
    for measure in measured:
        entity = names[measure.entity]
        if not is_told_of(entity):
            continue
        id_ = id_of(measure, names, start)
        before = told.get(id_, Told(0, State.CLEARED))
        rule = rules.find(RuleKind.CONSISTENCY, entity, start)
        warns = rule is not None and id_ in missed
        if rule is not None and warns and before.state == State.CLEARED and not closed:
            warns = now - missed[id_] >= rule.parameters["on_s"] * 1_000
        state = State.ACTIVE if warns else State.CLEARED
        if state == before.state:
            continue
        records.append(
            WarningRecord(
                id=id_,
                version=before.version + 1,
                rule=RULE,
                entity=entity,
                indicator=measure.indicator.id,
                period=day,
                level=None,
                severity=class_of(rule),
                state=state.value,
                bucket=local_iso(bucket),
                backfill=now >= start + DAY_MS + BACKFILL_AFTER_MS,
                snapshot=_snapshot(measure, rule, now, closed=closed),
                changed_at=local_iso(now),
                **reference_of(rule),
            )
        )
    return records


def _snapshot(measure: Measure, rule: Definition | None, now: int, *, closed: bool) -> dict[str, Any]:
    indicator = measure.indicator
    return {
        "rule_version": RULE_VERSION,
        "definition": None if rule is None else rule.document(),
        "kind": KIND,
        "name_zh": indicator.name_zh,
        "name_en": indicator.name_en,
        "clause": f"T/CES {indicator.clause}",
        "part": text(measure.part),
        "whole": text(measure.whole),
        "value": text(measure.value),
        "unit": indicator.unit,
        "aim": indicator.aim.value,
        "target": text(indicator.target),
        "closed": closed,
        "until": local_iso(now),
    }
