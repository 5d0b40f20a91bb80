"""The measured detection: on the steel plant's year, and on meters that are nothing like it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carbonstream.ops.cli import app
from carbonstream.ops.vee_score.score import FAULTS, score
from carbonstream.ops.vee_score.series import Series
from carbonstream.schemas.periods import HOUR_MS, MINUTE_MS
from tests.processors.vee_world import by_the_day, charger, flat, office, roof, steel, written

QUARTER_MS = 15 * MINUTE_MS
SURE = ("missing", "negative", "register_reset", "register_rollover", "duplicate", "shuffle")

# of 13 or 14 injected each; a quarter of a year teaches less than the half that the whole file has
REACHED = {"frozen": 1.0, "x1000": 1.0, "clock_shift": 1.0, "x10": 1.0, "spike": 0.84, "ct_swap": 0.78}


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


# Recall at least, of faults that such meters once hid; and false alarms of 1,000 at most. Evenings of a flat that
# tells whole kWh make peaks of 4 kWh where 2 were the most.
KINDS = [
    (office(21, QUARTER_MS), {"x10": 1.0, "x1000": 1.0, "ct_swap": 1.0}, 1),
    (charger(120, QUARTER_MS), {"x1000": 0.9, "frozen": 1.0}, 1),
    (flat(120, HOUR_MS), {"x1000": 1.0, "frozen": 0.9}, 4),
    (by_the_day(office(730)), {"x1000": 1.0, "spike": 0.9, "x10": 0.6, "frozen": 1.0}, 1),
]


@pytest.mark.parametrize(
    ("series", "least", "most"), KINDS, ids=lambda given: given.meter if isinstance(given, Series) else ""
)
def test_every_kind_of_meter_has_its_faults_found(
    series: Series, least: dict[str, float], most: float
) -> None:
    found = score([series], seed=1, rounds=6).document()
    recall = {fault: found["faults"][fault]["recall"] for fault in least}
    assert {fault: recall[fault] for fault in least if recall[fault] < least[fault]} == {}
    assert found["false_alarms_per_1000"] <= most


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
    assert set(document) == {"faults", "false_alarms_per_1000", "skipped", "lines_left_out"}
    assert tuple(document["faults"]) == FAULTS
    assert all(set(figures) == {"injected", "recall", "precision"} for figures in document["faults"].values())


def test_the_command_prints_a_table_for_people(tmp_path: Path) -> None:
    path = written(office(40), tmp_path / "office.csv")
    result = CliRunner().invoke(app, ["vee-score", str(path), "--rounds", "1"])
    assert result.exit_code == 0, result.output
    assert "clock shift" in result.output
    assert "clean readings not accepted" in result.output
