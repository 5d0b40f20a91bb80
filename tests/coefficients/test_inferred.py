"""Fuels inferred from electricity: by ratio, beside what is metered, displaced where a site meters the group."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg

from carbonstream.ops.load import load_files
from tests.api.plant import store
from tests.reference.conftest import NOW
from tests.reference.files import METERS

from .conftest import MARCH, Plant
from .test_publishing import PAPER_KWH, STEEL_KWH

RATIOS = (
    "electricity,ratio_raw_coal,330500,2024-02,0.25,kg/kWh,fuel survey",
    "electricity,ratio_natural_gas,330500,2024-02,0.05,m3/kWh,fuel survey",
)
GAS = "330502-0002/G01,natural_gas,interval,m3,1,,900,true,2024-03-15T00:00:00+08:00,"


def totals(plant: Plant, entity: str, grain: str = "month") -> list[dict[str, Any]]:
    since = "2024" if grain == "quarter" else "2024-03"
    done = plant.run("totals", entity, "--from", since, "--grain", grain, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    return [document["sum"], *(b for b in document["buckets"] if "inferred" in b)]


def publish(plant: Plant) -> None:
    done = plant.run("coefficients", "publish", plant.write(*RATIOS), "--by", "Li Na", "--json")
    assert done.exit_code == 0, done.output
    id_ = json.loads(done.stdout)["id"]
    assert plant.run("coefficients", "approve", id_, "--by", "Wang Wei").exit_code == 0


def quantity(figures: dict[str, Any], carrier: str) -> Decimal:
    return Decimal(figures["inferred"]["quantity"][carrier]["value"])


def test_a_ratio_gives_the_fuels_of_a_site_that_meters_electricity_only(plant: Plant) -> None:
    assert "inferred" not in totals(plant, "park:PARK-1")[0]
    metered = totals(plant, "park:PARK-1")[0]["co2_kg"]
    publish(plant)
    both = STEEL_KWH + PAPER_KWH
    values = dict(
        plant.query(
            "select c.id, value from coefficient k join carrier c on c.number = k.carrier where kind = 'fuel'"
        )
    )
    for entity in ("park:PARK-1", "region:330500", "domain:industry"):
        for grain in ("month", "quarter", "day"):
            whole, *buckets = totals(plant, entity, grain)
            assert whole["co2_kg"] == metered  # inferred is beside it, not in it
            coal, gas = both * Decimal("0.25"), both * Decimal("0.05")
            assert (quantity(whole, "raw_coal"), quantity(whole, "natural_gas")) == (coal, gas)
            co2 = coal * values["raw_coal"] + gas * values["natural_gas"]
            assert Decimal(whole["inferred"]["co2_kg"]) == co2
            assert whole["inferred"]["share"] == int(co2 / (co2 + Decimal(metered)) * 10_000) / 10_000
            assert sum(quantity(b, "raw_coal") for b in buckets) == coal


def test_a_metered_carrier_displaces_its_group_in_its_months(plant: Plant) -> None:
    publish(plant)
    with psycopg.connect(plant.settings.database, autocommit=True) as connection:
        load_files(connection, {"meters": plant.write(GAS, header=METERS, name="meters.csv")}, NOW)
        store(connection, "330502-0002/G01", MARCH + timedelta(days=20), [500] * 4)
    both = STEEL_KWH + PAPER_KWH
    for entity in ("park:PARK-1", "region:330500"):
        for grain in ("month", "day"):
            whole = totals(plant, entity, grain)[0]
            assert quantity(whole, "raw_coal") == both * Decimal("0.25")
            assert quantity(whole, "natural_gas") == STEEL_KWH * Decimal("0.05")
            assert whole["quantity"]["natural_gas"]["value"] == "2.000"
    paper = totals(plant, "enterprise:ENT-2")[0]
    assert set(paper["inferred"]["quantity"]) == {"raw_coal"}
