"""What was found about one stored reading, by which parameters, and what people decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from carbonstream.api.database import Snapshot
from carbonstream.processors.vee.parameters import asked_by
from carbonstream.schemas.codes import Check, Decision
from carbonstream.schemas.periods import local_text

FINDINGS: Final = """
select f.time, f."check", f.decision, f.size, f.definition, p.parameters,
       case when r.rule is not null then jsonb_build_object('test', r.test, 'field', r.field, 'low', r.low::text,
         'high', r.high::text, 'decision', r.decision) end as rule
from finding f
left join check_parameters p on f."check" <> %(rule)s and p.name || '@' || p.version = f.definition
left join check_rule_history r on f."check" = %(rule)s and r.rule || '@' || r.version = f.definition
where f.meter = %(meter)s and f.time > %(from)s and f.time <= %(to)s order by f.time, f."check"
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
    definition: str | None
    parameters: dict[str, str] | None
    rule: dict[str, str | None] | None

    @property
    def asked(self) -> dict[str, str | None] | None:
        """What it was judged by."""
        return self.rule if self.parameters is None else {**asked_by(Check(self.check), self.parameters)}


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
    findings = await snapshot.rows(_Finding, FINDINGS, span | {"rule": int(Check.RULE)})
    decisions = await snapshot.rows(_Decision, DECISIONS, span)
    return {
        "findings": [
            {
                "end": local_text(f.time),
                "check": Check(f.check).name.lower(),
                "decision": Decision(f.decision).name.lower(),
                "size": round(f.size, 3),
                "definition": f.definition,
                "parameters": f.asked,
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
