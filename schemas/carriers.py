"""Energy carriers and the units they are metered in.

Quantities are integers of a thousandth of the carrier's base unit (Wh, 1e-3 m3, g, kJ), so sums are exact in
any order. A coefficient is a decimal per base unit: kg CO2 = quantity / 1000 x coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class BaseUnit(StrEnum):
    """What a coefficient is "per"; a stored quantity counts thousandths of it."""

    KWH = "kWh"
    M3 = "m3"
    KG = "kg"
    MJ = "MJ"


@dataclass(frozen=True, slots=True)
class Carrier:
    """One energy carrier. `number` is stored in rows and totals and never reused."""

    number: int
    id: str
    name_zh: str
    name_en: str
    base_unit: BaseUnit
    ghg_scope: int  # 1 direct combustion, 2 purchased energy (GHG Protocol; GB/T 32150)
    co2_kind: (
        str  # the coefficient kind of the operational basis; `process`: emission of an activity, no energy
    )


def _fuel(number: int, id_: str, name_zh: str, name_en: str, unit: BaseUnit) -> Carrier:
    return Carrier(number, id_, name_zh, name_en, unit, 1, "fuel")


CARRIERS: Final[tuple[Carrier, ...]] = (
    Carrier(1, "electricity", "电力", "electricity", BaseUnit.KWH, 2, "electricity_average"),
    Carrier(2, "heat", "热力", "heat", BaseUnit.MJ, 2, "heat"),
    Carrier(3, "steam", "蒸汽", "steam", BaseUnit.KG, 2, "heat"),
    Carrier(4, "hot_water", "热水", "hot water", BaseUnit.MJ, 2, "heat"),
    _fuel(10, "natural_gas", "天然气", "natural gas", BaseUnit.M3),
    _fuel(11, "coke_oven_gas", "焦炉煤气", "coke oven gas", BaseUnit.M3),
    _fuel(12, "blast_furnace_gas", "高炉煤气", "blast furnace gas", BaseUnit.M3),
    _fuel(13, "converter_gas", "转炉煤气", "converter gas", BaseUnit.M3),
    _fuel(20, "raw_coal", "原煤", "raw coal", BaseUnit.KG),
    _fuel(21, "anthracite", "无烟煤", "anthracite", BaseUnit.KG),
    _fuel(22, "bituminous", "烟煤", "bituminous coal", BaseUnit.KG),
    _fuel(23, "lignite", "褐煤", "lignite", BaseUnit.KG),
    _fuel(24, "washed_coal", "洗精煤", "washed coal", BaseUnit.KG),
    _fuel(25, "briquette", "型煤", "briquette", BaseUnit.KG),
    _fuel(26, "coke", "焦炭", "coke", BaseUnit.KG),
    _fuel(27, "other_washed_coal", "其他洗煤", "other washed coal", BaseUnit.KG),
    _fuel(30, "crude_oil", "原油", "crude oil", BaseUnit.KG),
    _fuel(31, "fuel_oil", "燃料油", "fuel oil", BaseUnit.KG),
    _fuel(32, "gasoline", "汽油", "gasoline", BaseUnit.KG),
    _fuel(33, "diesel", "柴油", "diesel", BaseUnit.KG),
    _fuel(34, "kerosene", "煤油", "kerosene", BaseUnit.KG),
    _fuel(35, "petroleum_coke", "石油焦", "petroleum coke", BaseUnit.KG),
    _fuel(40, "lpg", "液化石油气", "LPG", BaseUnit.KG),
    _fuel(41, "lng", "液化天然气", "LNG", BaseUnit.KG),
    # what is produced, for the CO2 that its making sets free beside that of fuels
    Carrier(60, "clinker", "水泥熟料", "cement clinker", BaseUnit.KG, 1, "process"),
    Carrier(61, "lime", "石灰", "lime", BaseUnit.KG, 1, "process"),
)
CARRIER_BY_ID: Final[dict[str, Carrier]] = {c.id: c for c in CARRIERS}
CARRIER_BY_NUMBER: Final[dict[int, Carrier]] = {c.number: c for c in CARRIERS}

# m3 of a gas is at 20 degC and 101.325 kPa, as gas is measured and billed (GB/T 17291-1998); Nm3 is at 0 degC, so by
# the gas law 1 Nm3 = 293.15 / 273.15 m3.
M3_IN_NM3: Final = 293.15 / 273.15
MJ_IN_KWH: Final = 3.6
# unit -> (base unit, thousandths of the base unit in one of it)
THOUSANDTHS: Final[dict[str, tuple[BaseUnit, float]]] = {
    "Wh": (BaseUnit.KWH, 1.0),
    "kWh": (BaseUnit.KWH, 1e3),
    "MWh": (BaseUnit.KWH, 1e6),
    "GWh": (BaseUnit.KWH, 1e9),
    "L": (BaseUnit.M3, 1.0),
    "m3": (BaseUnit.M3, 1e3),
    "Nm3": (BaseUnit.M3, 1e3 * M3_IN_NM3),
    "1e4m3": (BaseUnit.M3, 1e7),
    "g": (BaseUnit.KG, 1.0),
    "kg": (BaseUnit.KG, 1e3),
    "t": (BaseUnit.KG, 1e6),
    "J": (BaseUnit.MJ, 1e-3),
    "kJ": (BaseUnit.MJ, 1.0),
    "MJ": (BaseUnit.MJ, 1e3),
    "GJ": (BaseUnit.MJ, 1e6),
}
UNITS: Final[tuple[str, ...]] = tuple(THOUSANDTHS)


def thousandths_in(unit: str, base: BaseUnit) -> float | None:
    """Thousandths of `base` in one of `unit`; None where it measures something else.

    kWh and MJ are both energy: electricity told in MJ and heat told in kWh are converted.
    """
    of, scale = THOUSANDTHS[unit]
    if of is base:
        return scale
    if (of, base) == (BaseUnit.MJ, BaseUnit.KWH):
        return scale / MJ_IN_KWH
    return scale * MJ_IN_KWH if (of, base) == (BaseUnit.KWH, BaseUnit.MJ) else None


def units_of(base: BaseUnit) -> tuple[str, ...]:
    """Units a carrier of this base unit may be told in."""
    return tuple(unit for unit in UNITS if thousandths_in(unit, base) is not None)
