"""The two rules, against the same thing computed with fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.phasing import Part, equal_parts, planned_by
from carbonstream.processors.warnings import State, Transition
from carbonstream.processors.warnings_levels import crossing_day, crossing_hour, threshold
from carbonstream.processors.warnings_plan import plan_by, plan_transitions
from carbonstream.schemas.periods import DAY_MS, HOUR_MS

amounts = st.decimals(min_value=0, max_value=10**9, places=12)
positive = st.decimals(min_value=Decimal("0.001"), max_value=10**9, places=6)
series = st.lists(amounts, max_size=31)


@given(series, positive)
def test_plan_to_date_is_active_above_the_plan_and_clears_below_98_per_cent(
    daily: list[Decimal], target: Decimal
) -> None:
    found = {t.bucket // DAY_MS: t.state for t in plan_transitions(daily, equal_parts(target, 31), 0)}
    state, total = State.CLEARED, Fraction(0)
    for day, amount in enumerate(daily):
        total += Fraction(amount)
        share = total / (Fraction(target) * (day + 1) / 31)
        before = state
        if share > 1:
            state = State.ACTIVE
        elif share < Fraction(98, 100):
            state = State.CLEARED
        assert found.get(day) == (None if state is before else state)


@given(series, positive, st.integers(min_value=0, max_value=31))
def test_a_days_outcome_does_not_depend_on_later_days(
    daily: list[Decimal], target: Decimal, days: int
) -> None:
    all_ = plan_transitions(daily, equal_parts(target, 31), 0)
    assert plan_transitions(daily[:days], equal_parts(target, 31), 0) == tuple(
        t for t in all_ if t.bucket < days * DAY_MS
    )


def test_a_total_exactly_on_its_plan_is_not_above_it() -> None:
    assert plan_transitions([Decimal(1)] * 3, equal_parts(Decimal(30), 30), 0) == ()


def test_the_deadband_holds_a_warning_between_98_and_100_per_cent() -> None:
    daily = [
        Decimal("1.01"),
        Decimal("0.98"),
        Decimal("0.9499"),
        Decimal("0.98"),
    ]  # 101, 99.5, 97.99, 97.99 %
    assert plan_transitions(daily, equal_parts(Decimal(30), 30), 0) == (
        Transition(State.ACTIVE, 0),
        Transition(State.CLEARED, 2 * DAY_MS),
    )


def test_the_plan_is_shown_with_six_decimals() -> None:
    assert plan_by(equal_parts(Decimal(40_000), 31), 6) == Decimal("9032.258065")


@given(st.lists(st.lists(amounts, min_size=24, max_size=24), min_size=1, max_size=5), positive, positive)
def test_a_level_is_reached_in_the_first_hour_whose_sum_reaches_it(
    hours: list[list[Decimal]], target: Decimal, level: Decimal
) -> None:
    limit = threshold(target, level)
    assert Fraction(limit) == Fraction(target) * Fraction(level) / 100
    daily = [sum(map(Fraction, day), Fraction(0)) for day in hours]
    exact = [Decimal(d.numerator * 10**12 // d.denominator).scaleb(-12) for d in daily]
    crossing = crossing_day(exact, limit)
    total, first = Fraction(0), None
    for n, amount in enumerate(amount for day in hours for amount in day):
        total += Fraction(amount)
        if total >= Fraction(limit):
            first = n
            break
    if crossing is None:
        assert first is None
        return
    by_hour = {h * HOUR_MS: amount for h, amount in enumerate(hours[crossing.day])}
    found = crossing_hour(by_hour, crossing.before, limit)
    assert found is not None
    assert first == crossing.day * 24 + found // HOUR_MS


def test_hours_that_are_kept_no_longer_give_no_hour() -> None:
    assert crossing_hour({}, Decimal(5), Decimal(6)) is None


def test_a_phased_plan_is_compared_part_by_part() -> None:
    parts = (Part(2, Decimal(10)), Part(2, Decimal(2)))  # 5 a day, then 1 a day
    daily = [Decimal(5), Decimal(5), Decimal("1.5"), Decimal("0.1")]
    assert [plan_by(parts, day) for day in range(4)] == [Decimal(n) for n in (5, 10, 11, 12)]
    assert plan_transitions(daily, parts, 0) == (
        Transition(State.ACTIVE, 2 * DAY_MS),
        Transition(State.CLEARED, 3 * DAY_MS),
    )


@given(positive, st.integers(1, 400), st.data())
def test_equal_phases_are_no_phases(target: Decimal, days: int, data: st.DataObject) -> None:
    day, cut = data.draw(st.integers(0, days - 1)), data.draw(st.integers(0, days))
    whole, of = planned_by(equal_parts(target * days, days), day)
    cuts = [Part(n, target * n) for n in (cut, days - cut) if n]
    part, over = planned_by(cuts, day)
    assert Fraction(whole) / of == Fraction(part) / over
