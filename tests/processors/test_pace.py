"""Rule pace against its formula computed with fractions, and what it must and must not say."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.backtest import DailySeries, summary, trials
from carbonstream.processors.calendar_cn import WEEKDAYS_ONLY, DayKind
from carbonstream.processors.pace import Pace, Paces
from carbonstream.processors.warnings import State, Transition
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, SHANGHAI, to_ms
from tests.warn import steel

MONTH = 30
amounts = st.decimals(min_value=0, max_value=1_000, places=3)


def flat(amount: str, before: int = 56, days: int = MONTH, target: str = "30") -> Pace:
    return Pace([Decimal(amount)] * before, [Decimal(amount)] * days, [0] * (before + MONTH), Decimal(target))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(amounts, min_size=56 + MONTH, max_size=56 + MONTH),
    st.decimals(min_value=1, max_value=30_000, places=2),
)
def test_transitions_are_those_of_the_formula(daily: list[Decimal], target: Decimal) -> None:
    first = date(2026, 6, 1)  # thirty days; the eight weeks before hold a public holiday
    start = datetime(2026, 6, 1, tzinfo=SHANGHAI)
    days = [first - timedelta(days=56) + timedelta(days=i) for i in range(len(daily))]
    exceptions = steel.holidays()
    kinds = [
        {"holiday": DayKind.HOLIDAY, "workday": DayKind.WORKING}.get(
            exceptions.get(day, ""), DayKind(max(day.weekday() - 4, 0))
        )
        for day in days
    ]
    noon = {
        datetime(d.year, d.month, d.day, 12, tzinfo=SHANGHAI): Fraction(a)
        for d, a in zip(days, daily, strict=True)
    }
    if not any(daily):
        return
    wanted = steel.pace("x", noon, Fraction(1), Fraction(target), start, MONTH, days[-1])
    found = Pace(daily[:56], daily[56:], kinds, target).transitions(to_ms(start))
    assert [(t.state.value, t.bucket) for t in found] == [(state, to_ms(at)) for _, _, state, at in wanted]


@given(st.lists(amounts, min_size=56 + MONTH, max_size=56 + MONTH), st.integers(0, MONTH))
@settings(max_examples=40, deadline=None)
def test_a_days_outcome_does_not_depend_on_later_days(daily: list[Decimal], closed: int) -> None:
    kinds = [max((i % 7) - 4, 0) for i in range(len(daily))]
    target = Decimal(sum(daily[56:])) * Decimal("0.9") + 1
    whole = Pace(daily[:56], daily[56:], kinds, target).transitions(0)
    part = Pace(daily[:56], daily[56 : 56 + closed], kinds, target).transitions(0)
    assert part == tuple(t for t in whole if t.bucket < closed * DAY_MS)


@given(
    st.lists(amounts, min_size=56 + MONTH, max_size=56 + MONTH),
    st.lists(st.tuples(st.integers(0, MONTH), st.integers(0, 55 + MONTH), amounts), max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_what_was_found_before_changes_no_outcome(
    daily: list[Decimal], steps: list[tuple[int, int, Decimal]]
) -> None:
    kinds = [max((i % 7) - 4, 0) for i in range(len(daily))]
    target = Decimal(sum(daily[56:])) * Decimal("0.9") + 1
    paces = Paces()
    for closed, changed, amount in steps:
        daily[changed] = amount
        pace = Pace(daily[:56], daily[56 : 56 + closed], kinds, target)
        assert paces.transitions("target", pace, 0) == pace.transitions(0)


@given(st.lists(amounts, min_size=56 + MONTH, max_size=56 + MONTH), st.integers(0, MONTH - 1))
@settings(max_examples=40, deadline=None)
def test_the_forecast_lies_in_its_band_and_its_dates_in_order(daily: list[Decimal], day: int) -> None:
    forecast = Pace(daily[:56], daily[56:], [0] * len(daily), Decimal(sum(daily[56:])) + 1).at_end_of(day)
    if forecast is None:
        assert not any(daily[: 57 + day])
        return
    assert forecast.used <= forecast.low <= forecast.total <= forecast.high
    assert len(forecast.known) <= 57 + day
    last = MONTH + 1
    dates = [d if d is not None else last for d in (forecast.earliest, forecast.exhausted, forecast.latest)]
    assert dates == sorted(dates)


def test_a_steady_load_above_its_target_is_told_on_the_first_day_with_its_date() -> None:
    pace = flat("1.25")  # 30 are reached on the 24th day
    assert pace.transitions(0) == (Transition(State.ACTIVE, 0),)
    forecast = pace.at_end_of(0)
    assert forecast is not None
    assert (forecast.earliest, forecast.exhausted, forecast.latest) == (23, 23, 23)
    assert forecast.total == Decimal("37.5")


def test_a_steady_load_that_uses_its_target_up_exactly_is_not_told() -> None:
    assert flat("1").transitions(0) == ()


def test_without_earlier_days_it_looks_no_further_ahead_than_it_looked_back() -> None:
    # 30 are reached with the 25th day: twelve known days are not enough for the thirteen to come
    assert flat("1.2", before=0).transitions(0) == (Transition(State.ACTIVE, 12 * DAY_MS),)


def test_days_before_the_first_reading_are_not_days_of_rest() -> None:
    daily = [Decimal("1.2")] * MONTH
    idle = Pace([Decimal(0)] * 56, daily, [0] * (56 + MONTH), Decimal(30))
    assert idle.transitions(0) == flat("1.2", before=0).transitions(0)


def test_it_clears_below_98_per_cent_and_holds_between() -> None:
    def last(amount: str) -> State:
        daily = [Decimal("1.25")] * 10 + [Decimal(amount)] * 10
        pace = Pace([Decimal("1.25")] * 56, daily, [0] * (56 + MONTH), Decimal(30))
        return pace.transitions(0)[-1].state

    assert last("0.5") is State.CLEARED
    assert last("0.9") is State.ACTIVE


def test_a_period_that_ends_below_its_target_ends_cleared() -> None:
    daily = [Decimal("1.25")] * 20 + [Decimal("0.49")] * 10  # 29.9 of 30
    pace = Pace([Decimal("1.25")] * 56, daily, [0] * (56 + MONTH), Decimal(30))
    assert pace.transitions(0)[-1].state is State.CLEARED


def test_a_plant_that_rests_at_weekends_is_not_foreseen_to_work_on_them() -> None:
    kinds = [max((i % 7) - 4, 0) for i in range(56 + 28)]
    daily = [Decimal(0 if kind else 1) for kind in kinds]
    working = sum(daily[56:])  # 20 of 28 days
    assert Pace(daily[:56], daily[56:], kinds, working + Decimal("0.5")).transitions(0) == ()


def test_what_is_used_up_is_left_to_the_levels() -> None:
    pace = flat("1.25")
    assert pace.at_end_of(22) is not None
    assert pace.at_end_of(23) is None
    assert flat("0").at_end_of(5) is None


def test_a_steady_year_is_warned_of_in_every_period_and_gives_no_false_alarm() -> None:
    start = to_ms(datetime(2023, 1, 1, tzinfo=SHANGHAI))
    series = DailySeries("S/1", start, [Decimal(24)] * 365)
    months = summary(trials(series, Grain.MONTH, WEEKDAYS_ONLY))
    assert (months["exceeded"], months["warned"], months["kept"], months["false_alarms"]) == (12, 12, 12, 0)
    assert months["days_ahead_min"] == 13  # of January: its first weeks teach what is usual
    year = summary(trials(series, Grain.YEAR, WEEKDAYS_ONLY))
    assert (year["exceeded"], year["warned"], year["false_alarms"]) == (1, 1, 0)
    assert year["days_ahead_median"] > 150


def test_only_periods_that_are_covered_are_tried() -> None:
    start = to_ms(datetime(2023, 1, 2, tzinfo=SHANGHAI))
    series = DailySeries("S/1", start, [Decimal(1)] * 363)
    assert len(trials(series, Grain.MONTH, WEEKDAYS_ONLY)) == 10
    assert trials(series, Grain.YEAR, WEEKDAYS_ONLY) == []
    assert summary([])["days_ahead_median"] is None
