"""What an enterprise answers to a warning of its own, and by when: receipt, cause, measure, dispute, closure.

An answer lies beside the operator's state and changes nothing of it. The steps are taken in their order; a later one
says that the warning was received. A dispute of a meter or multiplier opens a review by the operators, and while it
lasts the enterprise's time stands still. What is raised again is the same matter until its answer is closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final

from carbonstream.processors.alarm_commands import Refusal


class ReplyKind(StrEnum):
    """What is said in an answer; the first five by the enterprise, the last two by the operators who review."""

    RECEIPT = "receipt"
    CAUSE = "cause"
    MEASURE = "measure"
    DISPUTE = "dispute"
    CLOSURE = "closure"
    UPHOLD = "uphold"
    DISMISS = "dismiss"


class Stage(StrEnum):
    """How far an answer is."""

    AWAITED = "awaited"
    RECEIVED = "received"
    EXPLAINED = "explained"  # the cause is known
    ACTING = "acting"  # the measure is known
    DISPUTED = "disputed"  # the operators review
    CLOSED = "closed"


REVIEWING: Final = frozenset({ReplyKind.UPHOLD, ReplyKind.DISMISS})
# The next step of a stage, and by when, in times the rule's respond_s since the warning was raised. Receipt is what
# respond_s promises; each later step takes twice the time up to the one before, and closure, when the measure has
# shown its effect, three times. An alarm of 30 min: cause in 1 h, measure in 2 h, closure in 6 h; an alert of a day:
# 2, 4 and 12 days.
NEXT: Final[Mapping[Stage, tuple[ReplyKind, int]]] = {
    Stage.AWAITED: (ReplyKind.RECEIPT, 1),
    Stage.RECEIVED: (ReplyKind.CAUSE, 2),
    Stage.EXPLAINED: (ReplyKind.MEASURE, 4),
    Stage.ACTING: (ReplyKind.CLOSURE, 12),
}
REVIEW_TIMES: Final = 2  # a review is the operators' to decide, as soon as an enterprise must know a cause
# Of warnings whose snapshot holds no definition: respond_s of the packaged rules of alarms, alerts and notices.
RESPOND_S: Final = {1: 1_800, 2: 86_400, 3: 604_800}


@dataclass(frozen=True, slots=True)
class Said:
    """A step that was taken; at: UTC ms."""

    at: int
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Dispute:
    """What is disputed: the readings of a `meter` or its `multiplier`. decision: upheld, dismissed, None: open."""

    at: int
    by: str
    text: str
    of: str
    meter: str
    review: str  # id of the review item
    decision: str | None = None
    decided: Said | None = None


@dataclass(frozen=True, slots=True)
class EnterpriseAnswer:
    """All that is remembered of it. Times UTC ms.

    respond_ms: None where no notice told the enterprise of the warning, so that it answers without deadlines.
    stopped_ms: how long reviews have lasted. overdue: the step of which it was told that its time is over.
    """

    asked_at: int
    respond_ms: int | None
    receipt: Said | None = None
    cause: Said | None = None
    measure: Said | None = None
    dispute: Dispute | None = None
    closure: Said | None = None
    stopped_ms: int = 0
    overdue: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A command as it concerns one warning.

    enterprise: in whose name, of the enterprise's steps. of, meter, meter_of: of a dispute; meter_of: whose it is.
    """

    kind: ReplyKind
    by: str
    text: str = ""
    enterprise: str | None = None
    of: str = ""
    meter: str = ""
    meter_of: str | None = None


def stage_of(answer: EnterpriseAnswer) -> Stage:
    """How far it is."""
    if answer.closure is not None:
        return Stage.CLOSED
    if answer.dispute is not None and answer.dispute.decision is None:
        return Stage.DISPUTED
    if answer.measure is not None:
        return Stage.ACTING
    if answer.cause is not None:
        return Stage.EXPLAINED
    return Stage.AWAITED if answer.receipt is None else Stage.RECEIVED


def next_step(answer: EnterpriseAnswer) -> tuple[str, int | None] | None:
    """The step that is awaited and its deadline (UTC ms, None: none); None where the answer is closed.

    Of a disputed one the operators' decision, called `review`.
    """
    stage = stage_of(answer)
    if stage is Stage.CLOSED:
        return None
    if stage is Stage.DISPUTED and answer.dispute is not None:
        begun, step, times = answer.dispute.at, "review", REVIEW_TIMES
    else:
        kind, times = NEXT[stage]
        begun, step = answer.asked_at + answer.stopped_ms, kind.value
    return step, None if answer.respond_ms is None else begun + times * answer.respond_ms


def asked(answer: EnterpriseAnswer | None, at: int, respond_ms: int | None) -> EnterpriseAnswer:
    """The answer to a warning raised at `at`: one that is not closed goes on, with the deadlines it had."""
    if answer is None or answer.closure is not None:
        return EnterpriseAnswer(at, respond_ms)
    return answer


