"""When an enterprise is told of a deadline of its answer: once while there is still time, once when it is over.

A reminder comes when a quarter of the step's time is left. What quiet hours hold is judged anew at their end, so nobody
is reminded of a step that was taken meanwhile. A review is the operators' to decide: of that nobody is reminded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from carbonstream.processors.enterprise_answers import NEXT, EnterpriseAnswer, next_step, stage_of
from carbonstream.processors.notices import Subscription, held_until

LEFT: Final = 4  # a reminder when one part in so many of the time is left: of an alarm's 30 min 7.5 min


class Urgency(StrEnum):
    """What is told of a deadline."""

    REMINDER = "reminder"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Deadline:
    """A step that is awaited, and what is to be told of it. due_at: UTC ms."""

    step: str
    due_at: int
    urgency: Urgency


def deadline_told(answer: EnterpriseAnswer, now: int) -> Deadline | None:
    """What the enterprise is told of at `now` (UTC ms), if it was not yet; None where there is time, or no deadline."""
    following, stage = next_step(answer), stage_of(answer)
    if following is None or following[1] is None or answer.respond_ms is None or stage not in NEXT:
        return None
    step, due_at = following[0], following[1]
    if now >= due_at:
        return Deadline(step, due_at, Urgency.OVERDUE)
    if now >= due_at - NEXT[stage][1] * answer.respond_ms // LEFT:
        return Deadline(step, due_at, Urgency.REMINDER)
    return None


def is_held(subscription: Subscription, severity: str, now: datetime) -> bool:
    """Whether quiet hours keep a subscription from being told now."""
    return held_until(subscription, severity, now) is not None
