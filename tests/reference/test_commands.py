"""`carbonstream migrate` and `carbonstream load` as a person or a program meets them."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
import typer
from typer.testing import CliRunner

from carbonstream.ops import reference_commands
from carbonstream.schemas.settings import Settings
from tests.commands import carbonstream

from .conftest import Write
from .files import FEED, METERS, SITES, STEEL

app = typer.Typer()
app.command()(reference_commands.migrate)
app.command()(reference_commands.load)


@pytest.fixture
def run(empty_database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr(reference_commands, "settings", lambda: empty_database_settings)
    return CliRunner()


def test_from_an_empty_database_to_a_registered_meter(run: CliRunner, write: Write) -> None:
    first = run.invoke(app, ["migrate", "--json"])
    assert json.loads(first.stdout)["applied"][0] == "0001_reference"
    assert run.invoke(app, ["migrate"]).stdout == "nothing to apply\n"
    files = [str(write("sites", SITES, STEEL)), str(write("meters-of-huzhou", METERS, FEED))]
    loaded = run.invoke(app, ["load", "--packaged", *files, "--json"])
    assert loaded.exit_code == 0, loaded.output
    summary = json.loads(loaded.stdout)
    assert summary["meters"] == {"rows": 1, "added": 1, "changed": 0}
    assert summary["packaged"]["coefficients"]["added"] > 1_400
    again = run.invoke(app, ["load", *files])
    assert again.stdout.splitlines() == [
        "sites: 1 rows, 0 new, 0 changed",
        "meters: 1 rows, 0 new, 0 changed",
    ]


def test_one_bad_file_loads_nothing_of_the_command(
    run: CliRunner, write: Write, empty_database_settings: Settings
) -> None:
    run.invoke(app, ["migrate"])
    bad = write(
        "meters", METERS, FEED.replace("900", "none"), FEED.replace("E01", "E02").replace("true", "?")
    )
    refused = run.invoke(app, ["load", "--packaged", "--sites", str(write("sites", SITES, STEEL)), str(bad)])
    assert refused.exit_code == 2
    lines = refused.stderr.splitlines()
    assert [line.split(": ")[:3] for line in lines[:2]] == [
        ["meters.csv:2", "interval_s", "'none'"],
        ["meters.csv:3", "boundary", "'?'"],
    ]
    assert lines[-1] == "carbonstream: 2 errors, nothing was loaded"
    with psycopg.connect(empty_database_settings.database) as connection:
        assert connection.execute("select count(*) from region").fetchone() == (0,)
    as_json = run.invoke(
        app, ["load", "--packaged", "--sites", str(write("sites", SITES, STEEL)), str(bad), "--json"]
    )
    assert len(json.loads(as_json.stdout)["errors"]) == 2


@pytest.mark.parametrize("arguments", [[], ["nothing.csv"], ["sites.csv", "--sites", "sites.csv"]])
def test_a_command_that_says_too_little_or_too_much(
    run: CliRunner, write: Write, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder: Path = write("sites", SITES, STEEL).parent
    monkeypatch.chdir(folder)
    assert run.invoke(app, ["load", *arguments]).exit_code == 2


@pytest.mark.parametrize("words", [["held", "list"], ["rejects", "list"], ["topics"]])
def test_without_tables_a_command_names_the_one_that_makes_them(
    empty_database_settings: Settings, kafka_settings: Settings, words: list[str]
) -> None:
    done = carbonstream(
        kafka_settings.model_copy(update={"database": empty_database_settings.database}), *words
    )
    assert done.code == 2
    assert "run `carbonstream migrate`" in done.err


@pytest.mark.parametrize("speed", ["-1", "nan", "inf"])
def test_a_replay_at_no_speed_there_is_is_refused(
    empty_database_settings: Settings, write: Write, speed: str
) -> None:
    readings = write("readings", "meter,time,value", "a/1,2024-01-01T00:15:00+08:00,1")
    done = carbonstream(empty_database_settings, "replay", readings, "--speed", speed)
    assert (done.code, "--speed" in done.err) == (2, True)
