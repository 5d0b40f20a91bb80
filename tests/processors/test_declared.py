"""Declared amounts: used = opening + purchases - closing, and not a gram is lost over the days."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.declared import MAX_DAYS, by_days, by_stock, in_thousandths
from carbonstream.processors.judged import MAX_QUANTITY
from carbonstream.schemas.carriers import CARRIER_BY_ID

COAL = CARRIER_BY_ID["raw_coal"]


@given(st.integers(0, MAX_QUANTITY), st.dates(date(2000, 1, 1), date(2099, 1, 1)), st.integers(1, MAX_DAYS))
def test_the_days_sum_to_the_amount_and_differ_by_one_at_most(amount: int, first: date, days: int) -> None:
    found = by_days(amount, first, first + timedelta(days=days - 1))
    assert [day for day, _ in found] == [first + timedelta(days=i) for i in range(days)]
    shares = [share for _, share in found]
    assert sum(shares) == amount
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)
    assert all(
        round(share / 1_000 * 1e3) == share for share in shares
    )  # what convert makes of the frame's value


def test_stock_gives_what_was_used() -> None:
    assert by_stock(Decimal("120.5"), Decimal(300), Decimal("80.25")) == Decimal("340.25")
    with pytest.raises(ValueError, match="by 1"):
        by_stock(Decimal(1), Decimal(2), Decimal(4))


def test_an_amount_is_exact_or_refused() -> None:
    assert in_thousandths(Decimal("340.25"), "t", COAL) == 340_250_000
    for amount, unit, remedy in (("0.0001", "g", "finer"), ("1", "kWh", "kg"), ("1e20", "t", "beyond")):
        with pytest.raises(ValueError, match=remedy):
            in_thousandths(Decimal(amount), unit, COAL)
