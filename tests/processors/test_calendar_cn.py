"""Days alike by the week, the public holidays and the working days made up for them."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
import pytest

from carbonstream.processors.calendar_cn import WEEKDAYS_ONLY, DayKind, day_kinds, local_day, read_calendar
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS

TEXT = (files("carbonstream.schemas") / "reference" / "holidays_cn.csv").read_text("utf-8")
CHINA = read_calendar(TEXT)
YEARS = range(2018, 2027)


def days(*dates: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(dates, "datetime64[D]").astype(np.int64)


def test_the_week_tells_working_days_saturdays_and_sundays() -> None:
    week = days("2024-01-08", "2024-01-12", "2024-01-13", "2024-01-14", "2024-01-15")
    assert day_kinds(week, WEEKDAYS_ONLY).tolist() == [0, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("date", "kind"),
    [
        ("2018-10-01", DayKind.HOLIDAY),
        ("2019-05-02", DayKind.HOLIDAY),  # by the notice of March 2019
        ("2020-01-31", DayKind.HOLIDAY),  # the extension of Spring Festival
        ("2024-02-04", DayKind.WORKING),  # a Sunday
        ("2024-02-10", DayKind.HOLIDAY),
        ("2024-10-12", DayKind.WORKING),  # a Saturday
        ("2024-10-13", DayKind.SUNDAY),
        ("2025-01-26", DayKind.WORKING),  # a Sunday
        ("2026-02-23", DayKind.HOLIDAY),
        ("2026-02-24", DayKind.WORKING),
    ],
)
def test_published_days_beat_the_week(date: str, kind: DayKind) -> None:
    assert day_kinds(days(date), CHINA).tolist() == [kind]


def test_a_year_not_yet_published_follows_the_week() -> None:
    assert day_kinds(days("2031-10-01", "2031-10-04"), CHINA).tolist() == [DayKind.WORKING, DayKind.SATURDAY]


def test_made_up_days_are_weekend_days() -> None:
    assert set(day_kinds(np.array(sorted(CHINA.workdays)), WEEKDAYS_ONLY).tolist()) == {1, 2}


@pytest.mark.parametrize("year", YEARS)
def test_days_off_less_days_made_up_are_the_statutory_ones(year: int) -> None:
    # moving rest days about neither gives nor takes any; 11 days by law, 13 from 2025, and 2020's extension of two
    off = sum(1 for d in free_weekdays(CHINA.holidays) if notice_of(d) == year)
    made_up = sum(1 for d in CHINA.workdays if notice_of(d) == year)
    assert off - made_up == (13 if year >= 2025 else 11) + EXTENDED.get(year, 0)


EXTENDED = {2020: 2}


def free_weekdays(holidays: frozenset[int]) -> list[int]:
    every = np.array(sorted(holidays))
    return [int(d) for d in every[day_kinds(every, WEEKDAYS_ONLY) == DayKind.WORKING]]


def notice_of(day: int) -> int:
    """The year whose notice moved the day: New Year's rest may begin in December."""
    date = np.datetime64(day, "D").item()
    return int(date.year + (date.month == 12))


def test_every_row_names_its_notice() -> None:
    rows = list(csv.DictReader(TEXT.splitlines()))
    assert {row["from"][:4] for row in rows} >= {str(year) for year in YEARS}
    assert all(row["source"].startswith("https://www.gov.cn/gongbao/") for row in rows)


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("2026-13-01,2026-01-01,holiday", "line 2: "),
        ("2026-01-01,2026-01-01,half", "line 2: 'half'"),
        ("2026-01-02,2026-01-01,holiday", "line 2: to 2026-01-01 is before from 2026-01-02"),
        ("2026-01-01,2026-01-03,holiday\n2026-01-03,2026-01-03,workday", "2026-01-03 is holiday and workday"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(row: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        read_calendar(f"from,to,kind\n{row}\n")


def test_a_local_day_begins_at_local_midnight() -> None:
    midnight = 19_737 * DAY_MS - OFFSET_MS
    assert local_day(np.array([midnight - 1, midnight])).tolist() == [19_736, 19_737]
