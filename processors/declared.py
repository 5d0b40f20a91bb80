"""Declared amounts: what was used in a period by stock (opening + purchases - closing), and its share of each day."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from carbonstream.processors.judged import MAX_QUANTITY
from carbonstream.processors.total_records import EXACT
from carbonstream.schemas.carriers import THOUSANDTHS, Carrier

MAX_DAYS: Final = 366  # one frame holds a year of days


def by_stock(opening: Decimal, purchases: Decimal, closing: Decimal) -> Decimal:
    """What was used. Raises ValueError where more is left than there was."""
    used = EXACT.subtract(EXACT.add(opening, purchases), closing)
    if used < 0:
        raise ValueError(f"is more than opening and purchases together by {-used}: correct one of the three")
    return used


def in_thousandths(amount: Decimal, unit: str, carrier: Carrier) -> int:
    """An amount in thousandths of the carrier's base unit, exact. Raises ValueError with the remedy."""
    base, scale = THOUSANDTHS[unit]
    if base is not carrier.base_unit:
        fitting = ", ".join(u for u, (b, _) in THOUSANDTHS.items() if b is carrier.base_unit)
        raise ValueError(f"does not measure {carrier.id}: take one of {fitting}")
    exact = EXACT.multiply(amount, Decimal(str(scale)))
    if exact != int(exact):
        raise ValueError(f"gives an amount finer than a thousandth of a {base}: round the amount")
    if exact > MAX_QUANTITY:
        raise ValueError("gives an amount beyond 10^10 base units: check the unit")
    return int(exact)


def by_days(thousandths: int, first: date, last: date) -> list[tuple[date, int]]:
    """The amount over the days of its period, all alike but for the remainder, which the first days take one each
    (largest remainder; all remainders of equal days are equal). The sum is `thousandths`.
    """
    days = (last - first).days + 1
    share, rest = divmod(thousandths, days)
    return [(first + timedelta(days=i), share + (i < rest)) for i in range(days)]
