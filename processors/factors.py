"""Official factor tables as coefficients: kg CO2 or kgce per base unit of a carrier, components kept.

Computed values are exact decimals rounded half-even to 12 significant digits (44/12 does not end);
values printed in a document stay as printed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from carbonstream.processors.coefficients import NATION
from carbonstream.schemas.carriers import CARRIER_BY_ID, CARRIERS, THOUSANDTHS, BaseUnit
from carbonstream.schemas.periods import month_of

SIGNIFICANT_DIGITS: Final = 12
ROUNDING: Final = Context(prec=SIGNIFICANT_DIGITS, rounding=ROUND_HALF_EVEN)
EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
CO2_PER_CARBON: Final = (44, 12)  # molar masses
MJ_PER_KGCE: Final = Decimal("29.3076")  # 7,000 kcal of 4.1868 kJ (GB/T 2589-2020)
HEAT_KG_PER_MJ: Final = Decimal("0.11")  # 0.11 tCO2/GJ, the guidelines' default for purchased heat

DEFAULT_MONTH: Final = month_of("2000-01")  # default values hold from the first month that is accepted
GUIDELINES: Final = "发改办气候〔2015〕1722号 附录二 (工业其他行业企业温室气体排放核算方法与报告指南)"
GUIDELINES_ON: Final = date(2015, 7, 6)
STANDARD_COAL: Final = "GB/T 2589-2020 附录A、附录B"
STANDARD_COAL_ON: Final = date(2020, 9, 29)

# Raw coal has no row in the guidelines' table: it is taken to burn as bituminous coal does, at its own
# heating value.
BURNS_AS: Final = {"raw_coal": "bituminous"}
ENERGY_AS: Final = {"hot_water": "heat"}  # heat of either is metered in MJ


@dataclass(frozen=True, slots=True)
class Published:
    """A coefficient before it has an id."""

    carrier: int
    kind: str
    scope: str
    month: int  # local months since 1970-01
    value: Decimal
    unit: str
    components: dict[str, str]
    document: str
    data_year: int | None
    published_on: date


def rounded(value: Decimal) -> Decimal:
    """To 12 significant digits, half-even, without trailing zeros after the point."""
    return _plain(ROUNDING.plus(value))


def _plain(value: Decimal) -> Decimal:
    """The same value without exponent and trailing zeros, as PostgreSQL's numeric and JSON show it."""
    value = value.normalize(EXACT)
    return value.quantize(Decimal(1)) if value.as_tuple().exponent > 0 else value  # type: ignore[operator]


def months_of_year(data_year: int) -> range:
    """The twelve months a data year's factor holds for."""
    first = month_of(f"{data_year:04d}-01")
    return range(first, first + 12)


def electricity(text: str) -> Iterator[Published]:
    """electricity_cn.csv: a data year's factor is that of each of its twelve months."""
    carrier = CARRIER_BY_ID["electricity"].number
    for row in csv.DictReader(text.splitlines()):
        year = int(row["data_year"])
        for month in months_of_year(year):
            yield Published(
                carrier,
                row["kind"],
                row["scope_code"],
                month,
                Decimal(row["value"]),
                row["unit"],
                {},
                row["document"],
                year,
                date.fromisoformat(row["published_on"]),
            )


@dataclass(frozen=True, slots=True)
class _Fuel:
    """One row of the guidelines' table, per base unit."""

    mj: Decimal  # net calorific value, MJ per base unit
    carbon: Decimal  # tC/GJ
    oxidation: Decimal  # per cent


def _fuels(text: str) -> dict[str, _Fuel]:
    """Rows of carriers we meter; others (middlings ...) are left out."""
    fuels: dict[str, _Fuel] = {}
    for row in csv.DictReader(text.splitlines()):
        if row["carrier"] in CARRIER_BY_ID:
            base_units = EXACT.divide(Decimal(str(THOUSANDTHS[row["unit"]][1])), Decimal(1000))
            mj = EXACT.divide(Decimal(row["ncv_gj_per_unit"]) * 1000, base_units)
            fuels[row["carrier"]] = _Fuel(
                mj, Decimal(row["carbon_tc_per_gj"]), Decimal(row["oxidation_percent"])
            )
    return fuels


