"""One cause is one thing to answer, whatever order its children come in."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.alarm_grouping import (
    LEAST_CHILDREN,
    RESTATED_WITHIN_MS,
    TOGETHER_MS,
    Member,
    Told,
    fold,
    is_restated,
    quiet_of,
)
from carbonstream.processors.alarm_states import Quiet
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS

NOW = 1_800_000_000_000


def member(n: int, *, source: str = "mqtt/gw-7", after: int = 0, rule: str = "silence") -> Member:
    return Member(f"{rule}:{source}:{n}", rule, source, f"site:{n}", NOW + after, 2, 2)


def test_a_dead_gateway_of_two_thousand_meters_is_one_alarm() -> None:
    folded = fold([member(n, after=n * 400) for n in range(2_000)], {})
    (parent,) = folded.new
    assert (parent.children, parent.source, parent.entity) == (2_000, "mqtt/gw-7", None)
    assert set(folded.parents.values()) == {parent.id}
    assert len(folded.parents) == 2_000


def test_a_cause_has_the_gravest_class_and_the_highest_priority_of_its_children() -> None:
    children = [replace(member(n), class_=c, priority=p) for n, (c, p) in enumerate([(1, 3), (3, 2), (2, 3)])]
    (parent,) = fold(children, {}).new
    assert (parent.class_, parent.priority) == (1, 2)


def test_what_comes_while_the_cause_stands_joins_it() -> None:
    folded = fold([member(1, after=5 * HOUR_MS)], {("silence", "mqtt/gw-7"): "the cause"})
    assert folded.new == ()
    assert list(folded.parents.values()) == ["the cause"]


def test_what_is_far_apart_has_no_common_cause() -> None:
    folded = fold([member(n, after=n * TOGETHER_MS) for n in range(20)], {})
    assert (folded.parents, folded.new) == ({}, ())


members = st.lists(
    st.builds(
        member,
        st.integers(0, 30),
        source=st.sampled_from(["a", "b"]),
        after=st.integers(0, 120).map(lambda m: m * MINUTE_MS),
        rule=st.sampled_from(["silence", "clock"]),
    ),
    max_size=25,
    unique_by=lambda m: m.id,
)


@given(members, st.randoms())
def test_folding_does_not_depend_on_order_and_folds_only_one_rule_and_source(
    found: list[Member], chance: object
) -> None:
    shuffled = found[:]
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    folded = fold(found, {})
    assert fold(shuffled, {}) == folded
    by_id = {m.id: m for m in found}
    for parent in folded.new:
        children = [by_id[id_] for id_, of in folded.parents.items() if of == parent.id]
        assert len(children) == parent.children >= LEAST_CHILDREN
        assert {(m.rule, m.source) for m in children} == {(parent.rule, parent.source)}
    alone = [m for m in found if m.id not in folded.parents]
    assert fold(alone, {}).new == ()


def told(at: int = NOW, **other: int | bool | None) -> Told:
    fields = {
        "until": NOW - DAY_MS,
        "published_at": NOW - MINUTE_MS,
        "backfill": False,
        "locked": False,
    } | other
    return Told(at, **fields)  # type: ignore[arg-type]


def test_what_a_published_factor_says_of_a_time_that_was_over_is_restated() -> None:
    assert is_restated(told())
    assert quiet_of(told()) is Quiet.RESTATEMENT


def test_what_happens_after_the_factor_was_published_is_annunciated() -> None:
    assert quiet_of(told(until=NOW - MINUTE_MS // 2)) is None


def test_a_late_reading_judged_with_a_factor_of_before_is_annunciated() -> None:
    assert quiet_of(told(published_at=NOW - RESTATED_WITHIN_MS - 1)) is None


def test_a_locked_month_and_the_past_are_never_annunciated() -> None:
    assert quiet_of(told(published_at=None, locked=True)) is Quiet.RESTATEMENT
    assert quiet_of(told(published_at=None, backfill=True)) is Quiet.PAST
