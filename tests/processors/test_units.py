"""Units: what can be told of a carrier, and how much of its base unit it is."""

from __future__ import annotations

from itertools import product

import pytest

from carbonstream.processors.meters import BASE_UNITS, UNIT_SCALE
from carbonstream.schemas.carriers import CARRIER_BY_ID, UNITS, BaseUnit, thousandths_in, units_of


@pytest.mark.parametrize(
    ("carrier", "value", "unit", "thousandths"),
    [
        ("electricity", 1, "MWh", 1_000_000),
        ("electricity", 3.6, "GJ", 1_000_000),
        ("electricity", 3_600_000, "J", 1_000),
        ("heat", 1, "kWh", 3_600),
        ("hot_water", 2, "GJ", 2_000_000),
        ("steam", 1.5, "t", 1_500_000),
        ("natural_gas", 273.15, "Nm3", 293_150),
        ("clinker", 2, "t", 2_000_000),
    ],
)
def test_a_value_in_thousandths_of_the_base_unit(
    carrier: str, value: float, unit: str, thousandths: int
) -> None:
    scale = thousandths_in(unit, CARRIER_BY_ID[carrier].base_unit)
    assert scale is not None
    assert round(value * scale) == thousandths


def test_what_measures_something_else_is_not_converted() -> None:
    assert thousandths_in("kg", BaseUnit.MJ) is None
    assert units_of(BaseUnit.M3) == ("L", "m3", "Nm3", "1e4m3")
    assert set(units_of(BaseUnit.KWH)) == set(units_of(BaseUnit.MJ)) == {
        "Wh", "kWh", "MWh", "GWh", "J", "kJ", "MJ", "GJ",
    }  # fmt: skip


def test_the_table_of_convert_says_the_same() -> None:
    for (i, unit), (j, base) in product(enumerate(UNITS), enumerate(BASE_UNITS)):
        assert UNIT_SCALE[i, j] == (thousandths_in(unit, base) or 0)