def fuel_kg_co2(mj: Decimal, carbon: Decimal, oxidation: Decimal) -> Decimal:
    """kg CO2 per base unit = NCV x carbon x oxidation x 44/12 (GB/T 32150-2015 5.2).

    mj: net calorific value, MJ per base unit; carbon: tC/GJ = kgC/MJ; oxidation: per cent.
    """
    product = EXACT.multiply(EXACT.multiply(mj, carbon), oxidation * CO2_PER_CARBON[0])
    return rounded(EXACT.divide(product, Decimal(100 * CO2_PER_CARBON[1])))


def combustion(fuel_text: str, coal_text: str) -> Iterator[Published]:
    """fuel_combustion_cn.csv, with heat: direct CO2 of each fuel, and the default for purchased heat."""
    fuels, kgce = _fuels(fuel_text), _standard_coal(coal_text)
    for carrier in CARRIERS:
        if carrier.co2_kind == "heat":
            components, mj = {"tco2_per_gj": "0.11"}, Decimal(1)
            if carrier.base_unit is not BaseUnit.MJ:  # steam by weight: its heat from its standard coal
                mj = kgce[carrier.id] * MJ_PER_KGCE
                components |= {"mj_per_unit": str(_plain(mj)), "heat_from": STANDARD_COAL}
            value = _plain(EXACT.multiply(HEAT_KG_PER_MJ, mj))
            yield _guideline(carrier.number, "heat", value, f"kgCO2/{carrier.base_unit}", components)
        if carrier.co2_kind != "fuel":
            continue
        components = {}
        fuel = fuels.get(carrier.id)
        if fuel is None:
            model = BURNS_AS[carrier.id]
            # NCV from its standard coal, so that its CO2 and its energy speak of the same coal
            fuel = _Fuel(kgce[carrier.id] * MJ_PER_KGCE, fuels[model].carbon, fuels[model].oxidation)
            components = {"assumed": f"burns as {model}", "ncv_from": STANDARD_COAL}
        components |= {
            "ncv_mj_per_unit": str(_plain(fuel.mj)),
            "carbon_tc_per_gj": str(fuel.carbon),
            "oxidation_percent": str(fuel.oxidation),
            "co2_per_carbon": "44/12",
        }
        value = fuel_kg_co2(fuel.mj, fuel.carbon, fuel.oxidation)
        yield _guideline(carrier.number, "fuel", value, f"kgCO2/{carrier.base_unit}", components)


def process(text: str) -> Iterator[Published]:
    """process_cn.csv: CO2 that making a product sets free, beside that of fuels."""
    for row in csv.DictReader(text.splitlines()):
        yield Published(
            CARRIER_BY_ID[row["carrier"]].number,
            "process",
            NATION,
            DEFAULT_MONTH,
            Decimal(row["kgco2_per_kg"]),
            "kgCO2/kg",
            {},
            row["document"],
            None,
            date.fromisoformat(row["published_on"]),
        )


def _guideline(carrier: int, kind: str, value: Decimal, unit: str, components: dict[str, str]) -> Published:
    return Published(
        carrier, kind, NATION, DEFAULT_MONTH, value, unit, components, GUIDELINES, None, GUIDELINES_ON
    )


def _standard_coal(text: str) -> dict[str, Decimal]:
    """kgce per base unit of the carriers we meter."""
    return {
        row["carrier"]: Decimal(row["kgce_per_unit"])
        for row in csv.DictReader(text.splitlines())
        if row["carrier"] in CARRIER_BY_ID
    }


def calorific(coal_text: str, fuel_text: str) -> Iterator[Published]:
    """standard_coal_gbt2589.csv for every carrier; what it does not list is computed from the heating
    value."""
    kgce, fuels = _standard_coal(coal_text), _fuels(fuel_text)
    for carrier in CARRIERS:
        value, components = kgce.get(ENERGY_AS.get(carrier.id, carrier.id)), {}
        if carrier.co2_kind == "process":
            value, components = Decimal(0), {"computed": "a process uses no energy beside its fuels"}
        elif value is None:
            mj = fuels[carrier.id].mj
            value = rounded(EXACT.divide(mj, MJ_PER_KGCE))
            components = {
                "computed": "ncv / 29.3076 MJ per kgce",
                "ncv_mj_per_unit": str(_plain(mj)),
                "ncv_from": GUIDELINES,
            }
        yield Published(
            carrier.number,
            "calorific",
            NATION,
            DEFAULT_MONTH,
            value,
            f"kgce/{carrier.base_unit}",
            components,
            STANDARD_COAL,
            None,
            STANDARD_COAL_ON,
        )
