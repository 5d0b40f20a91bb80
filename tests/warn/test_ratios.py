"""Intensities and change rates, against the same thing computed with fractions."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors.warning_rules import packaged_definitions
from carbonstream.processors.indicators import INDICATORS, Against, reference_period
from carbonstream.processors.ratios import ValueAdded, comparisons, months_of, ratio_transitions
from carbonstream.processors.warnings import State
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS
from carbonstream.schemas.warning_rules import RuleKind

RULES = {d.kind: d for d in packaged_definitions()}
QUARTER = (31, 28, 31)  # days of the first quarter of 2023
FIRST = date(2023, 1, 1)
amounts = st.lists(st.decimals(0, 10**6, places=3), min_size=90, max_size=90)
values = st.lists(st.decimals(Decimal("0.01"), 10**6, places=2), min_size=3, max_size=3)


def told(values: list[Decimal], unit: str = "1e4CNY@2020", first: date = FIRST) -> dict[date, ValueAdded]:
    months = [date(first.year, first.month + i, 1) for i in range(len(values))]
    return {m: ValueAdded(m, v, unit, False, 0) for m, v in zip(months, values, strict=True)}


@given(amounts, values, st.decimals(Decimal("0.001"), 10**4, places=3))
def test_an_intensity_is_active_above_its_target_and_clears_below_98_per_cent(
    daily: list[Decimal], value_added: list[Decimal], limit: Decimal
) -> None:
    months = months_of(FIRST, 90, 90, daily, told(value_added), 2020)
    found = {
        t.bucket // DAY_MS: t.state
        for t in ratio_transitions(comparisons(months, None), limit, RULES[RuleKind.INTENSITY], 0)
    }
    state, end = State.CLEARED, 0
    for n, days in enumerate(QUARTER):
        end += days
        intensity = sum(map(Fraction, daily[:end])) / sum(map(Fraction, value_added[: n + 1]))
        before = state
        if intensity > limit:
            state = State.ACTIVE
        elif intensity < Fraction(limit) * 98 / 100:
            state = State.CLEARED
        assert found.pop(end - 1, None) == (None if state is before else state)
    assert not found


@given(amounts, amounts, values, values, st.decimals(-50, 50, places=1))
def test_a_change_rate_is_active_above_its_target(
    daily: list[Decimal], daily_before: list[Decimal], now: list[Decimal], then: list[Decimal], limit: Decimal
) -> None:
    daily_before = [Decimal(1), *daily_before[1:]]
    before = months_of(date(2022, 1, 1), 90, 90, daily_before, told(then, first=date(2022, 1, 1)), 2020)
    compared = comparisons(months_of(FIRST, 90, 90, daily, told(now), 2020), before)
    found = {
        t.bucket // DAY_MS: t.state
        for t in ratio_transitions(compared, limit, RULES[RuleKind.CHANGE_RATE], 0)
    }
    state, end = State.CLEARED, 0
    for n, days in enumerate(QUARTER):
        end += days
        intensity = sum(map(Fraction, daily[:end])) / sum(map(Fraction, now[: n + 1]))
        other = sum(map(Fraction, daily_before[:end])) / sum(map(Fraction, then[: n + 1]))
        standing = state
        state = State.ACTIVE if (intensity / other - 1) * 100 > limit else State.CLEARED
        assert found.get(end - 1) == (None if state is standing else state)


@given(amounts, values, st.integers(0, 90))
def test_what_is_judged_of_a_month_does_not_depend_on_later_ones(
    daily: list[Decimal], value_added: list[Decimal], closed: int
) -> None:
    whole = comparisons(months_of(FIRST, 90, 90, daily, told(value_added), 2020), None)
    part = comparisons(months_of(FIRST, 90, closed, daily, told(value_added), 2020), None)
    assert part == [c for c in whole if c.end <= closed]


def test_a_month_without_its_value_added_ends_what_is_judged() -> None:
    daily = [Decimal(1)] * 90
    some = told([Decimal(1), Decimal(2), Decimal(3)])
    del some[date(2023, 2, 1)]
    assert months_of(FIRST, 90, 90, daily, some, 2020).ends == (31,)


def test_prices_of_different_years_are_never_mixed_and_units_are_converted() -> None:
    daily = [Decimal(1)] * 90
    for unit, values in (("1e4CNY@2015", 0), ("1e4CNY", 0), ("tons@2020", 0), ("1e8CNY@2020", 3)):
        found = months_of(FIRST, 90, 90, daily, told([Decimal(1)] * 3, unit), 2020)
        assert len(found.ends) == values
    assert found.values == (Decimal(10_000),) * 3


def test_a_period_of_which_nothing_was_metered_is_compared_with_nothing() -> None:
    nothing = months_of(
        date(2022, 1, 1), 90, 90, [Decimal(0)] * 90, told([Decimal(1)] * 3, first=date(2022, 1, 1)), 2020
    )
    months = months_of(FIRST, 90, 90, [Decimal(1)] * 90, told([Decimal(1)] * 3), 2020)
    assert comparisons(months, nothing) == []


def test_a_change_is_measured_from_the_same_period_last_year_or_the_one_before() -> None:
    march = date(2024, 3, 1)
    for against, grain, first, expected in (
        (Against.LAST_YEAR, Grain.MONTH, march, date(2023, 3, 1)),
        (Against.PREVIOUS, Grain.MONTH, march, date(2024, 2, 1)),
        (Against.PREVIOUS, Grain.MONTH, date(2024, 1, 1), date(2023, 12, 1)),
        (Against.PREVIOUS, Grain.QUARTER, date(2024, 1, 1), date(2023, 10, 1)),
        (Against.PREVIOUS, Grain.YEAR, date(2024, 1, 1), date(2023, 1, 1)),
    ):
        assert reference_period(against, grain, first) == expected


def test_indicators_have_the_names_that_files_use() -> None:
    assert sorted(INDICATORS) == [
        "co2", "co2-intensity", "co2-intensity-change-last-year", "co2-intensity-change-previous",
        "energy", "energy-intensity", "energy-intensity-change-last-year", "energy-intensity-change-previous",
    ]  # fmt: skip
