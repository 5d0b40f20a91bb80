"""Whatever an enterprise and its operators say in whatever order: steps keep their order, no deadline comes twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.alarm_commands import Refusal
from carbonstream.processors.enterprise_answers import (
    REVIEWING,
    EnterpriseAnswer,
    Reply,
    ReplyKind,
    Stage,
    answer_due_at,
    answer_of,
    asked,
    document,
    next_step,
    overdue,
    reply,
    stage_of,
)
from carbonstream.schemas.periods import HOUR_MS

OWNER = "enterprise:A"
RESPOND_MS = 4 * HOUR_MS
replies = st.builds(
    Reply,
    st.sampled_from(ReplyKind),
    st.sampled_from(["Li Na", "Zhao Min"]),
    st.sampled_from(["text", "other text"]),
    st.sampled_from([OWNER, OWNER, OWNER, "enterprise:B", None]),
    st.sampled_from(["meter", "multiplier"]),
    st.just("a-1/E01"),
    st.sampled_from([OWNER, OWNER, "enterprise:B", None]),
)
Step = tuple[int, Reply | None, EnterpriseAnswer, EnterpriseAnswer | Refusal]
courses = st.lists(st.tuples(st.integers(0, 30 * HOUR_MS), st.none() | replies), max_size=20)


def course(events: list[tuple[int, Reply | None]]) -> list[Step]:
    """(now, reply or None: the clock alone, before, after or refusal) of each event."""
    answer, now, steps = asked(None, 0, RESPOND_MS), 0, []
    for pause, said in events:
        now += pause
        after: EnterpriseAnswer | Refusal | None
        after = overdue(answer, now) if said is None else reply(answer, OWNER, said, now, f"dispute:{now}")
        assert after is not None
        steps.append((now, said, answer, after))
        answer = answer if isinstance(after, Refusal) else after
    return steps


@given(courses)
def test_a_step_never_lacks_what_it_follows(events: list[tuple[int, Reply | None]]) -> None:
    for _, _, _, after in course(events):
        if isinstance(after, Refusal):
            continue
        assert after.measure is None or after.cause is not None
        upheld = after.dispute is not None and after.dispute.decision == "upheld"
        assert after.closure is None or after.measure is not None or upheld
        assert stage_of(after) is Stage.AWAITED or after.receipt is not None


@given(courses)
def test_nobody_answers_for_another_and_what_is_closed_stays(events: list[tuple[int, Reply | None]]) -> None:
    for _, said, before, after in course(events):
        if said is not None and said.kind not in REVIEWING and said.enterprise != OWNER:
            assert after is Refusal.NOT_ITS_OWN
        if said is not None and said.kind is ReplyKind.DISPUTE and said.meter_of != OWNER:
            assert isinstance(after, Refusal)
        if stage_of(before) is Stage.CLOSED and not isinstance(after, Refusal):
            assert (after.closure, stage_of(after)) == (before.closure, Stage.CLOSED)


@given(courses)
def test_a_deadline_is_told_once_and_the_same_said_twice_changes_nothing(
    events: list[tuple[int, Reply | None]],
) -> None:
    for now, said, _, after in course(events):
        if isinstance(after, Refusal):
            continue
        if said is None:
            due = answer_due_at(after)
            assert due is None or due > now
            assert overdue(after, now) == after
        else:
            again = reply(after, OWNER, said, now, "dispute:again")
            assert again == after or again is Refusal.NOT_DISPUTED


@given(courses)
def test_it_is_stored_as_it_stands(events: list[tuple[int, Reply | None]]) -> None:
    for _, _, _, after in course(events):
        assert isinstance(after, Refusal) or answer_of(document(after)) == after


@given(st.integers(0, 100 * HOUR_MS), st.integers(0, 100 * HOUR_MS))
def test_a_review_stops_the_enterprises_time(before: int, lasts: int) -> None:
    answer = asked(None, 0, RESPOND_MS)
    disputed = reply(answer, OWNER, _said(ReplyKind.DISPUTE), before, "dispute:w")
    assert isinstance(disputed, EnterpriseAnswer)
    assert next_step(disputed) == ("review", before + 2 * RESPOND_MS)
    decided = reply(disputed, OWNER, _said(ReplyKind.DISMISS), before + lasts, "")
    assert isinstance(decided, EnterpriseAnswer)
    assert next_step(decided) == ("cause", 2 * RESPOND_MS + lasts)


def test_what_is_raised_again_is_the_same_matter_until_it_is_closed() -> None:
    answer = asked(None, 0, RESPOND_MS)
    assert asked(answer, HOUR_MS, RESPOND_MS) == answer
    for kind in (ReplyKind.CAUSE, ReplyKind.MEASURE, ReplyKind.CLOSURE):
        found = reply(answer, OWNER, _said(kind), HOUR_MS, "")
        assert isinstance(found, EnterpriseAnswer)
        answer = found
    assert asked(answer, 2 * HOUR_MS, RESPOND_MS) == EnterpriseAnswer(2 * HOUR_MS, RESPOND_MS)


def _said(kind: ReplyKind) -> Reply:
    return Reply(kind, "Zhao Min", "text", OWNER, "meter", "a-1/E01", OWNER)
