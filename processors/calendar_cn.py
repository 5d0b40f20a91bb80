"""The working calendar: which days are alike.

China's public holidays move, and some Saturdays and Sundays around them are working days by the State Council's
notice of the year. Without them (`WEEKDAYS_ONLY`) a day's kind is its place in the week.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.schemas.periods import DAY_MS, OFFSET_MS

Ints = NDArray[np.int64]
Days = NDArray[np.int64]  # days since 1970-01-01
MONDAY: Final = 4  # 1970-01-05 was the first


class DayKind(IntEnum):
    """Days of one kind are reference days for each other."""

    WORKING = 0
    SATURDAY = 1
    SUNDAY = 2
    HOLIDAY = 3


@dataclass(frozen=True, slots=True)
class Calendar:
    """Exceptions to the week, in days since 1970-01-01. A day beyond what was published follows the week."""

    holidays: frozenset[int]
    workdays: frozenset[int]  # made up for: a Saturday or Sunday on which people work


WEEKDAYS_ONLY: Final = Calendar(frozenset(), frozenset())


def local_day(at_ms: Ints) -> Days:
    """Local day of each instant (UTC ms), in days since 1970-01-01."""
    return (at_ms + OFFSET_MS) // DAY_MS


def day_kinds(days: Days, calendar: Calendar) -> NDArray[np.int64]:
    """DayKind of each day, same shape. A published exception beats the week."""
    weekday = (days - MONDAY) % 7
    kinds = np.where(weekday < 5, int(DayKind.WORKING), weekday - 4)
    if calendar.holidays:
        kinds[np.isin(days, list(calendar.holidays))] = DayKind.HOLIDAY
    if calendar.workdays:
        kinds[np.isin(days, list(calendar.workdays))] = DayKind.WORKING
    return kinds


def read_calendar(text: str) -> Calendar:
    """The calendar in a CSV text of columns from, to (both inclusive), kind: holiday or workday.

    schemas/reference/holidays_cn.csv is one. Raises ValueError naming the line.
    """
    found: dict[str, set[int]] = {"holiday": set(), "workday": set()}
    rows = csv.DictReader(text.splitlines())
    for row in rows:
        try:
            first, last = (int(np.datetime64(row[name], "D").astype(np.int64)) for name in ("from", "to"))
            days = found[row["kind"]]
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"line {rows.line_num}: {error}; write from,to as 2026-01-01 and kind as holiday or workday"
            ) from error
        if last < first:
            raise ValueError(f"line {rows.line_num}: to {row['to']} is before from {row['from']}; swap them")
        days.update(range(first, last + 1))
    if both := found["holiday"] & found["workday"]:
        raise ValueError(f"{np.datetime64(min(both), 'D')} is holiday and workday; keep one")
    return Calendar(frozenset(found["holiday"]), frozenset(found["workday"]))
