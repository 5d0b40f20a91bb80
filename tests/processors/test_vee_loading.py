"""Files as others write them: taken as far as they are certain, the rest left out and told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carbonstream.ops.cli import app
from carbonstream.ops.vee_score.loading import Loaded, load
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS
from tests.processors.vee_world import by_the_day, office, roof, written

HEADER = "meter,time,value"


def hours(days: int = 20, meter: str = "a", zone: str = "+08:00") -> list[str]:
    times = [f"2024-01-{day:02}T{hour:02}:00:00" for day in range(1, days + 1) for hour in range(24)]
    return [f"{meter},{time}{zone},{1 + i % 7}" for i, time in enumerate(times)]


def loaded(tmp_path: Path, *files: list[str], header: str = HEADER, newline: str = "\n") -> Loaded:
    paths = []
    for i, lines in enumerate(files):
        path = tmp_path / f"{i}.csv"
        path.write_bytes(newline.join([header, *lines]).encode())
        paths.append(path)
    return load(paths)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    series = roof(20)
    (read,) = load([written(series, tmp_path / "roof.csv")]).series
    assert (read.meter, read.interval_ms, read.offset_ms) == (
        series.meter,
        series.interval_ms,
        series.offset_ms,
    )
    assert read.end.tolist() == series.end.tolist()
    assert read.value.tolist() == series.value.tolist()


@pytest.mark.parametrize("minutes", [1, 5, 10, 15, 30, 60])
def test_any_usual_interval_is_found_from_the_times(tmp_path: Path, minutes: int) -> None:
    (read,) = load([written(office(15, minutes * MINUTE_MS), tmp_path / "office.csv")]).series
    assert read.interval_ms == minutes * MINUTE_MS


def test_a_meter_may_report_once_a_day(tmp_path: Path) -> None:
    (read,) = load([written(by_the_day(office(40)), tmp_path / "days.csv")]).series
    assert (read.interval_ms, len(read.end)) == (DAY_MS, 40)


@pytest.mark.parametrize(
    ("header", "lines", "newline"),
    [
        ("\ufeff" + HEADER, hours(), "\n"),
        (HEADER, hours(), "\r\n"),
        (HEADER, hours()[::-1], "\n"),
        (HEADER, ["", *hours(), "", " , , "], "\n"),
        ("Value, Time ,METER", [",".join(line.split(",")[::-1]) for line in hours()], "\n"),
        (HEADER + ",note", [line + ",fine" for line in hours()], "\n"),
        (HEADER, [f"{line}.0e0" for line in hours()], "\n"),
        (HEADER, hours() + hours(), "\n"),
    ],
    ids=["bom", "crlf", "unsorted", "blank lines", "order", "more columns", "scientific", "told twice"],
)
def test_a_file_may_be_written_otherwise(tmp_path: Path, header: str, lines: list[str], newline: str) -> None:
    found = loaded(tmp_path, lines, header=header, newline=newline)
    (plain,) = loaded(tmp_path, hours()).series
    (read,) = found.series
    assert read.end.tolist() == plain.end.tolist()
    assert read.value.tolist() == plain.value.tolist()
    assert found.notes() == []


def test_z_is_an_offset(tmp_path: Path) -> None:
    (read,) = loaded(tmp_path, hours(zone="Z")).series
    (told,) = loaded(tmp_path, hours(zone="+00:00")).series
    assert (read.offset_ms, read.end.tolist()) == (0, told.end.tolist())


def test_an_empty_value_is_a_missing_interval(tmp_path: Path) -> None:
    lines = hours()
    lines[100] = lines[100].rpartition(",")[0] + ","
    found = loaded(tmp_path, lines)
    assert len(found.series[0].end) == len(lines) - 1
    assert found.notes() == []


def test_a_meter_goes_on_in_a_later_file(tmp_path: Path) -> None:
    lines = hours()
    (read,) = loaded(tmp_path, lines[240:], lines[:250]).series
    assert len(read.end) == len(lines)


def test_two_meters_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    other = [f"{line}00" for line in hours()]
    found = loaded(tmp_path, hours(), other)
    assert [s.meter for s in found.series] == ["a", f"a of {tmp_path / '1.csv'}"]
    assert found.notes() == []


def test_of_two_values_of_one_interval_the_first_stays(tmp_path: Path) -> None:
    lines = hours()
    found = loaded(tmp_path, [*lines, lines[5].rpartition(",")[0] + ",99"])
    assert found.series[0].value[5] == 6
    assert found.document()["lines_left_out"] == {"conflict": 1}


def test_an_hour_of_summer_time_moves_no_habit(tmp_path: Path) -> None:
    lines = hours(30, zone="+01:00")
    lines[480:] = [line.replace("+01:00", "+02:00") for line in lines[480:]]
    (read,) = loaded(tmp_path, lines).series
    assert read.offset_ms == HOUR_MS
    assert set((read.end[1:] - read.end[:-1]).tolist()) == {HOUR_MS}


@pytest.mark.parametrize(
    ("line", "kind", "detail"),
    [
        ("a,2024-01-01T01:30:00,1", "no_time", "'2024-01-01T01:30:00' has no offset"),
        ("a,2024-01-01T01:30:00+08:00,x", "no_number", "'x' is not a finite number"),
        ("a,2024-01-01T01:30:00+08:00,inf", "no_number", "'inf' is not a finite number"),
        ("a,2024-01-01T01:30:00+08:00,-0.2", "negative", "-0.2 is below zero"),
        (",2024-01-01T01:30:00+08:00,1", "no_meter", "name the meter"),
        ("a,1", "fields", "2 fields"),
    ],
)
def test_a_line_that_cannot_be_read_is_left_out_and_told(
    tmp_path: Path, line: str, kind: str, detail: str
) -> None:
    found = loaded(tmp_path, [line, *hours()])
    assert found.document()["lines_left_out"] == {kind: 1}
    (note,) = found.notes()
    assert note.startswith(f"{tmp_path / '0.csv'}: line 2: ")
    assert detail in note


def test_a_meter_that_cannot_be_scored_does_not_stop_the_others(tmp_path: Path) -> None:
    half_minutes = [f"fast,2024-01-{1 + i // 5:02}T00:00:{i % 2 * 30:02}Z,1" for i in range(100)]
    path = tmp_path / "all.csv"
    path.write_text("\n".join([HEADER, *hours(8, "short"), *half_minutes, *hours(20, "good")]))
    result = CliRunner().invoke(app, ["vee-score", str(path), "--rounds", "1", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [one["meter"] for one in document["skipped"]] == ["short", "fast"]
    assert "less than 14 days" in document["skipped"][0]["reason"]
    assert "every 0.5 min" in document["skipped"][1]["reason"]
    assert "short: less than 14 days" in result.stderr
    assert document["faults"]["missing"]["injected"] > 0


def test_where_nothing_is_left_the_command_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadRefused, match="a: less than 14 days"):
        loaded(tmp_path, hours(8))


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "line 1: columns missing"),
        (b"meter,time\n", "line 1: columns meter,time;"),
        (b"meter,time,value\n", "no readings"),
        (b"meter,time,value\n\xff", "not UTF-8"),
        (b"\x1f\x8bmeter", "the gzip file is damaged"),
    ],
)
def test_a_file_that_is_none_is_told_and_the_others_are_scored(
    tmp_path: Path, content: bytes, detail: str
) -> None:
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    bad.write_bytes(content)
    good.write_text("\n".join([HEADER, *hours()]))
    found = load([bad, good])
    assert [s.meter for s in found.series] == ["a"]
    assert detail in found.skipped[0].reason


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LoadRefused, match="name a file that can be read"):
        load([tmp_path / "none.csv"])
