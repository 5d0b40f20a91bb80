"""The measured detection: on the steel plant's year, and on meters that are nothing like it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carbonstream.ops.cli import app
from carbonstream.ops.vee_score.score import FAULTS, score
from carbonstream.ops.vee_score.series import Series, read_series
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import HOUR_MS, local_iso
from tests.processors.vee_world import charger, office, roof, steel

SURE = ("missing", "negative", "register_reset", "register_rollover", "duplicate", "shuffle")

# of 13 or 14 injected each; a quarter of a year teaches less than the half that the whole file has
REACHED = {"frozen": 1.0, "x1000": 1.0, "clock_shift": 1.0, "x10": 0.92, "spike": 0.84, "ct_swap": 0.78}


def written(series: Series, path: Path) -> Path:
    rows = zip(series.end.tolist(), series.value.tolist(), strict=True)
    lines = [f"{series.meter},{local_iso(end)},{value}" for end, value in rows]
    path.write_text("\n".join(["meter,time,value", *lines]))
    return path


def half_year(whole: Series) -> Series:
    n = len(whole.end) // 2
    return Series(whole.meter, whole.interval_ms, whole.end[n:], whole.value[n:])


@pytest.mark.uncounted
def test_the_score_of_the_steel_half_year_holds() -> None:
    found = score([half_year(steel())], seed=1, rounds=4).document()
    recall = {fault: figures["recall"] for fault, figures in found["faults"].items()}
    assert [fault for fault in SURE if recall[fault] < 1] == []
    assert [fault for fault, least in REACHED.items() if recall[fault] < least] == []
    assert found["false_alarms_per_1000"] <= 1


# A charger may stand for most of a day, and zero times ten is zero: its level is not told for sure.
@pytest.mark.parametrize(
    ("series", "more"),
    [(office(120), ("frozen", "x10")), (roof(120), ("frozen", "x10")), (charger(120, HOUR_MS), ("frozen",))],
    ids=lambda given: given.meter if isinstance(given, Series) else "",
)
def test_other_meters_lose_nothing_that_can_be_told_for_sure(series: Series, more: tuple[str, ...]) -> None:
    found = score([series], seed=1, rounds=1).document()
    recall = {fault: figures["recall"] for fault, figures in found["faults"].items()}
    assert [fault for fault in (*SURE, *more) if recall[fault] < 1] == []


@pytest.mark.uncounted
def test_the_same_seed_gives_the_same_score_and_another_does_not() -> None:
    series = office(42)
    documents = [score([series], seed=seed, rounds=1).document() for seed in (5, 5, 6)]
    assert documents[0] == documents[1] != documents[2]


def test_the_command_prints_what_programs_read(tmp_path: Path) -> None:
    path = written(office(40), tmp_path / "office.csv")
    result = CliRunner().invoke(app, ["vee-score", str(path), "--seed", "3", "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert set(document) == {"faults", "false_alarms_per_1000"}
    assert tuple(document["faults"]) == FAULTS
    assert all(set(figures) == {"injected", "recall", "precision"} for figures in document["faults"].values())


def test_the_command_prints_a_table_for_people(tmp_path: Path) -> None:
    path = written(office(40), tmp_path / "office.csv")
    result = CliRunner().invoke(app, ["vee-score", str(path), "--rounds", "1"])
    assert result.exit_code == 0, result.output
    assert "clock shift" in result.output
    assert "clean readings not accepted" in result.output


def test_what_is_written_is_read(tmp_path: Path) -> None:
    series = roof(20)
    (read,) = read_series([written(series, tmp_path / "roof.csv")])
    assert (read.meter, read.interval_ms, read.offset_ms) == (
        series.meter,
        series.interval_ms,
        series.offset_ms,
    )
    assert read.end.tolist() == series.end.tolist()
    assert read.value.tolist() == series.value.tolist()


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ("a,2024-01-01T01:00:00,1", "line 3: time: '2024-01-01T01:00:00' has no offset"),
        ("a,2024-01-01T01:00:00+08:00,x", "line 3: value: 'x' is not a finite number; leave the line out"),
        (
            "a,2024-01-01T00:00:00+08:00,2",
            "line 3: time: 2024-01-01T00:00:00+08:00 of a has 2 here and 1 in line 2",
        ),
        (",2024-01-01T01:00:00+08:00,1", "line 3: meter: empty; name the meter"),
        ("a,1", "line 3: line: 2 fields"),
        ("a,2024-01-01T01:00:00+08:00,1", "line 2: a has less than 14 days"),
    ],
)
def test_a_wrong_line_is_told_with_its_number_and_remedy(tmp_path: Path, line: str, detail: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(f"meter,time,value\na,2024-01-01T00:00:00+08:00,1\n{line}\n")
    with pytest.raises(LoadRefused, match=r"wrong\.csv: line") as refused:
        read_series([path])
    assert detail in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadRefused, match="name a file that can be read"):
        read_series([tmp_path / "none.csv"])
