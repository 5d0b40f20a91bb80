"""What was found about one stored reading, and what people decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from carbonstream.api.database import Snapshot
from carbonstream.schemas.codes import Check, Decision
from carbonstream.schemas.periods import local_text

FINDINGS: Final = """
select time, "check", decision, size from finding
where meter = %(meter)s and time > %(from)s and time <= %(to)s order by time, "check"
"""
DECISIONS: Final = """
select time, decision, decided_by, decided_at, reason from reading_decision
where meter = %(meter)s and time > %(from)s and time <= %(to)s order by id
"""


@dataclass(frozen=True, slots=True)
class _Finding:
    time: datetime
    check: int
    decision: int
    size: float


@dataclass(frozen=True, slots=True)
class _Decision:
    time: datetime
    decision: str
    decided_by: str
    decided_at: datetime
    reason: str


async def edits_of(snapshot: Snapshot, meter: int, since: datetime, upto: datetime) -> dict[str, Any]:
    """`findings` and `decisions` about a meter's readings that end in (since, upto]."""
    span = {"meter": meter, "from": since, "to": upto}
    findings = await snapshot.rows(_Finding, FINDINGS, span)
    decisions = await snapshot.rows(_Decision, DECISIONS, span)
    return {
        "findings": [
            {
                "end": local_text(f.time),
                "check": Check(f.check).name.lower(),
                "decision": Decision(f.decision).name.lower(),
                "size": round(f.size, 3),
            }
            for f in findings
        ],
        "decisions": [
            {
                "end": local_text(d.time),
                "decision": d.decision,
                "decided_by": d.decided_by,
                "decided_at": local_text(d.decided_at),
                "reason": d.reason,
            }
            for d in decisions
        ],
    }
