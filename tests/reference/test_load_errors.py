"""A bad file: every error with its line, field, value and remedy, and nothing loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg import sql

from carbonstream.ops.load import load_files
from carbonstream.schemas.errors import LoadRefused

from .conftest import NOW, Connection, Write
from .files import ACTIVITY, COEFFICIENTS, FEED, METERS, PAPER, SITES, STEEL, TARGETS

TABLES = ("site", "meter", "class", "target", "activity", "outbox", "coefficient", "entity")


def counts(connection: Connection) -> list[object]:
    """Rows of each table."""
    query = sql.SQL("select count(*) from {}")
    return [connection.execute(query.format(sql.Identifier(table))).fetchone() for table in TABLES]


def errors_of(connection: Connection, files: dict[str, Path]) -> list[str]:
    """The errors; that nothing was loaded is checked on the way."""
    before = counts(connection)
    with pytest.raises(LoadRefused) as refused:
        load_files(connection, files, NOW)
    assert counts(connection) == before
    return refused.value.errors


def starts(errors: list[str]) -> list[str]:
    """FILE:LINE: FIELD: VALUE of each."""
    return [": ".join(error.split(": ")[:3]) for error in errors]


def test_every_error_of_every_file_is_named(connection: Connection, write: Write) -> None:
    files = {
        "sites": write(
            "sites",
            SITES,
            STEEL,
            "330502-0002,,Huzhou paper mill,ENT-2,湖纸,Huzhou Paper,,,,339999,C99",
            STEEL,
            "class:7,七,seven,ENT-3,,,,,,330500,C31",
        ),
        "meters": write(
            "meters",
            METERS,
            FEED,
            "no-slash,electricity,register,kWh,1,,900,true,2024-01-01T00:00:00+08:00,",
            "330502-0001/E02,vapour,counter,lb,0,-5,0.5,maybe,2024-01-01,2024-02-30T00:00:00Z",
            "330502-0001/E03,electricity,interval,m3,1.2345,10,900,true,2024-02-01T00:00:00Z,2024-01-01T00:00:00Z",
            "330509-0001/E01,electricity,interval,kWh,1,,900,true,2024-02-01T00:00:00Z,",
            "330502-0002/E01,electricity,interval,kWh,1,,900,true,2024-02-01T00:00:00Z,",
        ),
        "targets": write(
            "targets",
            TARGETS,
            "enterprise:ENT-8,co2,2024-13,-1,tce,100;80",
            "enterprise:ENT-2,energy,2024,5,tce,90",
        ),
        "activity": write("activity", ACTIVITY, "region:330000,2024,Value Added,1e3,t,perhaps"),
        "coefficients": write(
            "coefficients",
            COEFFICIENTS,
            "electricity,fuel,C99@330000,,0.5,kgCO2/kWh,d,2024-06-10,me",
            "electricity,electricity_average,330000,2024-05,0.5,kgCO2/kg,d,2024-06-10,me",
            "electricity,electricity_average,330000,2024-05,0.5,kgCO2/kWh,d,2099-01-01,me",
            "electricity,electricity_average,330000,2024-05,0.5,kgCO2/kWh,d,2024-06-10,me",
            "electricity,electricity_average,330000,2024-05,0.5,kgCO2/kWh,d,2024-06-10,me",
        ),
    }
    assert sorted(starts(errors_of(connection, files))) == sorted(
        [
            "sites.csv:3: name_zh: ''",
            "sites.csv:3: county: '339999'",
            "sites.csv:3: industry: 'C99'",
            "sites.csv:4: site_id: '330502-0001'",
            "sites.csv:5: site_id: 'class:7'",
            "sites.csv:5: enterprise_zh: ''",
            "sites.csv:5: enterprise_en: ''",
            "sites.csv:5: county: '330500'",
            "meters.csv:3: meter_id: 'no-slash'",
            "meters.csv:4: carrier: 'vapour'",
            "meters.csv:4: kind: 'counter'",
            "meters.csv:4: unit: 'lb'",
            "meters.csv:4: multiplier: '0'",
            "meters.csv:4: modulus: '-5'",
            "meters.csv:4: interval_s: '0.5'",
            "meters.csv:4: boundary: 'maybe'",
            "meters.csv:4: valid_from: '2024-01-01'",
            "meters.csv:4: valid_to: '2024-02-30T00:00:00Z'",
            "meters.csv:5: multiplier: '1.2345'",
            "meters.csv:6: meter_id: '330509-0001/E01'",
            "targets.csv:2: entity: 'enterprise:ENT-8'",
            "targets.csv:2: period: '2024-13'",
            "targets.csv:2: value: '-1'",
            "targets.csv:2: levels: '100;80'",
            "targets.csv:2: unit: 'tce'",
            "activity.csv:2: month: '2024'",
            "activity.csv:2: indicator: 'Value Added'",
            "activity.csv:2: value: '1e3'",
            "activity.csv:2: provisional: 'perhaps'",
            "coefficients.csv:2: kind: 'fuel'",
            "coefficients.csv:2: scope: 'C99@330000'",
            "coefficients.csv:2: month: ''",
            "coefficients.csv:3: unit: 'kgCO2/kg'",
            "coefficients.csv:4: published_on: '2099-01-01'",
            "coefficients.csv:6: scope: '330000'",
        ]
    )


def test_what_concerns_two_fields_is_told_once_both_can_be_read(connection: Connection, write: Write) -> None:
    row = "330502-0001/E03,electricity,interval,m3,1,10,900,true,2024-02-01T00:00:00Z,2024-01-01T00:00:00Z"
    errors = errors_of(
        connection, {"sites": write("sites", SITES, STEEL), "meters": write("meters", METERS, row)}
    )
    assert starts(errors) == [
        "meters.csv:2: unit: 'm3'",
        "meters.csv:2: modulus: '10'",
        "meters.csv:2: valid_to: '2024-01-01T00:00:00Z'",
    ]
    assert errors[0].endswith("does not measure electricity: take one of Wh, kWh, MWh, GWh, J, kJ, MJ, GJ")


def test_one_enterprise_has_one_name(connection: Connection, write: Write) -> None:
    other = PAPER.replace("ENT-2", "ENT-1")
    errors = errors_of(connection, {"sites": write("sites", SITES, STEEL, other)})
    assert errors == [
        "sites.csv:3: enterprise_zh: '湖纸': line 2 calls enterprise:ENT-1 湖钢 / Huzhou Steel: use one name"
    ]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "sites.csv:1: header: '': must be site_id,"),
        (b"site_id,name_zh\n", "sites.csv:1: header: 'site_id,name_zh': must be site_id,"),
        (b"\xff\xfe", "sites.csv:0: file: "),
        (SITES.encode() + b"\nS-1,one\n", "sites.csv:2: line: 'S-1,one': has 2 fields, the header 11"),
        (SITES.encode() + b'\n"S-1"x,one\n', "sites.csv:2: line: '': is not CSV"),
        (SITES.encode() + b"\nS-1\0,one\n", "sites.csv:2: line: '\\x00': holds a zero byte"),
    ],
)
def test_a_file_that_is_none(connection: Connection, tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "sites.csv"
    path.write_bytes(content)
    (found,) = errors_of(connection, {"sites": path})
    assert found.startswith(error)


def test_a_file_that_is_not_there(connection: Connection, tmp_path: Path) -> None:
    (error,) = errors_of(connection, {"sites": tmp_path / "sites.csv"})
    assert "cannot be read (No such file or directory)" in error


def test_a_spreadsheet_s_byte_order_mark_spaces_and_empty_lines_are_no_errors(
    connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "sites.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{SITES}\r\n\r\n {STEEL} \r\n,,,,,,,,,,\r\n".encode())
    assert load_files(connection, {"sites": path}, NOW)["sites"].added == 1


def test_a_rule_whose_parts_do_not_fit_is_refused(connection: Connection, write: Write) -> None:
    columns = "rule,carrier,kind,meter,test,field,low,high,decision,owner,note"
    rows = [
        "a,electricity,interval,,range,interval,0,1,question,me,x",
        "b,coalx,,,range,rate,2,1,maybe,me,x",
        "c,,,,range,rate,2,1,question,me,x",
        "d,,,,length,interval,,,question,me,x",
        "e,,,,not_null,start,1,,question,me,x",
        "f,,register,,range,rate,0,1,reject,me,x",
    ]
    found = errors_of(connection, {"rules": write("rules", columns, *rows)})
    assert starts(found) == [
        "rules.csv:2: field: 'interval'",
        "rules.csv:3: carrier: 'coalx'",
        "rules.csv:3: decision: 'maybe'",
        "rules.csv:4: low: '2'",
        "rules.csv:5: low: ''",
        "rules.csv:6: low: '1'",
        "rules.csv:7: decision: 'reject'",
    ]
