"""What the enterprise answers to a warning, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from carbonstream.processors.enterprise_answers import Said, answer_of, next_step, stage_of
from carbonstream.schemas.periods import local_iso


class SaidShown(BaseModel):
    """A step that was taken."""

    at: str
    by: str
    text: str


class DisputeShown(SaidShown):
    """A dispute and what the operators decided."""

    of: str = Field(description="meter or multiplier")
    meter: str
    review: str = Field(description="id of the review item")
    decision: str | None = Field(description="upheld or dismissed; null: under review")
    decided: SaidShown | None


class AnswerShown(BaseModel):
    """The enterprise's answer."""

    state: str = Field(description="awaited, received, explained, acting, disputed or closed")
    asked_at: str
    next: str | None = Field(description="the step awaited; of a dispute the operators' review")
    due_at: str | None = Field(description="its deadline; null: none, as no notice goes to this enterprise")
    overdue: bool = Field(description="by this server's clock")
    receipt: SaidShown | None
    cause: SaidShown | None
    measure: SaidShown | None
    dispute: DisputeShown | None
    closure: SaidShown | None


def answer_shown(stored: Mapping[str, Any] | None, now_ms: int) -> AnswerShown | None:
    """Column `answer` of warning_operator; `now_ms`: UTC ms."""
    answer = answer_of(stored)
    if answer is None:
        return None
    step, due = next_step(answer) or (None, None)
    dispute = answer.dispute
    return AnswerShown(
        state=stage_of(answer).value,
        asked_at=local_iso(answer.asked_at),
        next=step,
        due_at=None if due is None else local_iso(due),
        overdue=due is not None and now_ms >= due,
        receipt=_said(answer.receipt),
        cause=_said(answer.cause),
        measure=_said(answer.measure),
        dispute=None
        if dispute is None
        else DisputeShown(
            at=local_iso(dispute.at),
            by=dispute.by,
            text=dispute.text,
            of=dispute.of,
            meter=dispute.meter,
            review=dispute.review,
            decision=dispute.decision,
            decided=_said(dispute.decided),
        ),
        closure=_said(answer.closure),
    )


def _said(step: Said | None) -> SaidShown | None:
    return None if step is None else SaidShown(at=local_iso(step.at), by=step.by, text=step.text)
