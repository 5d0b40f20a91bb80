"""What a target is about: CO2 or energy; the same per value added; the change of that (T/ZJSEE 6.3.1.5 a to g).

An intensity is an amount divided by the value added of the same months, at constant prices of one year where the unit
names it (`t/1e4CNY@2020`). A change rate is an intensity over that of the same period last year, or of the period
before, less one, in per cent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

from carbonstream.schemas.codes import Grain

CO2: Final = "co2"
ENERGY: Final = "energy"
MASS_UNITS: Final = {CO2: {"kg": 1, "t": 1000}, ENERGY: {"kgce": 1, "tce": 1000}}
VALUE_ADDED: Final = "value_added"  # indicator of activity.csv
# 10,000 yuan, as statistics have it
VALUE_UNITS: Final = {
    "CNY": Decimal("0.0001"),
    "1e4CNY": Decimal(1),
    "1e6CNY": Decimal(100),
    "1e8CNY": Decimal(10_000),
}
CHANGE_UNIT: Final = "%"


class Against(StrEnum):
    """What a change rate compares with."""

    LAST_YEAR = "last-year"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class Indicator:
    """base: co2 or energy; per_value: divided by value added; against: what its change is measured from."""

    id: str
    base: str
    per_value: bool = False
    against: Against | None = None

    @property
    def units(self) -> dict[str, int]:
        """Unit of a target -> how many of the stored one (kg, kgce, each per 10,000 yuan, or %)."""
        if self.against is not None:
            return {CHANGE_UNIT: 1}
        mass = MASS_UNITS[self.base]
        return {f"{unit}/1e4CNY": n for unit, n in mass.items()} if self.per_value else mass

    @property
    def unit(self) -> str:
        """The stored unit."""
        return next(iter(self.units))


def _all() -> dict[str, Indicator]:
    found = []
    for base in (CO2, ENERGY):
        found.append(Indicator(base, base))
        found.append(Indicator(f"{base}-intensity", base, per_value=True))
        found += [Indicator(f"{base}-intensity-change-{against}", base, True, against) for against in Against]
    return {indicator.id: indicator for indicator in found}


INDICATORS: Final = _all()


def reference_period(against: Against, grain: Grain, first: date) -> date:
    """First day of the period that a period of `grain` is compared with."""
    if against is Against.LAST_YEAR or grain is Grain.YEAR:
        return first.replace(year=first.year - 1)
    months = first.year * 12 + first.month - 1 - (3 if grain is Grain.QUARTER else 1)
    return date(months // 12, months % 12 + 1, 1)


def unit_and_year(text: str) -> tuple[str, int | None]:
    """`1e4CNY@2020` as unit and year of the prices; None: prices of the time. Raises ValueError with the remedy."""
    unit, at, year = text.partition("@")
    if not at:
        return unit, None
    if not (year.isascii() and year.isdigit() and len(year) == 4):
        raise ValueError("names no year of prices: write it as 1e4CNY@2020")
    return unit, int(year)
