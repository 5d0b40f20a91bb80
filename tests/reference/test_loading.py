"""Loading sites, meters, targets and activity: what is registered, published, kept and refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import BaseModel

from carbonstream.ops.load import load_files, load_packaged
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.reference_records import (
    ActivityRecord,
    CheckRuleRecord,
    ClassRecord,
    CoefficientRecord,
    MeterRecord,
    SiteRecord,
    TargetRecord,
)
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import shard_of, site_of

from .conftest import NOW, Connection, Write
from .files import (
    ACTIVITY,
    COEFFICIENTS,
    FEED,
    HEAT,
    METERS,
    PAPER,
    SITES,
    STEEL,
    STEEL_OF_HUZHOU,
    TARGETS,
)  # fmt: skip


def all_files(write: Write) -> dict[str, Path]:
    return {
        "sites": write("sites", SITES, STEEL, PAPER),
        "meters": write("meters", METERS, FEED, HEAT),
        "coefficients": write("coefficients", COEFFICIENTS, STEEL_OF_HUZHOU),
        "targets": write("targets", TARGETS, "enterprise:ENT-1,co2,2024-Q1,120.5,t,80;90;100"),
        "activity": write("activity", ACTIVITY, "enterprise:ENT-1,2024-01,value_added,123.4,1e4CNY,true"),
    }


def published(connection: Connection) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (row[0], row[1], row[2])
        for row in connection.execute("select topic, key, value from outbox order by id").fetchall()
    ]


def shape_of(topic: str, value: dict[str, Any]) -> type[BaseModel]:
    if topic == "ref.sites":
        return ClassRecord if value["record"] == "class" else SiteRecord
    shapes: dict[str, type[BaseModel]] = {
        "ref.meters": MeterRecord,
        "ref.coefficients": CoefficientRecord,
        "ref.targets": TargetRecord,
        "ref.activity": ActivityRecord,
        "ref.rules": CheckRuleRecord,
    }
    return shapes[topic]


def test_every_change_is_published_in_its_shape_and_what_others_name_comes_first(
    connection: Connection, write: Write
) -> None:
    load_files(connection, all_files(write), NOW)
    records = published(connection)
    for topic, _, value in records:
        shape_of(topic, value).model_validate(value)
    assert [(topic, key.partition(":")[0] if key.startswith("class:") else key) for topic, key, _ in records][
        :5
    ] == [
        ("ref.sites", "class"),
        ("ref.sites", "class"),
        ("ref.coefficients", records[2][1]),
        ("ref.sites", "330502-0001"),
        ("ref.sites", "330502-0002"),
    ]
    by_key = {key: value for _, key, value in records}
    meter = by_key["330502-0001/E01"]
    assert meter == {
        "meter_id": "330502-0001/E01",
        "number": shard_of("330502-0001"),
        "shard": shard_of("330502-0001"),
        "carrier": 1,
        "kind": "register",
        "unit": "kWh",
        "multiplier_milli": 1000,
        "multipliers": [],
        "exchanges": [],
        "modulus": 1_000_000_000,
        "interval_ms": 900_000,
        "boundary": True,
        "valid_from_ms": 1_704_038_400_000,
        "valid_to_ms": 1_735_574_400_000,
        "class": by_key["330502-0001"]["class"],
    }
    assert by_key["330502-0002/E01"]["multiplier_milli"] == 1500
    assert by_key["330502-0002/E01"]["valid_to_ms"] is None
    assert by_key[f"class:{meter['class']}"]["scopes"] == [
        "C31@330502", "C31@330500", "C31@330000", "330502", "330500", "330000", "GRID-EC", "CN",
    ]  # fmt: skip
    assert by_key["enterprise:ENT-1|co2|4|2024-01-01"]["value"] == "120500.0"
    assert by_key["enterprise:ENT-1|co2|4|2024-01-01"]["levels"] == ["80", "90", "100"]
    coefficient = records[2][2]
    assert (coefficient["value"], coefficient["unit"]) == ("0.49", "kgCO2/kWh")
    assert coefficient["components"] == {"published_value": "0.49", "published_unit": "tCO2/MWh"}


def test_loading_twice_changes_and_publishes_nothing(connection: Connection, write: Write) -> None:
    files = all_files(write)
    load_files(connection, files, NOW)
    connection.execute("delete from outbox")
    again = load_files(connection, files, NOW)
    assert {(counts.added, counts.changed) for counts in again.values()} == {(0, 0)}
    assert published(connection) == []


def test_only_what_really_changed_is_published(connection: Connection, write: Write) -> None:
    load_files(connection, all_files(write), NOW)
    connection.execute("delete from outbox")
    files = {
        "sites": write("sites", SITES, STEEL.replace("Huzhou steel works", "Huzhou steel"), PAPER),
        "meters": write("meters", METERS, FEED.replace("kWh,1,", "kWh,2,")),
    }
    counts = load_files(connection, files, NOW)
    assert (counts["sites"].changed, counts["meters"].changed) == (1, 1)
    records = published(connection)
    assert [key for _, key, _ in records] == ["330502-0001", "330502-0001/E01"]
    assert records[0][2]["name_en"] == "Huzhou steel"
    assert records[1][2]["multiplier_milli"] == 2000
    assert records[1][2]["multipliers"] == [
        {"version": 1, "valid_from_ms": None, "milli": 1000},
        {"version": 2, "valid_from_ms": to_ms(NOW), "milli": 2000},
    ]
    name = connection.execute("select name_en from entity where id = 'site:330502-0001'").fetchone()
    assert name == ("Huzhou steel",)


def test_a_site_counts_to_all_its_entities(connection: Connection, write: Write) -> None:
    load_files(connection, {"sites": write("sites", SITES, STEEL)}, NOW)
    rows = connection.execute(
        "select e.id from entity_part p join entity e on e.number = p.entity "
        "join class c on c.entity = p.part"
    ).fetchall()
    assert {id_ for (id_,) in rows if not id_.startswith("class:")} == {
        "region:CN", "region:GRID-EC", "region:330000", "region:330500", "region:330502",
        "industry:C31", "industry:C31@330000", "industry:C31@330500", "industry:C31@330502",
        "domain:industry", "domain:industry@330000",
    }  # fmt: skip
    own = connection.execute(
        "select e.id from entity_part p join entity e on e.number = p.entity where p.part = p.entity"
    ).fetchall()
    assert {id_.partition(":")[0] for (id_,) in own} == {"site", "enterprise", "park", "class"}
    assert connection.execute(
        "select name_zh, name_en from entity where id = 'industry:C31@330502'"
    ).fetchone() == (
        "吴兴区 黑色金属冶炼和压延加工业",
        "Smelting and pressing of ferrous metals, Wuxing District",
    )


def test_sites_that_share_every_scope_share_a_class(connection: Connection, write: Write) -> None:
    third = STEEL.replace("0001", "0003").replace("ENT-1,湖钢,Huzhou Steel", "ENT-2,湖纸,Huzhou Paper")
    load_files(connection, {"sites": write("sites", SITES, STEEL, PAPER, third)}, NOW)
    rows = connection.execute("select count(*), count(distinct class) from site").fetchone()
    assert rows == (3, 2)


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        (",330502,C31", ",330503,C31", "sites.csv:2: county: '330503': "),
        (",330502,C31", ",330502,C32", "sites.csv:2: industry: 'C32': "),
        ("ENT-1,", "ENT-9,", "sites.csv:2: enterprise: 'ENT-9': "),
        ("PARK-1,", "PARK-9,", "sites.csv:2: park: 'PARK-9': "),
    ],
)
def test_a_site_does_not_move(
    connection: Connection, write: Write, before: str, after: str, error: str
) -> None:
    load_files(connection, {"sites": write("sites", SITES, STEEL)}, NOW)
    with pytest.raises(LoadRefused) as refused:
        load_files(connection, {"sites": write("sites", SITES, STEEL.replace(before, after, 1))}, NOW)
    (found,) = refused.value.errors
    assert found.startswith(error)
    assert "register what has moved under a new site_id" in found
    assert connection.execute("select count(*) from entity where id ~ '-9$'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ("electricity,register,kWh", "heat,register,MJ", "carrier"),
        ("register,kWh,1,1000000", "interval,kWh,1,", "kind"),
        ("900,true", "900,false", "boundary"),
    ],
)
def test_a_meter_keeps_what_its_stored_quantities_mean(
    connection: Connection, write: Write, before: str, after: str, field: str
) -> None:
    files = {"sites": write("sites", SITES, STEEL), "meters": write("meters", METERS, FEED)}
    load_files(connection, files, NOW)
    with pytest.raises(LoadRefused, match=rf"meters.csv:2: {field}: .*register a new id"):
        load_files(connection, {"meters": write("meters", METERS, FEED.replace(before, after))}, NOW)


def test_a_published_value_stays_and_a_revision_is_added(connection: Connection, write: Write) -> None:
    row = "electricity,electricity_average,330000,2024-05,0.5,kgCO2/kWh,试行,2024-06-10,me"
    load_files(connection, {"coefficients": write("coefficients", COEFFICIENTS, row)}, NOW)
    with pytest.raises(LoadRefused, match=r"coefficients.csv:2: value: '0.51': 0.5 is published for 2024-05"):
        load_files(
            connection,
            {"coefficients": write("coefficients", COEFFICIENTS, row.replace("0.5,", "0.51,"))},
            NOW,
        )
    revision = row.replace("0.5,", "0.51,").replace("06-10", "06-11")
    counts = load_files(connection, {"coefficients": write("coefficients", COEFFICIENTS, row, revision)}, NOW)
    assert (counts["coefficients"].rows, counts["coefficients"].added) == (2, 1)


def test_a_data_year_in_a_file_becomes_twelve_months(connection: Connection, write: Write) -> None:
    header = COEFFICIENTS.replace("month", "data_year")
    row = "electricity,electricity_average,330500,2024,0.48,kgCO2/kWh,试行,2025-06-10,me"
    counts = load_files(connection, {"coefficients": write("coefficients", header, row)}, NOW)
    assert counts["coefficients"].added == 12
    rows = connection.execute(
        "select min(month)::text, max(month)::text, min(data_year) from coefficient where scope = '330500'"
    ).fetchone()
    assert rows == ("2024-01-01", "2024-12-01", 2024)


def command(settings: Settings, path: Path) -> subprocess.Popen[bytes]:
    """`carbonstream load --meters` as a process of its own."""
    code = "import typer; from carbonstream.ops.reference_commands import load; typer.run(load)"
    return subprocess.Popen(
        [sys.executable, "-c", code, "--meters", str(path), "--json"],
        env={**os.environ, "CARBONSTREAM_DATABASE": settings.database},
        stdout=subprocess.PIPE,
    )


def test_four_processes_at_once_give_distinct_dense_numbers(
    database_settings: Settings, write: Write, tmp_path: Path
) -> None:
    with psycopg.connect(database_settings.database, autocommit=True) as connection:
        load_packaged(connection, NOW)
        load_files(connection, {"sites": write("sites", SITES, STEEL, PAPER)}, NOW)
    processes = []
    for process in range(4):
        path = tmp_path / f"meters-{process}.csv"
        rows = [FEED.replace("0001/E01", f"000{1 + n % 2}/P{process}-{n}") for n in range(50)]
        path.write_text("\n".join([METERS, *rows]), "utf-8")
        processes.append(command(database_settings, path))
    for running in processes:
        out, _ = running.communicate(timeout=60)
        assert json.loads(out) == {"meters": {"rows": 50, "added": 50, "changed": 0}}
    with psycopg.connect(database_settings.database) as connection:
        numbers = connection.execute("select meter_id, number from meter").fetchall()
        records = connection.execute("select count(*) from outbox where topic = 'ref.meters'").fetchone()
    assert len(numbers) == 200
    slots: dict[int, list[int]] = {}
    for meter_id, number in numbers:
        assert number % 64 == shard_of(site_of(meter_id))
        slots.setdefault(number % 64, []).append(number // 64)
    for found in slots.values():
        assert sorted(found) == list(range(len(found)))
    assert records == (200,)


def test_a_changed_rule_is_a_new_version_and_old_ones_stay(connection: Connection, write: Write) -> None:
    columns = "rule,carrier,kind,meter,test,field,low,high,decision,owner,note"
    for high, decision in (("100", "question"), ("100", "question"), ("90", "reject"), ("90", "off")):
        row = f"feeders,electricity,interval,,range,rate,0,{high},{decision},dispatch,no feeder carries more"
        load_files(connection, {"rules": write("rules", columns, row)}, NOW)
    told = [value for topic, _, value in published(connection) if topic == "ref.rules"]
    for value in told:
        CheckRuleRecord.model_validate(value)
    assert [(v["version"], v["high"], v["decision"]) for v in told] == [
        (1, "100", "question"),
        (2, "90", "reject"),
        (3, "90", None),
    ]
    versions = connection.execute("select version, high from check_rule_history order by 1").fetchall()
    assert versions == [(1, 100), (2, 90), (3, 90)]
