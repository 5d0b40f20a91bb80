"""docs/warnings.md does what it says: its cases pass, its numbers compute, and `carbonstream rules` obeys."""

from __future__ import annotations

import doctest
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from carbonstream.ops.cli import app
from carbonstream.ops.load.rows import Refusals
from carbonstream.ops.load.warning_rules import read_warning_rules
from carbonstream.ops.rules.cases import Instant, OfTargets, run_file
from carbonstream.processors.warning_rules import PARAMETERS, RuleBook
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.warnings import Warning as WarningRecord

PAGE = (Path(__file__).parent.parent / "docs" / "warnings.md").read_text(encoding="utf-8")
CASES = "\n".join(re.findall(r"^```toml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
MONTH_JSON = {
    "name": "a steady load",
    "rules": ["pace"],
    "target": {"period": "2024-05", "value": "3000"},
    "series": {"start": "2024-04-01", "step": "day", "values": [{"value": 110.5, "times": 61}]},
    "expect": [{"rule": "pace", "at": "2024-05-01"}],
}

JUDGED_ELSEWHERE = {"consistency", "restatement", "common-cause", "dispute"}  # by no rule of the page


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def rules(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["rules", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def test_every_case_of_the_page_passes(tmp_path: Path) -> None:
    code, printed = rules("test", str(written(tmp_path / "cases.toml", CASES)))
    assert (code, printed.splitlines()[-1]) == (0, "12 cases, 0 failed")


def test_every_rule_has_a_row_and_every_rule_of_targets_a_case(tmp_path: Path) -> None:
    told = set(WarningRecord.model_fields["rule"].annotation.__args__)  # type: ignore[union-attr]
    assert (
        set(re.findall(r"^\| `([a-z-]+)` \| (?:notice|alert|alarm|as its rule)", PAGE, flags=re.MULTILINE))
        == told
    )
    assert {*get_args(OfTargets), *get_args(Instant)} == told - JUDGED_ELSEWHERE
    assert all(f"# {rule}\n" in PAGE and f'rule = "{rule}"' in CASES for rule in told - JUDGED_ELSEWHERE)


def test_the_rule_of_the_page_can_be_loaded(tmp_path: Path) -> None:
    shown = re.search(r"^```csv\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert shown is not None
    refusals = Refusals()
    now = datetime(2025, 1, 1, tzinfo=SHANGHAI)
    found = read_warning_rules(written(tmp_path / "warning_rules.csv", shown[1]), RuleBook(), refusals, now)
    assert (refusals.errors, [(d.rule, d.kind) for d in found.values()]) == (
        [],
        [("steel-plan", "plan-to-date")],
    )


def test_every_parameter_of_every_rule_is_on_the_page() -> None:
    named = {f"`{name}`" for parameters in PARAMETERS.values() for name in parameters}
    assert {name for name in named if name not in PAGE} == set()


def test_the_numbers_of_the_page_compute() -> None:
    examples = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, {}, "warnings", "warnings.md", 0)
    told: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    assert result.attempted >= 1
    assert result.failed == 0, "".join(told)


def test_the_backtest_of_the_page_is_what_the_command_prints() -> None:
    code, printed = rules("backtest", "--json")
    shown = re.search(r"^```json\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert (code, json.loads(printed)) == (0, json.loads(shown[1]))


def test_a_case_that_fails_says_what_differed(tmp_path: Path) -> None:
    wrong = MONTH_JSON | {"expect": [{"rule": "pace", "at": "2024-05-04"}]}
    file = written(tmp_path / "cases.json", json.dumps({"case": [MONTH_JSON, wrong]}))
    code, printed = rules("test", str(file))
    assert code == 1
    assert printed.splitlines() == [
        "passed  a steady load",
        "FAILED  a steady load",
        "  missing     2024-05-04T00:00:00+08:00  pace 100 active",
        "  unexpected  2024-05-01T00:00:00+08:00  pace 100 active",
        "2 cases, 1 failed",
    ]
    code, printed = rules("test", str(file), "--json")
    document = json.loads(printed)
    assert (code, document["cases"], document["failed"]) == (1, 2, 1)
    assert document["results"][1]["missing"][0]["at"] == "2024-05-04T00:00:00+08:00"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rules": ["pase"]}, "case.0.rules.0"),
        ({"rules": ["target-level"]}, "pace is not in rules"),
        ({"target": {"period": "May", "value": 1}}, "case.0.target"),
        (
            {"target": {"period": "2024-05", "value": 0}},
            "case.0.target: Value error, value: must be above zero",
        ),
        ({"target": {"period": "2024-05", "value": 1, "levels": [90, 80]}}, "case.0.target.levels"),
        ({"series": {"start": "1 May", "step": "day", "values": [1]}}, "case.0.series.start"),
        ({"series": {"start": "2024-05-01", "step": "day", "values": [-1]}}, "case.0.series.values.0"),
        ({"expected": []}, "case.0.expected"),
        ({"rules": ["silence"]}, "an instant rule stands alone"),
        ({"rules": ["interval-limit"], "target": None, "expect": []}, "limit is missing"),
        ({"target": None}, "rules of targets need one"),
        ({"target": {"period": "2024-05", "value": 1, "indicator": "co3"}}, "case.0.target.indicator"),
        ({"target": {"period": "2024-05", "value": 1, "indicator": "co2-intensity"}}, "value_added: give it"),
        ({"expect": [{"rule": "pace", "at": "soon"}]}, "case.0.expect.0.at"),
    ],
)
def test_a_faulty_case_is_refused_by_its_field(tmp_path: Path, change: dict[str, object], named: str) -> None:
    file = written(tmp_path / "cases.json", json.dumps({"case": [MONTH_JSON | change]}))
    with pytest.raises(LoadRefused, match=re.escape(named)):
        run_file(file)


def series(path: Path, minutes: int, days: int, *, left_out: int = -1) -> Path:
    """0.1 kWh a minute from 1 January 2023."""
    at, lines = datetime(2023, 1, 1, tzinfo=SHANGHAI), ["meter,time,value"]
    for i in range(days * 24 * 60 // minutes):
        at += timedelta(minutes=minutes)
        if i != left_out:
            lines.append(f"S/1,{at.isoformat()},{minutes / 10}")
    return written(path, "\n".join(lines))


def test_a_backtest_gives_the_same_at_any_length_of_interval(tmp_path: Path) -> None:
    found = {
        rules("backtest", "--json", str(series(tmp_path / "s.csv", minutes, 120)))
        for minutes in (30, 480, 1440)
    }
    ((code, printed),) = found
    month = json.loads(printed)["pace"]["month"]
    assert (code, month["exceeded"], month["warned"], month["false_alarms"]) == (0, 3 + 1, 3 + 1, 0)


def test_a_backtest_refuses_a_series_with_a_gap_by_its_place(tmp_path: Path) -> None:
    file = series(tmp_path / "s.csv", 60, 40, left_out=100)
    result = CliRunner().invoke(app, ["rules", "backtest", str(file)])
    assert isinstance(result.exception, LoadRefused)
    assert "leaves a gap after 2023-01-05T04:00:00+08:00" in str(result.exception)
