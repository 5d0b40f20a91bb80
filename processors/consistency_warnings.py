"""A missed indicator as a warning: class ALERT, kind data quality, one a rule, entity, indicator and local day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from carbonstream.processors.consistency import LATE_MS, Measure
from carbonstream.processors.total_records import text
from carbonstream.processors.warnings import State
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, local_iso
from carbonstream.schemas.warnings import Warning as WarningRecord

RULE: Final = "consistency"
RULE_VERSION: Final = 1
SEVERITY: Final = "alert"
KIND: Final = "data quality"
EVERYTHING: Final = "region:CN"
BACKFILL_AFTER_MS: Final = DAY_MS


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a warning last."""

    version: int
    state: str


def is_told_of(entity: str) -> bool:
    """One cause, one warning: the enterprise that can mend it is told, and who runs the whole; not each region."""
    return entity.startswith("enterprise:") or entity == EVERYTHING


def changes(
    measured: Iterable[Measure], names: Mapping[int, str], told: Mapping[str, Told], start: int, now: int
) -> list[WarningRecord]:
    """What must be told of the local day that starts at `start`; UTC ms. names: entity ids by number."""
    closed, day = now >= start + DAY_MS + LATE_MS, local_iso(start)[:10]
    bucket = min(now, start + DAY_MS - 1) // HOUR_MS * HOUR_MS
    records = []
    for measure in measured:
        entity = names[measure.entity]
        id_ = ":".join((RULE, entity, measure.indicator.id, day))
        before = told.get(id_, Told(0, State.CLEARED))
        state = State.ACTIVE if measure.warns(closed=closed) else State.CLEARED
        if state == before.state or not is_told_of(entity):
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
                severity=SEVERITY,
                state=state.value,
                bucket=local_iso(bucket),
                backfill=now >= start + DAY_MS + BACKFILL_AFTER_MS,
                snapshot=_snapshot(measure, now, closed=closed),
                changed_at=local_iso(now),
            )
        )
    return records


def _snapshot(measure: Measure, now: int, *, closed: bool) -> dict[str, Any]:
    indicator = measure.indicator
    return {
        "rule_version": RULE_VERSION,
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
