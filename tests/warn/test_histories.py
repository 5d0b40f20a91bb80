"""A history says in the end what the rule says, however often and late it was brought up to date."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.warnings import State, Transition, entries, in_force

BUCKETS = st.integers(min_value=0, max_value=30)


def by_turns(buckets: set[int]) -> tuple[Transition, ...]:
    """Active and cleared by turns, as a rule gives them."""
    states = (State.ACTIVE, State.CLEARED)
    return tuple(Transition(states[i % 2], bucket) for i, bucket in enumerate(sorted(buckets)))


wanted_lists = st.sets(BUCKETS).map(by_turns)
told_lists = st.lists(st.builds(Transition, st.sampled_from(State), BUCKETS))


def tell(history: list[Transition], wanted: tuple[Transition, ...], until: int = 100) -> list[bool]:
    found = entries(history, wanted, until)
    history += [entry.transition for entry in found]
    return [entry.corrects for entry in found]


@given(told_lists, wanted_lists)
def test_any_history_is_brought_to_what_is_wanted(
    history: list[Transition], wanted: tuple[Transition, ...]
) -> None:
    tell(history, wanted)
    assert in_force(history) == wanted


@given(told_lists, wanted_lists)
def test_judging_again_tells_nothing(history: list[Transition], wanted: tuple[Transition, ...]) -> None:
    tell(history, wanted)
    assert entries(history, wanted) == []


@given(wanted_lists, st.lists(BUCKETS))
def test_a_list_that_grows_is_told_as_it_is_however_it_is_cut(
    wanted: tuple[Transition, ...], cuts: list[int]
) -> None:
    history: list[Transition] = []
    corrections: list[bool] = []
    for until in [*sorted(cuts), 100]:
        corrections += tell(history, tuple(t for t in wanted if t.bucket < until), until)
    assert tuple(history) == wanted
    assert not any(corrections)


@given(wanted_lists, wanted_lists, BUCKETS)
def test_a_correction_begins_where_the_outcome_differs_and_keeps_what_is_before(
    old: tuple[Transition, ...], new: tuple[Transition, ...], bucket: int
) -> None:
    same = tuple(t for t in old if t.bucket < bucket)
    later = [t for t in new if t.bucket >= bucket]
    mended = in_force([*same, *later])
    history = list(old)
    told = entries(history, mended)
    assert all(entry.transition.bucket >= bucket for entry in told)


@given(told_lists, wanted_lists, BUCKETS)
def test_what_was_told_of_days_not_closed_stands_unless_a_day_before_differs(
    history: list[Transition], wanted: tuple[Transition, ...], until: int
) -> None:
    wanted = tuple(t for t in wanted if t.bucket < until)
    before = in_force(history)
    if tuple(t for t in before if t.bucket < until) == wanted:
        assert entries(history, wanted, until) == []
    else:
        tell(history, wanted, until)
        assert in_force(history) == wanted


def test_a_raise_that_moves_to_an_earlier_bucket_is_one_correction() -> None:
    history = [Transition(State.ACTIVE, 10)]
    assert tell(history, (Transition(State.ACTIVE, 7),)) == [True]
    assert in_force(history) == (Transition(State.ACTIVE, 7),)


def test_a_raise_that_was_wrong_is_taken_back_where_it_was_told() -> None:
    (entry,) = entries([Transition(State.ACTIVE, 10)], ())
    assert entry.transition == Transition(State.CLEARED, 10)
    assert entry.corrects


def test_what_is_raised_again_after_a_correction_gets_a_version_of_its_own() -> None:
    history = [Transition(State.ACTIVE, 10)]
    tell(history, ())
    tell(history, (Transition(State.ACTIVE, 12),))
    assert [t.state for t in history] == [State.ACTIVE, State.CLEARED, State.ACTIVE]
