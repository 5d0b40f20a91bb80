"""A change of an instant warning, and its record for carbon.warnings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from carbonstream.processors.warning_rules import Definition
from carbonstream.processors.warnings import RULE_VERSION, State, Transition
from carbonstream.processors.warnings_record import BACKFILL_AFTER_MS, class_of, reference_of
from carbonstream.schemas import warnings as shapes
from carbonstream.schemas.periods import SHANGHAI, local_iso, to_datetime


@dataclass(frozen=True, slots=True)
class Told:
    """One change of one episode. about: the meter's id, or what of the entity; begun: UTC ms, the episode's name."""

    definition: Definition
    entity: str
    about: str
    begun: int
    transition: Transition
    facts: Mapping[str, Any]

    @property
    def id(self) -> str:
        """kind:entity:about:begun, the same however fast and in whatever order the readings came."""
        begun = to_datetime(self.begun).astimezone(SHANGHAI).strftime("%Y%m%dT%H%M%S")
        return ":".join((self.definition.kind.value, self.entity, self.about, begun))


def common(sources: Collection[str | None]) -> str | None:
    """The source that all of an episode's readings came through; None where they differ or it is not known.

    Warnings of one rule and source that come together have one cause (processors.alarm_grouping).
    """
    return next(iter(sources)) if len(sources) == 1 else None


def record_of(told: Told, now_ms: int) -> shapes.Warning:
    """The record. An episode is raised once and cleared once: versions 1 and 2."""
    bucket = told.transition.bucket
    return shapes.Warning(
        id=told.id,
        version=1 if told.transition.state is State.ACTIVE else 2,
        rule=told.definition.kind.value,
        entity=told.entity,
        indicator=told.about,
        period=(to_datetime(told.begun) + timedelta(hours=8)).date().isoformat(),
        level=None,
        severity=class_of(told.definition),
        state=told.transition.state.value,
        bucket=local_iso(bucket),
        backfill=now_ms >= bucket + BACKFILL_AFTER_MS,
        snapshot={
            "rule_version": RULE_VERSION,
            "definition": told.definition.document(),
            "begun": local_iso(told.begun),
            **told.facts,
        },
        changed_at=local_iso(now_ms),
        **reference_of(told.definition),
    )
