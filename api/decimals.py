"""Exact decimals as text.

The rule: a quantity counts thousandths of its base unit and is written with exactly three decimals ("3.170").
CO2 and standard coal are products of a quantity and a coefficient: every digit is written, trailing zeros are
left out ("1.576758"). Never an exponent, never a rounding; who shows a figure rounds it (half-even, 3
decimals).
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

# A sum of bigints (19 digits, and 5 more for 100,000 of them) times a coefficient of up to 40 digits is exact
# in 64; beyond the precision the trap raises instead of rounding.
EXACT: Final = Context(prec=120, traps=[Inexact, InvalidOperation])
ZERO: Final = Decimal(0)
MILLI: Final = Decimal("0.001")


def plus(a: Decimal, b: Decimal) -> Decimal:
    """a + b, exact. Raises decimal.Inexact rather than round."""
    return EXACT.add(a, b)


def quantity_text(thousandths: int) -> str:
    """Thousandths of a base unit in base units: 3170 -> "3.170"."""
    sign = "-" if thousandths < 0 else ""
    whole, part = divmod(abs(thousandths), 1_000)
    return f"{sign}{whole}.{part:03d}"


def exact_text(value: Decimal) -> str:
    """Every digit, no exponent, no trailing zeros: Decimal("1.5767580") -> "1.576758"."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def optional_text(value: Decimal | None) -> str | None:
    """exact_text, where None means unknown (never zero)."""
    return None if value is None else exact_text(value)
