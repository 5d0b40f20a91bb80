"""Kinds of coefficients and the units they are published in."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from carbonstream.processors.factors import EXACT
from carbonstream.schemas.carriers import CARRIER_BY_ID, CARRIERS, THOUSANDTHS, Carrier

# Kinds are never mixed: each is a series of its own, and totals use the carrier's own (`co2_kind`) alone.
LIFECYCLE: Final = "electricity_lifecycle"  # carbon footprint: CO2e, with what came before the plant
ELECTRICITY_KINDS: Final = (
    "electricity_average",
    "electricity_excluding_traded_nonfossil",
    "electricity_fossil",
    LIFECYCLE,
)
CALORIFIC: Final = "calorific"
RATIO: Final = (
    "ratio_"  # fuel by electricity, for sites that meter electricity only: ratio_raw_coal in kg/kWh
)
UNIT: Final = re.compile(r"(kg|t)(CO2e?|ce)/(.+)")


def kinds_of(carrier: Carrier) -> tuple[str, ...]:
    """The kinds of coefficient a carrier has beside its calorific one."""
    if carrier.id != "electricity":
        return (carrier.co2_kind,)
    return (*ELECTRICITY_KINDS, *(RATIO + fuel.id for fuel in CARRIERS if fuel.co2_kind == "fuel"))


def substance_of(kind: str) -> str:
    """What a coefficient of this kind counts: CO2, CO2e, or ce (standard coal)."""
    return {CALORIFIC: "ce", LIFECYCLE: "CO2e"}.get(kind, "CO2")


def in_base_units(
    value: Decimal, unit: str, carrier: Carrier, kind: str
) -> tuple[Decimal, str, dict[str, str]]:
    """The value per base unit of the carrier, its unit, and what was published where that is another.

    unit: kgCO2/kWh, tCO2/MWh, tCO2/t, kgce/m3 ...; exact to 60 digits. Raises ValueError with the remedy.
    """
    if kind.startswith(RATIO):
        wanted = f"{CARRIER_BY_ID[kind.removeprefix(RATIO)].base_unit}/{carrier.base_unit}"
        if unit != wanted:
            raise ValueError(f"does not measure {kind}: write {wanted}")
        return value, wanted, {}
    substance = substance_of(kind)
    wanted = f"kg{substance}/{carrier.base_unit}"
    found = UNIT.fullmatch(unit)
    base, scale = THOUSANDTHS.get(found[3], (None, 0.0)) if found else (None, 0.0)
    if found is None or found[2] != substance or base is not carrier.base_unit:
        raise ValueError(f"does not measure {kind} of {carrier.id}: write {wanted}")
    if unit == wanted:
        return value, wanted, {}
    kilograms = value * (1000 if found[1] == "t" else 1)
    per_base = EXACT.divide(kilograms, EXACT.divide(Decimal(str(scale)), Decimal(1000)))
    return per_base, wanted, {"published_value": str(value), "published_unit": unit}
