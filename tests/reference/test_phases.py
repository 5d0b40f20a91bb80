"""Targets of intensities and changes, and targets that their owner has phased: what is stored and what is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from carbonstream.ops.load import load_files
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.reference_records import TargetRecord
from carbonstream.streams.warn_totals import load_targets

from .conftest import NOW, Connection, Write
from .files import PAPER, SITES, STEEL, TARGETS

PHASES = "entity,indicator,period,part,value,unit"
ENT = "enterprise:ENT-1"
QUARTER = f"{ENT},co2,2024-Q1,100,t,80;100"
PARTS = [f"{ENT},co2,2024-Q1,2024-0{m},{t},t" for m, t in ((1, 40), (2, 25), (3, 35))]


def load(connection: Connection, write: Write, targets: list[str], phases: list[str] | None = None) -> None:
    files: dict[str, Path] = {
        "sites": write("sites", SITES, STEEL, PAPER),
        "targets": write("targets", TARGETS, *targets),
    }
    if phases is not None:
        files["phases"] = write("phases", PHASES, *phases)
    load_files(connection, files, NOW)


def refused(
    connection: Connection, write: Write, targets: list[str], phases: list[str] | None = None
) -> list[str]:
    with pytest.raises(LoadRefused) as error:
        load(connection, write, targets, phases)
    return error.value.errors


def test_a_phased_target_is_judged_by_its_parts_and_published_with_them(
    connection: Connection, write: Write
) -> None:
    load(connection, write, [QUARTER], PARTS)
    (target,) = load_targets(connection)
    assert [(part.days, part.value) for part in target.plan] == [
        (31, Decimal(40_000)), (29, Decimal(25_000)), (31, Decimal(35_000)),
    ]  # fmt: skip
    (value,) = connection.execute("select value from outbox where topic = 'ref.targets'").fetchone() or ()
    record = TargetRecord.model_validate(value)
    assert next((p.part, p.days, p.value) for p in record.phases) == ("2024-01-01", 31, "40000")


def test_phases_are_replaced_as_a_whole(connection: Connection, write: Write) -> None:
    load(connection, write, [QUARTER], PARTS)
    days = [f"{ENT},co2,2024-02,2024-02-{d:02},1,t" for d in range(1, 30)]
    load(connection, write, [QUARTER, f"{ENT},co2,2024-02,29,t,100"], [*PARTS, *days])
    load(connection, write, [QUARTER], [p.replace(",40,", ",50,").replace(",35,", ",25,") for p in PARTS])
    plans = {t.period_name: [part.value for part in t.plan] for t in load_targets(connection)}
    assert plans["2024-Q1"] == [Decimal(50_000), Decimal(25_000), Decimal(25_000)]
    assert plans["2024-02"] == [Decimal(1_000)] * 29


def test_phases_that_do_not_add_up_are_refused_whichever_is_loaded_last(
    connection: Connection, write: Write
) -> None:
    (error,) = refused(connection, write, [QUARTER], [*PARTS[:2], PARTS[2].replace(",35,", ",30,")])
    assert "'95000 kg': must add up to its target of 100000 kg" in error
    load(connection, write, [QUARTER], PARTS)
    (error,) = refused(connection, write, [QUARTER.replace(",100,t", ",90,t")])
    assert "'100000 kg': must add up to its target of 90000 kg" in error


@pytest.mark.parametrize(
    ("phases", "named"),
    [
        (PARTS[:2], "part: '2024-02': the period goes on until 2024-04-01"),
        ([*PARTS, PARTS[1]], "part: '2024-02': must begin on 2024-03-01"),
        ([PARTS[0].replace("2024-01", "2024-13"), *PARTS[1:]], "part: '2024-13': write a month"),
        ([p.replace("ENT-1", "ENT-2") for p in PARTS], "entity: 'enterprise:ENT-2': has no such target"),
        ([p.replace("co2", "co2-intensity") for p in PARTS], "take one of co2, energy"),
        ([p.replace(",t", ",kgce") for p in PARTS], "unit: 'kgce': take one of kg, t"),
    ],
)
def test_faulty_phases_are_refused_by_their_field(
    connection: Connection, write: Write, phases: list[str], named: str
) -> None:
    assert any(named in error for error in refused(connection, write, [QUARTER], phases))


def test_an_intensity_has_its_prices_and_a_change_may_be_negative(
    connection: Connection, write: Write
) -> None:
    load(
        connection, write,
        [
            f"{ENT},energy-intensity,2024,0.52,tce/1e4CNY@2020,100",
            f"{ENT},co2-intensity-change-last-year,2024-Q1,-3.5,%@2020,100",
        ],
    )  # fmt: skip
    found = {t.indicator: (t.value, t.price_year) for t in load_targets(connection)}
    assert found == {
        "energy-intensity": (Decimal(520), 2020),
        "co2-intensity-change-last-year": (Decimal("-3.5"), 2020),
    }


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("co3,2024,1,t,100", "indicator: 'co3': take one of co2,"),
        ("co2-intensity,2024,1,t,100", "unit: 't': take one of kg/1e4CNY, t/1e4CNY"),
        ("co2-intensity,2024,1,t/1e4CNY@20,100", "names no year of prices"),
        ("co2-intensity,2024,1,t/1e4CNY,80;100", "levels: '80;100': write 100"),
        ("co2-intensity,2024,-1,t/1e4CNY,100", "value: '-1': must be above zero"),
        ("co2-intensity-change-previous,2024,-100,%,100", "value: '-100': is a change in per cent"),
        ("co2,2024,1,t@2020,100", "unit: 't@2020': take one of kg, t"),
    ],
)
def test_a_faulty_target_is_refused_by_its_field(
    connection: Connection, write: Write, row: str, named: str
) -> None:
    assert any(named in error for error in refused(connection, write, [f"{ENT},{row}"]))


def test_value_added_is_told_in_yuan(connection: Connection, write: Write) -> None:
    load(connection, write, [])
    activity = "entity,month,indicator,value,unit,provisional"
    for unit, named in (
        ("t", "unit: 't': take one of CNY, 1e4CNY"),
        ("1e8CNY@now", "names no year of prices"),
    ):
        file = write("activity", activity, f"{ENT},2024-01,value_added,1,{unit},true")
        with pytest.raises(LoadRefused, match=named):
            load_files(connection, {"activity": file}, NOW)
    file = write("activity", activity, f"{ENT},2024-01,value_added,1,1e8CNY@2020,true")
    assert load_files(connection, {"activity": file}, NOW)["activity"].added == 1
