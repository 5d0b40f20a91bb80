"""Publishing coefficients: one person submits, another decides, every read resolves to the new value at once."""

from __future__ import annotations

import json
from decimal import Decimal

import psycopg
import pytest

from carbonstream.schemas.totals import Restated

from .conftest import HEADER, Plant

HUZHOU = "electricity,electricity_average,330500,2024-03,0.4850,kgCO2/kWh,湖州市 2024年3月"
STEEL_KWH = Decimal(sum(3_170 + i % 7 for i in range(96))) / 1000
PAPER_KWH = Decimal("96.096")
OLD, NEW = Decimal("0.4974"), Decimal("0.4850")


def co2(plant: Plant, entity: str, *options: str) -> Decimal:
    found = plant.run("totals", entity, "--from", "2024-03", "--grain", "month", "--json", *options)
    assert found.exit_code == 0, found.output
    return Decimal(json.loads(found.stdout)["sum"]["co2_kg"])


def publish(plant: Plant, *rows: str, by: str = "Li Na") -> int:
    done = plant.run("coefficients", "publish", plant.write(*rows), "--by", by, "--json")
    assert done.exit_code == 0, done.output
    id_ = json.loads(done.stdout)["id"]
    assert isinstance(id_, int)
    return id_


def test_a_dry_run_shows_old_and_new_totals_and_writes_nothing(plant: Plant) -> None:
    done = plant.run("coefficients", "publish", plant.write(HUZHOU), "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["id"], told["status"], told["restates"]["months"]) == (None, "dry run", ["2024-03"])
    totals = {e["entity"]: (Decimal(e["old"]), Decimal(e["new"])) for e in told["restates"]["entities"]}
    assert totals["enterprise:ENT-1"] == (STEEL_KWH * OLD, STEEL_KWH * NEW)
    both = STEEL_KWH + PAPER_KWH
    for entity in ("park:PARK-1", "region:330500", "region:CN", "domain:industry"):
        assert totals[entity] == (both * OLD, both * NEW)
    assert plant.query("select count(*) from publication") == [(0,)]
    assert co2(plant, "region:330500") == both * OLD


def test_an_approval_restates_and_as_of_still_gives_the_old_figure(plant: Plant) -> None:
    id_ = publish(plant, HUZHOU)
    assert co2(plant, "park:PARK-1") == (STEEL_KWH + PAPER_KWH) * OLD
    done = plant.run("coefficients", "approve", id_, "--by", "Wang Wei", "--json")
    assert done.exit_code == 0, done.output
    restated = Restated.model_validate(json.loads(done.stdout))
    assert (restated.months, restated.submitted_by, restated.approved_by) == (
        ["2024-03"],
        "Li Na",
        "Wang Wei",
    )
    assert co2(plant, "park:PARK-1") == (STEEL_KWH + PAPER_KWH) * NEW
    ((published,),) = plant.query("select max(published_at) from coefficient")
    before = (published.timestamp() * 1000 - 1) / 1000
    text = plant.query(
        "select to_char(to_timestamp(%s) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"+00:00\"')",
        before,
    )
    assert co2(plant, "park:PARK-1", "--as-of", text[0][0]) == (STEEL_KWH + PAPER_KWH) * OLD
    assert [t for (t,) in plant.query("select topic from outbox order by id")] == [
        "ref.coefficients",
        "carbon.totals",
    ]
    entities = {e for months in plant.query("select entities from restatement") for e in months[0]}
    assert len(entities) == restated.entities


def test_whoever_submitted_may_not_approve(plant: Plant) -> None:
    id_ = publish(plant, HUZHOU)
    for name in ("Li Na", " li na "):
        refused = plant.run("coefficients", "approve", id_, "--by", name)
        assert refused.exit_code != 0
        assert "second person" in str(refused.exception)
    assert plant.query("select count(*) from publication_decision") == [(0,)]
    assert co2(plant, "park:PARK-1") == (STEEL_KWH + PAPER_KWH) * OLD


def test_a_decision_is_made_once_and_kept(plant: Plant) -> None:
    id_ = publish(plant, HUZHOU)
    assert (
        plant.run("coefficients", "reject", id_, "--by", "Wang Wei", "--reason", "wrong month").exit_code == 0
    )
    again = plant.run("coefficients", "approve", id_, "--by", "Wang Wei")
    assert "rejected by Wang Wei already" in str(again.exception)
    (listed,) = json.loads(plant.run("coefficients", "list", "--json").stdout)
    assert (listed["status"], listed["submitted_by"], listed["decided_by"]) == (
        "rejected",
        "Li Na",
        "Wang Wei",
    )
    assert json.loads(plant.run("coefficients", "pending", "--json").stdout) == []
    with psycopg.connect(plant.settings.database) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute("update publication_decision set decided_by = 'Li Na'")


def test_every_error_has_its_line_and_nothing_is_published(plant: Plant) -> None:
    file = plant.write(
        HUZHOU,
        HUZHOU,
        HUZHOU.replace("kgCO2/kWh", "kgCO2/m3"),
        HUZHOU.replace("electricity_average", "fuel"),
        HUZHOU.replace("330500", "339999"),
        HUZHOU.replace("0.4850", "485"),
        HUZHOU.replace("330500,2024-03,0.4850", "330000,2024-03,0.30"),
        "electricity,electricity_average,330000,2023-03,0.4974,kgCO2/kWh,x",
        HUZHOU.replace("electricity_average", "electricity_lifecycle"),
        HUZHOU.replace("330500,2024-03,0.4850", "CN,2023-03,0.8273").replace("2024-03", "2023-03"),
    )
    done = plant.run("coefficients", "publish", file)
    assert done.exit_code == 2
    errors = done.stderr.splitlines()
    fields = [tuple(line.split(": ")[:2]) for line in errors[:-1]]
    assert fields == [
        ("march.csv:3", "scope"),
        ("march.csv:4", "unit"),
        ("march.csv:5", "kind"),
        ("march.csv:6", "scope"),
        ("march.csv:7", "scope"),
        ("march.csv:8", "value"),
        ("march.csv:9", "value"),
        ("march.csv:10", "unit"),
        ("march.csv:11", "kind"),
    ], errors
    assert plant.query("select count(*) from publication") == [(0,)]


def test_a_file_for_load_may_be_published(plant: Plant) -> None:
    file = plant.write(f"{HUZHOU},2024-04-02,somebody", header=f"{HEADER},published_on,approver")
    done = plant.run("coefficients", "publish", file, "--by", "Li Na", "--json")
    assert done.exit_code == 0, done.output
    assert (
        plant.run("coefficients", "approve", json.loads(done.stdout)["id"], "--by", "Wang Wei").exit_code == 0
    )
    assert plant.query("select approver from coefficient where scope = '330500'") == [("Wang Wei",)]


def test_what_is_pending_is_not_submitted_twice(plant: Plant) -> None:
    id_ = publish(plant, HUZHOU)
    done = plant.run("coefficients", "publish", plant.write(HUZHOU), "--by", "Zhao Min")
    assert done.exit_code == 2
    assert f"pending in publication {id_}" in done.stderr


def test_a_first_own_coefficient_moves_the_enterprise_to_a_class_of_its_own(plant: Plant) -> None:
    own = HUZHOU.replace("330500", "enterprise:ENT-1").replace("0.4850", "0.3000")
    done = plant.run("coefficients", "publish", plant.write(own), "--by", "Li Na", "--json")
    told = json.loads(done.stdout)
    totals = {e["entity"]: Decimal(e["new"]) for e in told["restates"]["entities"]}
    assert told["restates"]["own_classes"] == ["enterprise:ENT-1"]
    assert plant.run("coefficients", "approve", told["id"], "--by", "Wang Wei").exit_code == 0
    assert co2(plant, "enterprise:ENT-1") == STEEL_KWH * Decimal("0.3") == totals["enterprise:ENT-1"]
    assert co2(plant, "region:330500") == totals["region:330500"]
    assert co2(plant, "enterprise:ENT-2") == PAPER_KWH * OLD


def test_a_green_contract_leaves_a_citys_slip_implausible(plant: Plant) -> None:
    green = f"{HUZHOU.replace('330500', 'enterprise:ENT-1').replace('0.4850', '0')},green contract"
    done = plant.run(
        "coefficients", "publish", plant.write(green, header=f"{HEADER},exception"), "--by", "Li Na", "--json"
    )
    assert plant.run("coefficients", "approve", json.loads(done.stdout)["id"], "--by", "Bo").exit_code == 0
    refused = plant.run("coefficients", "publish", plant.write(HUZHOU.replace("0.4850", "0.000485")))
    assert refused.exit_code == 2
    assert "march.csv:2: value: '0.000485'" in refused.stderr
