"""Numbers and periods as people write them in files. Each function raises ValueError with the remedy."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Final

NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)
MONTH: Final = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)
YEAR: Final = re.compile(r"\d{4}", re.ASCII)


def decimal(text: str) -> Decimal:
    """A plain decimal number, exact; no exponent, no thousands separator."""
    if not NUMBER.fullmatch(text):
        raise ValueError("write a plain decimal number such as 0.4974")
    return Decimal(text)


def not_negative(text: str) -> Decimal:
    """A decimal of zero or more."""
    value = decimal(text)
    if value < 0:
        raise ValueError("must not be negative")
    return value


def month(text: str) -> date:
    """A month as its first day."""
    found = MONTH.fullmatch(text)
    if found is None or int(found[1]) < 1970:
        raise ValueError("write a month, e.g. 2024-03")
    return date(int(found[1]), int(found[2]), 1)


def year(text: str) -> int:
    """A calendar year."""
    if not YEAR.fullmatch(text) or int(text) < 1970:
        raise ValueError("write a year, e.g. 2023")
    return int(text)
