"""Totals as carbon.totals carries them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.total_records import Known, Part, estimated_share, total_record
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import HOUR_MS
from carbonstream.schemas.totals import Total

AT = 1_735_693_200_000
QUANTITIES = st.dictionaries(
    st.sampled_from([1, 2, 10]), st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)), min_size=1
)


def part(**changes: object) -> Part:
    return Part(
        7, 1, 4, Decimal(8_000), Decimal(0), Decimal("3.9792"), Decimal("0.98"), 1, "2023-01"
    )._replace(
        **changes  # type: ignore[arg-type]
    )


def record(*parts: Part, expected: int = 4, tick: int = AT + HOUR_MS) -> Total:
    known = Known(expected, 1.0, None, tick, AT)
    return Total.model_validate(total_record("site:a", Grain.HOUR, AT, parts, known))


def test_a_total_that_is_over_complete_and_measured_is_final() -> None:
    told = record(part())
    assert (told.provisional, told.completeness, told.coverage, told.estimated_share) == (False, 1, 1, 0)


@pytest.mark.parametrize(
    ("told", "share"),
    [
        (record(part(), expected=5), 0),
        (record(part(), tick=AT + HOUR_MS - 1), 0),
        (record(part(co2_kg=None)), 0),
        (record(part(estimated=Decimal(1))), 0.0002),
    ],
)
def test_what_is_not_over_not_complete_not_measured_or_not_known_is_provisional(
    told: Total, share: float
) -> None:
    assert told.provisional
    assert told.estimated_share == share


def test_several_carriers_are_weighed_by_their_co2() -> None:
    gas = part(carrier=10, quantity=Decimal(500), estimated=Decimal(500), co2_kg=Decimal(3))
    assert record(part(co2_kg=Decimal(9)), gas).estimated_share == 0.25
    assert record(part(co2_kg=None), gas).estimated_share is None


@given(QUANTITIES)
def test_a_share_is_zero_only_where_nothing_is_estimated_and_one_only_where_all_is(
    drawn: dict[int, tuple[int, int]],
) -> None:
    quantity = {c: q for c, (q, _) in drawn.items()}
    estimated = {c: min(q, e) for c, (q, e) in drawn.items()}
    share = estimated_share(quantity, estimated, {c: Decimal(q) for c, q in quantity.items()})
    assert share is not None
    assert 0 <= share <= 1
    assert (share == 0) is not any(estimated.values())
    if quantity == estimated and any(quantity.values()):
        assert share == 1
