"""Estimates of missing intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.processors.calendar_cn import WEEKDAYS_ONLY, Calendar, day_kinds, local_day
from carbonstream.processors.estimation import Estimate, Gap, Past, estimate_gap, split_register_gap
from carbonstream.schemas.codes import Quality
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, OFFSET_MS

Ints = NDArray[np.int64]
MONDAY_MS = 19_723 * DAY_MS - OFFSET_MS  # 2024-01-01, local midnight
STEPS = st.sampled_from([10 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS])
WEEKS = 6
CHINA = packaged_calendar()


def ends(step: int, days: int = 7 * WEEKS, start: int = MONDAY_MS) -> Ints:
    return np.asarray(start + np.arange(1, days * DAY_MS // step + 1) * step, np.int64)


def loads(seed: int, step: int, largest: int = 10**6) -> Ints:
    return np.random.default_rng(seed).integers(0, largest, len(ends(step)))


def estimated(
    quantity: Ints,
    step: int,
    first: int,
    count: int,
    calendar: Calendar = WEEKDAYS_ONLY,
    *,
    open_: bool = False,
) -> Estimate:
    """The estimate of `count` intervals from position `first` on; the gap lasts if it is `open_`."""
    end = ends(step, len(quantity) * step // DAY_MS)
    gap = Gap(int(end[first]) - step, count, step)
    after = None if open_ else int(quantity[first + count])
    found = estimate_gap(Past(end[:first], quantity[:first]), gap, after, calendar)
    assert found is not None
    assert len(found.quantity) == count
    return found


GAPS = st.tuples(st.floats(0.2, 0.95), st.integers(1, 30 * HOUR_MS // MINUTE_MS))


def placed(gap: tuple[float, int], step: int) -> tuple[int, int]:
    """Position and length in intervals of a gap drawn as (share of the series, minutes)."""
    length = len(ends(step))
    count = max(gap[1] * MINUTE_MS // step, 1)
    return min(int(gap[0] * length), length - count - 1), count


@settings(deadline=None)
@given(st.integers(0, 2**32), STEPS, GAPS, st.booleans())
def test_estimates_are_never_negative_and_their_quality_says_how(
    seed: int, step: int, gap: tuple[float, int], open_: bool
) -> None:
    first, count = placed(gap, step)
    found = estimated(loads(seed, step), step, first, count, open_=open_)
    assert (found.quantity >= 0).all()
    linear = count * step <= 2 * HOUR_MS and not open_
    assert found.quality == (Quality.INTERPOLATED if linear else Quality.REFERENCE_DAY)


@settings(deadline=None)
@given(st.integers(0, 2**32), STEPS, GAPS)
def test_the_order_of_the_past_and_what_comes_later_change_nothing(
    seed: int, step: int, gap: tuple[float, int]
) -> None:
    first, count = placed(gap, step)
    quantity, end = loads(seed, step), ends(step)
    shuffled = np.random.default_rng(seed).permutation(len(end))
    found = estimate_gap(
        Past(end[shuffled], quantity[shuffled]),
        Gap(int(end[first]) - step, count, step),
        int(quantity[first + count]),
        WEEKDAYS_ONLY,
    )
    assert found is not None
    assert (found.quantity == estimated(quantity, step, first, count).quantity).all()


@settings(deadline=None)
@given(st.integers(0, 2**32), STEPS, GAPS, st.integers(2, 1_000))
def test_a_multiple_of_all_readings_gives_that_multiple(
    seed: int, step: int, gap: tuple[float, int], times: int
) -> None:
    first, count = placed(gap, step)
    quantity = loads(seed, step)
    one, many = (estimated(q, step, first, count).quantity for q in (quantity, quantity * times))
    assert np.abs(many - one * times).max() <= times / 2 + 1


@settings(deadline=None)
@given(
    st.integers(0, 2**32),
    STEPS,
    st.floats(0.4, 0.9),
    st.integers(2 * HOUR_MS // MINUTE_MS + 60, 3 * DAY_MS // MINUTE_MS),
    st.booleans(),
)
def test_a_gap_in_a_week_that_repeats_itself_is_filled_exactly(
    seed: int, step: int, place: float, minutes: int, open_: bool
) -> None:
    profiles = np.random.default_rng(seed).integers(0, 10**9, (3, DAY_MS // step))
    start = ends(step) - step
    quantity = profiles[day_kinds(local_day(start), WEEKDAYS_ONLY), (start + OFFSET_MS) % DAY_MS // step]
    first, count = placed((place, minutes), step)
    found = estimated(quantity, step, first, count, open_=open_)
    assert (found.quantity == quantity[first : first + count]).all()


def test_up_to_two_hours_lie_on_the_line_between_the_neighbours() -> None:
    quantity = np.full(len(ends(HOUR_MS)), 7_000)
    quantity[499], quantity[502] = 1_000, 4_000
    assert estimated(quantity, HOUR_MS, 500, 2).quantity.tolist() == [2_000, 3_000]


def test_while_a_gap_lasts_like_days_tell_what_one_neighbour_cannot() -> None:
    hour = np.arange(len(ends(HOUR_MS))) % 24
    quantity = np.where((hour >= 8) & (hour < 18), 90_000, 10_000)
    found = estimated(quantity, HOUR_MS, 30 * 24 + 17, 2, open_=True)
    assert found.quantity.tolist() == [90_000, 10_000]
    assert found.quality is Quality.REFERENCE_DAY


def test_while_a_gap_lasts_and_no_like_day_is_known_the_last_value_holds() -> None:
    found = estimated(np.full(48, 7_000), HOUR_MS, 10, 2, open_=True)
    assert found == Estimate(found.quantity, Quality.INTERPOLATED)
    assert found.quantity.tolist() == [7_000, 7_000]


def test_without_a_reference_day_a_long_gap_is_interpolated_and_says_so() -> None:
    found = estimated(np.arange(48) * 1_000, HOUR_MS, 20, 10)
    assert found == Estimate(found.quantity, Quality.INTERPOLATED)
    assert found.quantity.tolist() == [k * 1_000 for k in range(20, 30)]


def test_intervals_that_do_not_divide_a_day_have_no_reference_day() -> None:
    end = MONDAY_MS + np.arange(1, 61) * 7 * HOUR_MS
    past = Past(end[:50], np.full(50, 5_000))
    found = estimate_gap(past, Gap(int(end[49]), 3, 7 * HOUR_MS), 9_000, WEEKDAYS_ONLY)
    assert found is not None
    assert found.quality is Quality.INTERPOLATED
    assert found.quantity.tolist() == [6_000, 7_000, 8_000]


def test_with_nothing_known_there_is_no_estimate() -> None:
    nothing = Past(np.empty(0, np.int64), np.empty(0, np.int64))
    assert estimate_gap(nothing, Gap(MONDAY_MS, 4, HOUR_MS), None, WEEKDAYS_ONLY) is None


def office(step: int, days: int) -> Ints:
    """100 kWh an interval from 8 to 18 on China's working days, else 10; from 2024-01-01 on."""
    start = ends(step, days) - step
    hour = (start + OFFSET_MS) % DAY_MS // HOUR_MS
    busy = (day_kinds(local_day(start), CHINA) == 0) & (hour >= 8) & (hour < 18)
    return np.where(busy, 100_000, 10_000)


