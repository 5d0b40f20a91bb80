"""The warnings that stand for a common cause: what is told of a restated factor, and of a source that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from carbonstream.processors.alarm_desk import Card
from carbonstream.processors.alarm_grouping import COMMON_CAUSE, DISPUTE, RESTATEMENT, Parent
from carbonstream.processors.alarm_states import CLASS, CLASS_NAMES, PRIORITY_NAMES
from carbonstream.processors.consistency_warnings import EVERYTHING
from carbonstream.processors.enterprise_answers import Dispute
from carbonstream.processors.warnings import State
from carbonstream.schemas.periods import local_iso
from carbonstream.schemas.warnings import Warning as WarningRecord


@dataclass(frozen=True, slots=True)
class Published:
    """The first coefficient of a publication; published_at UTC ms, month as 2026-03."""

    coefficient: int
    carrier: str
    kind: str
    scope: str
    month: str
    document: str
    published_at: int

    @property
    def entity(self) -> str:
        """Whose it is: a region by its code, an enterprise; of an industry everybody's."""
        if self.scope.startswith("enterprise:"):
            return self.scope
        return f"region:{self.scope}" if self.scope.isalnum() else EVERYTHING

    @property
    def review(self) -> str:
        """Id of the review item of all that its publication restated."""
        return f"{RESTATEMENT}:{self.entity}:{self.month}:{self.published_at}"


def review_record(published: Published, children: int, now: int) -> WarningRecord:
    """One item to look through for all that a publication changed about times that were over. It is no standing
    condition: told once, as cleared, and done with when it is acknowledged. children: warnings known to be restated
    now; more may follow, as warn judges 500 targets a pass.
    """
    return _record(
        id_=published.review,
        version=1,
        rule=RESTATEMENT,
        entity=published.entity,
        severity="alert",
        priority="medium",
        state=State.CLEARED,
        since=published.published_at,
        now=now,
        snapshot={
            "coefficient": published.coefficient,
            "carrier": published.carrier,
            "kind": published.kind,
            "scope": published.scope,
            "month": published.month,
            "document": published.document,
            "published_at": local_iso(published.published_at),
            "children_at_first": children,
        },
    )


def dispute_record(card: Card, dispute: Dispute, now: int) -> WarningRecord:
    """The item that operators review when an enterprise disputes what a warning was measured with."""
    return _record(
        id_=dispute.review,
        version=1,
        rule=DISPUTE,
        entity=card.entity,
        severity=CLASS_NAMES[min(card.class_, CLASS["alert"])],  # somebody waits for it
        priority=PRIORITY_NAMES[card.priority],
        state=State.CLEARED,
        since=dispute.at,
        now=now,
        snapshot={
            "warning": card.id,
            "enterprise": card.enterprise,
            "of": dispute.of,
            "meter": dispute.meter,
            "reason": dispute.text,
            "by": dispute.by,
        },
    )


def cause_record(parent: Parent, now: int) -> WarningRecord:
    """The one alarm of a source that failed."""
    return _record(
        id_=parent.id,
        version=1,
        rule=COMMON_CAUSE,
        entity=parent.entity or EVERYTHING,
        severity=CLASS_NAMES[parent.class_],
        priority=PRIORITY_NAMES[parent.priority],
        state=State.ACTIVE,
        since=now,
        now=now,
        snapshot={"cause": parent.source, "rule": parent.rule, "children_at_first": parent.children},
    )


def _record(
    *,
    id_: str,
    version: int,
    rule: str,
    entity: str,
    severity: str,
    priority: str,
    state: State,
    since: int,
    now: int,
    snapshot: dict[str, Any],
) -> WarningRecord:
    return WarningRecord.model_validate(
        {
            "id": id_,
            "version": version,
            "rule": rule,
            "entity": entity,
            "indicator": rule,  # of no target, so no target's history holds it
            "period": local_iso(since)[:10],
            "level": None,
            "severity": severity,
            "priority": priority,
            "state": state.value,
            "bucket": local_iso(since),
            "backfill": False,
            "snapshot": snapshot,
            "changed_at": local_iso(now),
        }
    )
