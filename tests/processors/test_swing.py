"""A day against the days like it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.processors.calendar_cn import WEEKDAYS_ONLY, day_kinds
from carbonstream.processors.consistency import Counts, Figures, Measure, measures
from carbonstream.processors.swing import LIKE_DAYS, LOOK_BACK_DAYS, Swing, days_alike

NATION, ENTERPRISE, SITE = 1, 2, 3


def number(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days


def measured(swing: Swing) -> Measure:
    day = Figures({SITE: Counts()}, [], [], [], {SITE: [ENTERPRISE]}, NATION, swings={ENTERPRISE: swing})
    return next(m for m in measures(day) if (m.entity, m.indicator.id) == (ENTERPRISE, "swing"))


@pytest.mark.parametrize(
    ("total", "value", "met"),
    [
        (1_000, "0.0000", True),
        (1_050, "5.0000", True),
        (1_051, "5.1000", False),
        (949, "5.1000", False),
        (0, "100.0000", False),
    ],
)
def test_a_swing_is_the_distance_from_the_mean_of_days_alike(total: int, value: str, met: bool) -> None:
    found = measured(Swing(total, 4_000, 4))
    assert (str(found.value), found.met) == (value, met)
    assert not found.warns(closed=True)  # shown, never a warning


@pytest.mark.parametrize("swing", [Swing(5, 3_000, 3), Swing(5, 0, 4)])
def test_without_history_there_is_nothing_to_judge(swing: Swing) -> None:
    assert measured(swing).met is None


def test_a_holiday_is_compared_with_no_working_day() -> None:
    monday = number("2026-03-02")
    assert days_alike(monday, packaged_calendar()) == [number(d) for d in (
        "2026-02-28", "2026-02-27", "2026-02-26", "2026-02-25"
    )]  # the Saturday before was a working day, made up for the Spring Festival  # fmt: skip
    assert days_alike(monday, WEEKDAYS_ONLY)[0] == number("2026-02-27")


@given(st.integers(15_000, 25_000))
def test_days_alike_are_of_the_days_kind_and_before_it(day: int) -> None:
    found = days_alike(day, WEEKDAYS_ONLY)
    assert len(found) == LIKE_DAYS
    assert all(day - LOOK_BACK_DAYS <= other < day for other in found)
    kinds = day_kinds(np.array([day, *found]), WEEKDAYS_ONLY)
    assert len(set(kinds.tolist())) == 1
