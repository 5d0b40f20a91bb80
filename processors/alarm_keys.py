"""Which warnings are one alarm: the episodes of one condition.

An episode of an instant rule or of a common cause is a warning of its own, whose id ends with its time. What operators
do to an alarm (ANSI/ISA-18.2 11: shelving, removal from service) and what is counted of it concern all its episodes.
Other warnings are alarms of their own: another period has another target.
"""

from __future__ import annotations

from typing import Final

from carbonstream.processors.alarm_grouping import COMMON_CAUSE
from carbonstream.schemas.warning_rules import RuleKind

EPISODIC: Final = frozenset(
    {
        RuleKind.SILENCE.value,
        RuleKind.INTERVAL_LIMIT.value,
        RuleKind.MAXIMUM_DEMAND.value,
        RuleKind.DATA_QUALITY.value,
        RuleKind.HABIT.value,
        COMMON_CAUSE,
    }
)


def alarm_key(id_: str, rule: str) -> str:
    """The alarm of a warning: its id, of an episode without its time. Of ids with one key the greatest is newest."""
    return id_.rpartition(":")[0] if rule in EPISODIC else id_
