"""Whatever conditions and commands come in whatever order: what an operator must see he sees, nothing comes twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from carbonstream.processors.alarm_commands import SHELF_LONGEST_MS, Kind, Order, Refusal, obey
from carbonstream.processors.alarm_states import (
    ANNUNCIATED,
    INHIBITED,
    Condition,
    OperatorState,
    Quiet,
    Standing,
    due_at,
    expired,
    on_condition,
    priority_of,
    reminded,
    state_of,
)
from carbonstream.processors.suppression import Suppression, suppressing
from carbonstream.schemas.operator import Calendar
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, to_ms

STEP_MS = 10 * MINUTE_MS
orders = st.builds(
    Order,
    st.sampled_from(Kind),
    st.sampled_from(["Li Na", "Wang Wei"]),
    st.just("why"),
    st.none() | st.integers(0, 6),
    st.none() | st.integers(0, 60 * STEP_MS),
    st.none() | st.integers(0, 60 * STEP_MS),
)


@dataclass(frozen=True)
class Told:
    """A change that the rules tell."""

    active: bool
    quiet: Quiet | None


told = st.builds(Told, st.booleans(), st.none() | st.sampled_from(Quiet))
events = st.lists(orders | told, max_size=25)
suppressed = st.lists(st.booleans(), min_size=25, max_size=25)


def after(events: list[Order | Told], suppressed: list[bool]) -> list[tuple[int, Standing]]:
    """(now, standing) after each event, ten minutes apart."""
    standing, version, found = Standing(), 0, []
    for n, event in enumerate(events):
        now = n * STEP_MS
        standing = reminded(expired(standing, now), now)
        if isinstance(event, Told):
            version += 1
            standing = on_condition(
                standing, Condition(version, event.active, now, event.quiet), suppressed[n]
            )
        else:
            answer = obey(standing, event, now)
            standing = standing if isinstance(answer, Refusal) else answer
        found.append((now, standing))
    return found


@given(events, suppressed)
def test_an_unacknowledged_active_warning_is_annunciated_unless_inhibited(
    events: list[Order | Told], suppressed: list[bool]
) -> None:
    for n, (now, standing) in enumerate(after(events, suppressed)):
        if standing.active and not standing.acked:
            state = state_of(standing, now, suppressed[n])
            assert state in ANNUNCIATED | INHIBITED
            free = (standing.shelf, standing.out_of_service, standing.quiet) == (None, None, None)
            assert (state is OperatorState.ACTIVE_UNACKED) == (free and not suppressed[n])


@given(events, suppressed, orders)
def test_the_same_command_twice_changes_nothing_the_second_time(
    events: list[Order | Told], suppressed: list[bool], order: Order
) -> None:
    now, standing = [(0, Standing()), *after(events, suppressed)][-1]
    once = obey(standing, order, now)
    if not isinstance(once, Refusal):
        assert obey(once, order, now) in (once, *Refusal)


@given(events, suppressed, events)
def test_the_end_of_a_shelf_leaves_what_would_have_been_without(
    before: list[Order | Told], suppressed: list[bool], during: list[Order | Told]
) -> None:
    """Also what was told and done while it lay on the shelf: the shelf hides, it does not change."""
    before, during = before[:12], [e for e in during[:12] if not is_about_shelves(e)]
    shelve = Order(Kind.SHELVE, "Li Na", "noise", until=24 * STEP_MS + 1)
    ((_, with_shelf),) = after([*before, shelve, *during], suppressed)[-1:]
    nothing = Order(Kind.UNCLAIM, "Li Na", expected=-1)  # takes its place in time, and is refused
    ((_, without),) = after([*before, nothing, *during], suppressed)[-1:]
    end = 30 * STEP_MS
    assert expired(with_shelf, end) == replace(expired(without, 60 * STEP_MS), shelf=None)
    assert with_shelf.shelf is not None
    assert state_of(replace(with_shelf, out_of_service=None), with_shelf.shelf.until - 1, False) is (
        OperatorState.SHELVED
    )


def is_about_shelves(event: Order | Told) -> bool:
    return isinstance(event, Order) and event.kind in (Kind.SHELVE, Kind.UNSHELVE)


@given(events, suppressed)
def test_what_becomes_active_again_is_unacknowledged_again(
    events: list[Order | Told], suppressed: list[bool]
) -> None:
    now, standing = [(0, Standing()), *after(events, suppressed)][-1]
    cleared = on_condition(standing, Condition(standing.version + 1, False, now), False)
    again = on_condition(cleared, Condition(standing.version + 2, True, now), False)
    assert not again.acked
    assert again.raised_version == standing.version + 2
    assert again.claimed_by is None


@given(events, suppressed, st.sampled_from(Quiet), st.booleans())
def test_what_is_told_of_the_past_is_never_annunciated(
    events: list[Order | Told], suppressed: list[bool], quiet: Quiet, active: bool
) -> None:
    now, standing = [(0, Standing()), *after(events, suppressed)][-1]
    before = state_of(standing, now, False)
    then = on_condition(standing, Condition(standing.version + 1, active, now, quiet), False)
    state = state_of(then, now, False)
    assert state not in ANNUNCIATED or before in ANNUNCIATED


@given(events, suppressed)
def test_a_change_told_twice_is_taken_in_once(events: list[Order | Told], suppressed: list[bool]) -> None:
    now, standing = [(0, Standing()), *after(events, suppressed)][-1]
    told = Condition(standing.version + 1, True, now)
    once = on_condition(standing, told, False)
    assert on_condition(once, told, False) == once


def test_a_warning_goes_the_way_of_the_diagram() -> None:
    standing = on_condition(Standing(), Condition(1, True, 0), False)
    assert state_of(standing, 0, False) is OperatorState.ACTIVE_UNACKED
    acked = obey(standing, Order(Kind.ACKNOWLEDGE, "Li Na"), 0)
    assert isinstance(acked, Standing)
    assert state_of(acked, 0, False) is OperatorState.ACTIVE_ACKED
    assert state_of(on_condition(acked, Condition(2, False, 1), False), 1, False) is OperatorState.NORMAL
    unseen = on_condition(standing, Condition(2, False, 1), False)
    assert state_of(unseen, 1, False) is OperatorState.CLEARED_UNACKED
    seen = obey(unseen, Order(Kind.ACKNOWLEDGE, "Li Na"), 2)
    assert isinstance(seen, Standing)
    assert state_of(seen, 2, False) is OperatorState.NORMAL
    assert obey(seen, Order(Kind.ACKNOWLEDGE, "Li Na"), 3) is Refusal.NOTHING_TO_ACKNOWLEDGE


def test_what_was_raised_again_since_the_operator_looked_is_not_acknowledged() -> None:
    first = on_condition(Standing(), Condition(1, True, 0), False)
    again = on_condition(on_condition(first, Condition(2, False, 1), False), Condition(3, True, 2), False)
    assert obey(again, Order(Kind.ACKNOWLEDGE, "Li Na", expected=2), 3) is Refusal.RAISED_AGAIN
    assert isinstance(obey(again, Order(Kind.ACKNOWLEDGE, "Li Na", expected=3), 3), Standing)


def test_who_claims_a_warning_has_it_until_he_gives_it_back() -> None:
    raised = on_condition(Standing(), Condition(1, True, 0), False)
    claimed = obey(raised, Order(Kind.CLAIM, "Li Na"), 0)
    assert isinstance(claimed, Standing)
    assert obey(claimed, Order(Kind.CLAIM, "Wang Wei"), 0) is Refusal.CLAIMED
    given_back = obey(claimed, Order(Kind.UNCLAIM, "Wang Wei"), 0)
    assert isinstance(given_back, Standing)
    assert isinstance(obey(given_back, Order(Kind.CLAIM, "Wang Wei"), 0), Standing)


def test_a_shelf_lasts_a_week_at_most_and_reminds_once() -> None:
    def shelve(until: int) -> Standing | Refusal:
        return obey(Standing(), Order(Kind.SHELVE, "Li Na", "noise", until=until, remind_at=5), 1)

    assert shelve(1) is Refusal.EXPIRED
    assert shelve(2 + SHELF_LONGEST_MS) is Refusal.TOO_LONG
    standing = shelve(10)
    assert isinstance(standing, Standing)
    assert due_at(standing) == 5
    assert reminded(standing, 4) == standing
    after_it = reminded(standing, 5)
    assert due_at(after_it) == 10
    assert reminded(after_it, 6) == after_it
    assert expired(after_it, 10).shelf is None


def test_what_rises_and_clears_under_maintenance_leaves_nothing_to_acknowledge() -> None:
    raised = on_condition(Standing(), Condition(1, True, 0), True)
    assert state_of(raised, 0, True) is OperatorState.SUPPRESSED
    assert state_of(raised, 0, False) is OperatorState.ACTIVE_UNACKED  # maintenance ends, it still holds
    assert state_of(on_condition(raised, Condition(2, False, 1), True), 1, False) is OperatorState.NORMAL


# Maintenance windows


def ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


WEEKEND = Suppression(
    "w",
    ("site:a-*",),
    (),
    ms("2026-11-07T22:00+08:00"),
    ms("2026-11-08T02:00+08:00"),
    "FREQ=WEEKLY;BYDAY=SA,SU",
)


def test_a_recurring_window_opens_and_closes_on_local_days() -> None:
    for at, in_force in (
        ("2026-11-07T21:59+08:00", False),
        ("2026-11-07T22:00+08:00", True),
        ("2026-11-08T01:59+08:00", True),
        ("2026-11-08T02:00+08:00", False),
        ("2026-11-08T22:30+08:00", True),
        ("2026-11-09T22:30+08:00", False),
        ("2027-11-06T23:00+08:00", True),
    ):
        assert WEEKEND.is_in_force(ms(at)) is in_force, at


recurrences = st.sampled_from(
    [None, "FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,FR", "FREQ=WEEKLY;INTERVAL=3", "FREQ=MONTHLY;BYDAY=2SU",
     "FREQ=DAILY;COUNT=3",
     "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=MONTHLY", "FREQ=DAILY;INTERVAL=5;UNTIL=20240301T000000Z"]
)  # fmt: skip


@given(recurrences, st.integers(1, 72), st.integers(-48, 24 * 90))
def test_a_window_never_opens_or_closes_before_the_time_it_says_to_look_again(
    recurrence: str | None, hours: int, ahead: int
) -> None:
    start = ms("2024-01-31T20:00+08:00")
    window = Suppression("w", (), ("pace",), start, start + hours * HOUR_MS, recurrence)
    now = start + ahead * HOUR_MS
    look = window.changes_at(now)
    until = now + 60 * DAY_MS if look is None else look
    assert look is None or look > now
    inside = [now + n * HOUR_MS for n in range(min(200, (until - now) // HOUR_MS))]
    assert {window.is_in_force(at) for at in inside} <= {window.is_in_force(now)}
    assert window.is_over(now) == (look is None)


def test_a_suppression_covers_its_entities_and_rules_only() -> None:
    assert WEEKEND.covers("site:a-7", "pace")
    assert not WEEKEND.covers("site:b-7", "pace")
    always = Suppression("r", (), ("pace",), None, None, None)
    assert always.is_in_force(0)
    assert always.changes_at(0) is None
    assert suppressing([WEEKEND, always], "site:a-7", "pace") == "maintenance:w"
    assert suppressing([WEEKEND, always], "site:b-7", "plan-to-date") is None


@given(st.dates(date(2000, 1, 1), date(2999, 12, 31)), st.times())
def test_a_recurrence_may_last_until_any_second(day: date, at: time) -> None:
    recurrence = f"FREQ=DAILY;UNTIL={day:%Y%m%d}T{at:%H%M%S}Z"
    window = {"start": "2026-11-07T22:00:00+08:00", "end": "2026-11-07T23:00:00+08:00"}
    assert (
        Calendar.model_validate({"rules": ["pace"], "recurrence": recurrence, **window}).recurrence
        == recurrence
    )


@pytest.mark.parametrize(
    "until", ["20260230T000000Z", "20261301T000000Z", "20261231T240000Z", "20261231T236000Z"]
)
def test_a_recurrence_until_no_date_and_time_is_refused(until: str) -> None:
    window = {"start": "2026-11-07T22:00:00+08:00", "end": "2026-11-07T23:00:00+08:00"}
    with pytest.raises(ValidationError, match="no date and time"):
        Calendar.model_validate({"rules": ["pace"], "recurrence": f"FREQ=DAILY;UNTIL={until}", **window})


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": ["pace"], "recurrence": "FREQ=DAILY"},
        {"rules": ["pace"], "start": "2026-11-07T22:00:00+08:00"},
        {"rules": ["pace"], "start": "2026-11-07T22:00:00+08:00", "end": "2026-11-07T21:00:00+08:00"},
        {},
        {"entities": ["*"]},
        {"rules": ["pace"], "start": "2026-11-07T22:00:00+08:00", "end": "2026-11-07T23:00:00+08:00",
         "recurrence": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"},
    ],
)  # fmt: skip
def test_a_calendar_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Calendar.model_validate(wrong)


@pytest.mark.parametrize(
    ("told", "known", "class_", "priority"),
    [("low", 1, 1, 3), ("high", None, 3, 1), (None, 3, 1, 3), (None, None, 1, 1), (None, None, 3, 3)],
)
def test_priority_is_the_rules_then_what_it_was_then_that_of_the_class(
    told: str | None, known: int | None, class_: int, priority: int
) -> None:
    assert priority_of(told, known, class_) == priority