def answer_due_at(answer: EnterpriseAnswer | None) -> int | None:
    """When the clock alone changes it: the deadline that was not told yet, UTC ms."""
    following = None if answer is None else next_step(answer)
    if answer is None or following is None or answer.overdue == following[0]:
        return None
    return following[1]


def overdue(answer: EnterpriseAnswer | None, now: int) -> EnterpriseAnswer | None:
    """With the step noted as told whose deadline is over at `now`."""
    due = answer_due_at(answer)
    following = None if answer is None else next_step(answer)
    if answer is None or due is None or following is None or now < due:
        return answer
    return replace(answer, overdue=following[0])


def reply(
    answer: EnterpriseAnswer, owner: str | None, said: Reply, now: int, review: str
) -> EnterpriseAnswer | Refusal:
    """The answer after a reply at `now`; equal to the one before where it says nothing new.

    owner: the enterprise whose entity the warning is about. review: id of the review item that a dispute opens.
    """
    if said.kind in REVIEWING:
        return _decided(answer, said, now)
    if owner is None or said.enterprise != owner:
        return Refusal.NOT_ITS_OWN
    if answer.closure is not None:
        return answer if said.kind is ReplyKind.CLOSURE else Refusal.ANSWER_CLOSED
    if said.kind is ReplyKind.DISPUTE:
        return _disputed(answer, owner, said, now, review)
    step = Said(now, said.by, said.text)
    received = answer if answer.receipt is not None else replace(answer, receipt=step)
    match said.kind:
        case ReplyKind.CAUSE:
            return received if _same(answer.cause, said) else replace(received, cause=step, overdue=None)
        case ReplyKind.MEASURE:
            if answer.cause is None:
                return Refusal.CAUSE_FIRST
            return received if _same(answer.measure, said) else replace(received, measure=step, overdue=None)
        case ReplyKind.CLOSURE:
            return _closed(answer, step)
        case _:
            return received if answer.receipt is not None else replace(received, overdue=None)


def _same(before: Said | None, said: Reply) -> bool:
    return before is not None and (before.by, before.text) == (said.by, said.text)


def _closed(answer: EnterpriseAnswer, step: Said) -> EnterpriseAnswer | Refusal:
    """After the measure, or at once where the operators found the dispute right: then there is nothing to mend."""
    stage = stage_of(answer)
    if stage is Stage.DISPUTED:
        return Refusal.UNDER_REVIEW
    was_right = answer.dispute is not None and answer.dispute.decision == "upheld"
    if stage is not Stage.ACTING and not was_right:
        return Refusal.MEASURE_FIRST
    return replace(answer, closure=step, overdue=None)


def _disputed(
    answer: EnterpriseAnswer, owner: str, said: Reply, now: int, review: str
) -> EnterpriseAnswer | Refusal:
    if said.meter_of != owner:
        return Refusal.NOT_ITS_OWN
    if answer.dispute is not None and answer.dispute.decision is None:
        same = (said.of, said.meter, said.text) == (
            answer.dispute.of,
            answer.dispute.meter,
            answer.dispute.text,
        )
        return answer if same else Refusal.UNDER_REVIEW
    receipt = answer.receipt or Said(now, said.by, said.text)
    dispute = Dispute(now, said.by, said.text, said.of, said.meter, review)
    return replace(answer, receipt=receipt, dispute=dispute, overdue=None)


def _decided(answer: EnterpriseAnswer, said: Reply, now: int) -> EnterpriseAnswer | Refusal:
    dispute = answer.dispute
    if dispute is None or dispute.decision is not None:
        return Refusal.NOT_DISPUTED
    decision = "upheld" if said.kind is ReplyKind.UPHOLD else "dismissed"
    decided = replace(dispute, decision=decision, decided=Said(now, said.by, said.text))
    stopped_ms = answer.stopped_ms + max(now - dispute.at, 0)
    return replace(answer, dispute=decided, stopped_ms=stopped_ms, overdue=None)


def document(answer: EnterpriseAnswer) -> dict[str, Any]:
    """As JSON."""
    return asdict(answer)


def answer_of(stored: Mapping[str, Any] | None) -> EnterpriseAnswer | None:
    """From `document`."""
    if stored is None:
        return None
    dispute = stored["dispute"]
    return EnterpriseAnswer(
        stored["asked_at"], stored["respond_ms"], _said(stored["receipt"]), _said(stored["cause"]),
        _said(stored["measure"]),
        None if dispute is None else Dispute(**{**dispute, "decided": _said(dispute["decided"])}),
        _said(stored["closure"]), stored["stopped_ms"], stored["overdue"],
    )  # fmt: skip


def _said(stored: Mapping[str, Any] | None) -> Said | None:
    return None if stored is None else Said(**stored)
