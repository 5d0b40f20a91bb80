"""Fields of CSV files. Each function returns the value or raises ValueError with the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import date, datetime
from decimal import Decimal
from typing import Final, TypeVar

from carbonstream.processors.plain_text import MONTH, YEAR, decimal, month, year
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.shards import ID

T = TypeVar("T")
Parser = Callable[[str], T]

QUARTER: Final = re.compile(r"(\d{4})-Q([1-4])")
FLAGS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def identifier(text: str) -> str:
    """An id: no white space, no `| , ;`, at most 150 characters."""
    if not ID.fullmatch(text):
        raise ValueError("is no id: use up to 150 characters without spaces and without | , ;")
    return text


def name(text: str) -> str:
    """A name for people."""
    if len(text) > 300:
        raise ValueError("is longer than 300 characters: shorten it")
    return text


def one_of(choices: Collection[str]) -> Callable[[str], str]:
    """A parser that takes one of a few words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"take one of {', '.join(choices)}")
        return text

    return parse


def flag(text: str) -> bool:
    """true or false."""
    if text.lower() not in FLAGS:
        raise ValueError("write true or false")
    return FLAGS[text.lower()]


def positive(text: str) -> Decimal:
    """A decimal above zero."""
    value = decimal(text)
    if value <= 0:
        raise ValueError("must be above zero")
    return value


def seconds(text: str) -> int:
    """Whole seconds, at most 32 days."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 32 * 86_400:
        raise ValueError("write whole seconds, 1 to 2764800, e.g. 900 for a quarter of an hour")
    return int(text)


def instant(text: str) -> datetime:
    """ISO 8601 with an offset, to the millisecond."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError("write ISO 8601 with an offset, e.g. 2024-01-01T00:00:00+08:00")
    if at.microsecond % 1_000:
        raise ValueError("is finer than a millisecond: round it")
    return at


def local_day(text: str) -> datetime:
    """A day as the instant it begins in Asia/Shanghai."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("write a day, e.g. 2025-12-31") from None
    return start_of(day)


def start_of(day: date) -> datetime:
    """The instant a local day begins."""
    return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)


def period(text: str) -> tuple[Grain, date]:
    """A month (2024-03), quarter (2024-Q1) or year (2024) as its grain and first day."""
    if MONTH.fullmatch(text):
        return Grain.MONTH, month(text)
    quarter = QUARTER.fullmatch(text)
    if quarter is not None:
        return Grain.QUARTER, date(year(quarter[1]), 3 * int(quarter[2]) - 2, 1)
    if YEAR.fullmatch(text):
        return Grain.YEAR, date(year(text), 1, 1)
    raise ValueError("write a month 2024-03, a quarter 2024-Q1 or a year 2024")


def levels(text: str) -> list[Decimal]:
    """Warning levels in per cent, ascending, separated by semicolons."""
    found = [positive(part.strip()) for part in text.split(";")]
    if found != sorted(set(found)):
        raise ValueError("write ascending levels in per cent, e.g. 80;90;100")
    return found
