"""Official tables become coefficients with the right figures."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from carbonstream.ops.load.packaged import packaged_coefficients
from carbonstream.processors.factors import MJ_PER_KGCE, Published, fuel_kg_co2, rounded
from carbonstream.schemas.carriers import CARRIER_BY_ID, CARRIERS
from carbonstream.schemas.periods import month_of

ALL = list(packaged_coefficients())


def of(carrier: str, kind: str, scope: str = "CN", month: str = "2000-01") -> Published:
    (found,) = (
        p
        for p in ALL
        if (p.carrier, p.kind, p.scope, p.month)
        == (CARRIER_BY_ID[carrier].number, kind, scope, month_of(month))
    )
    return found


def test_a_data_year_is_twelve_equal_months() -> None:
    year = [of("electricity", "electricity_average", "330000", f"2023-{m:02}") for m in range(1, 13)]
    assert {(p.value, p.data_year, p.document, p.published_on) for p in year} == {
        (Decimal("0.4974"), 2023, "公告2025年第47号", date(2025, 12, 31))
    }


def test_the_three_methods_of_electricity_are_kept_apart() -> None:
    values = {
        kind: of("electricity", kind, "CN", "2023-06").value
        for kind in (
            "electricity_average",
            "electricity_excluding_traded_nonfossil",
            "electricity_fossil",
        )
    }
    assert list(values.values()) == [Decimal("0.5306"), Decimal("0.6096"), Decimal("0.8273")]


def test_every_carrier_has_its_co2_and_its_standard_coal() -> None:
    kinds = {(p.carrier, p.kind) for p in ALL}
    for carrier in CARRIERS:
        assert (carrier.number, carrier.co2_kind) in kinds
        assert (carrier.number, "calorific") in kinds


def test_units_are_per_base_unit_of_the_carrier() -> None:
    for published in ALL:
        carrier = next(c for c in CARRIERS if c.number == published.carrier)
        substance = "kgce" if published.kind == "calorific" else "kgCO2"
        assert published.unit == f"{substance}/{carrier.base_unit}"


def test_natural_gas_is_heating_value_by_carbon_by_oxidation() -> None:
    gas = of("natural_gas", "fuel")
    # 389.31 GJ/1e4m3 x 15.3 kgC/GJ x 0.99 x 44/12
    assert gas.value == Decimal("2.162188809")
    assert gas.components == {
        "ncv_mj_per_unit": "38.931",
        "carbon_tc_per_gj": "0.0153",
        "oxidation_percent": "99",
        "co2_per_carbon": "44/12",
    }


def test_a_product_that_does_not_end_keeps_twelve_digits() -> None:
    assert fuel_kg_co2(Decimal("43.33"), Decimal("0.0202"), Decimal(98)) == Decimal("3.14512249333")
    assert rounded(Decimal(2) / 3) == Decimal("0.666666666667")
    assert str(rounded(Decimal(120000000000000))) == "120000000000000"


def test_raw_coal_burns_as_bituminous_at_its_own_heating_value_and_says_so() -> None:
    raw = of("raw_coal", "fuel")
    assert raw.components["assumed"] == "burns as bituminous"
    assert raw.components["ncv_mj_per_unit"] == "20.93441868"  # 0.7143 kgce x 29.3076 MJ
    assert raw.value == Decimal("1.86889510635")
    assert "assumed" not in of("bituminous", "fuel").components


@pytest.mark.parametrize(
    ("carrier", "tonnes_per_tce"),
    [
        ("raw_coal", "2.6164"),
        ("bituminous", "2.6164"),
        ("anthracite", "2.7769"),
        ("coke", "2.9358"),
        ("crude_oil", "2.1547"),
        ("diesel", "2.1585"),
        ("converter_gas", "5.2768"),
    ],
)
def test_co2_of_a_tonne_of_standard_coal(carrier: str, tonnes_per_tce: str) -> None:
    ratio = of(carrier, "fuel").value / of(carrier, "calorific").value
    assert ratio.quantize(Decimal("0.0001")) == Decimal(tonnes_per_tce)


def test_standard_coal_that_the_standard_does_not_list_is_computed_and_says_so() -> None:
    assert of("raw_coal", "calorific").components == {}
    anthracite = of("anthracite", "calorific")
    assert anthracite.components["computed"]
    assert anthracite.value == rounded(Decimal("24.515") / MJ_PER_KGCE)


def test_heat() -> None:
    assert of("heat", "heat").value == Decimal("0.11")
    assert of("heat", "calorific").value == Decimal("0.03412")


def test_a_steel_year() -> None:
    factor = of("electricity", "electricity_average", "330000", "2023-12").value
    assert Decimal("959640.31") * factor == Decimal("477325.090194")