@pytest.mark.parametrize(
    ("day", "what"), [(34, "a Sunday made up for"), (41, "a holiday's Sunday"), (94, "Qingming")]
)
def test_the_chinese_calendar_says_which_days_are_alike(day: int, what: str) -> None:
    step = 15 * MINUTE_MS
    quantity = office(step, 120)
    morning = slice(day * 96 + 36, day * 96 + 56)  # 09:00 to 14:00
    found = estimated(quantity, step, morning.start, 20, CHINA)
    assert found.quantity.tolist() == quantity[morning].tolist(), what


def test_the_day_so_far_moves_the_reference_day() -> None:
    step = 15 * MINUTE_MS
    start = ends(step) - step
    noise = np.random.default_rng(1).normal(0, 0.15, 7 * WEEKS)
    daily = 10_000 + 8_000 * np.sin((start + OFFSET_MS) % DAY_MS / DAY_MS * np.pi)
    quantity = np.rint(daily * (1 + noise[np.arange(len(start)) // 96])).astype(np.int64)
    first = 40 * 96 + 40
    true = quantity[first : first + 16].sum()
    plain = daily[first : first + 16].sum()
    apart = abs(int(estimated(quantity, step, first, 16).quantity.sum()) - true)
    assert apart < 0.25 * abs(plain - true)


def test_a_meter_to_which_weekends_mean_nothing_is_told_from_any_day() -> None:
    # the level changed a week ago: only days of any kind show enough of the new one
    step = HOUR_MS
    quantity = np.where(np.arange(len(ends(step))) // 24 < 30, 5_000, 20_000)
    found = estimated(quantity, step, 40 * 24 + 6, 12)
    assert np.abs(found.quantity - 20_000).max() <= 200


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**15), min_size=1, max_size=200))
def test_a_registers_difference_is_split_to_the_last_unit_and_in_proportion(
    total: int, weights: list[int]
) -> None:
    parts = split_register_gap(total, np.array(weights, np.int64)).tolist()
    assert sum(parts) == total
    assert min(parts) >= 0
    whole = sum(weights)
    if whole:
        assert all(abs(p * whole - total * w) < whole for p, w in zip(parts, weights, strict=True))
    else:
        assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (1, []), (1, [2, -1])])
def test_a_register_that_runs_backwards_is_not_split(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="negative"):
        split_register_gap(total, np.array(weights, np.int64))
