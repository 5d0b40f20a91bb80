"""CSV files become readings, or every one of their errors is told."""

import gzip
import math
from datetime import UTC, datetime
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.connectors.sources.framing import Columns
from carbonstream.connectors.sources.replay.formats import Format, parse, uncompressed
from carbonstream.connectors.sources.replay.plan import frames_by_shard, pieces, with_slots
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.frames import MAX_READINGS
from carbonstream.schemas.shards import shard_of, site_of

STEEL = files("carbonstream.schemas") / "reference" / "steel" / "Steel_industry_data.csv.gz"
QUARTER_MS = 900_000


def ms(*at: int) -> int:
    return int(datetime(*at, tzinfo=UTC).timestamp()) * 1_000  # type: ignore[misc]


def test_the_steel_plants_year_is_whole() -> None:
    year = parse(uncompressed(STEEL.read_bytes()), Format.UCI_STEEL, "330502-0001/E01")
    assert len(year) == 35_040
    assert year.end[0] == ms(2017, 12, 31, 16, 15)  # 2018-01-01 00:15 local
    assert year.end[-1] == ms(2018, 12, 31, 16, 0)  # 24:00 of 31 December local
    assert set(np.diff(year.end).tolist()) == {QUARTER_MS}
    assert year.start is not None
    assert (year.end - year.start == QUARTER_MS).all()
    assert round(math.fsum(year.value), 6) == 959_640.31
    assert sum(round(v * 1_000) for v in year.value.tolist()) == 959_640_310  # Wh
    assert year.unit == "kWh"


def test_time_ends_the_interval_and_keeps_its_offset() -> None:
    found = parse(
        b"meter,time,value,unit\n"
        b"a/1,2024-01-01T00:15:00+08:00,1.5,kWh\n"
        b"b/x/1,2023-12-31T16:15:00Z,2,\n"
        b"\n"
        b"a/1,2024-01-01T24:00:00+08:00,3,MWh\n",
        Format.CSV,
    )
    assert found.ids == ("a/1", "b/x/1")
    assert found.meter.tolist() == [0, 1, 0]
    assert found.end.tolist() == [ms(2023, 12, 31, 16, 15), ms(2023, 12, 31, 16, 15), ms(2024, 1, 1, 16)]
    assert found.start is None
    assert found.value.tolist() == [1.5, 2, 3]
    assert isinstance(found.unit, np.ndarray)
    assert found.unit.tolist() == ["kWh", None, "MWh"]


def test_start_and_end_are_taken_where_the_file_has_both() -> None:
    found = parse(
        "\ufeffmeter,start,end,value\na/1,2024-01-01T00:00:00Z,2024-01-01T00:15:00Z,1\n".encode(), Format.CSV
    )
    assert found.start is not None
    assert found.start.tolist() == [ms(2024, 1, 1)]
    assert found.end.tolist() == [ms(2024, 1, 1, 0, 15)]


def test_every_error_is_told_with_its_line_and_field() -> None:
    with pytest.raises(LoadRefused) as refused:
        parse(
            b"meter,start,end,value,unit\n"
            b"a/1,2024-01-01T00:00:00Z,2024-01-01T00:15:00Z,1,kWh\n"
            b"nosite,2024-01-01T00:00:00Z,2024-01-01T00:15:00Z,1,kWh\n"
            b"a/1,2024-01-01T00:00:00,2024-01-01T00:15:00Z,1,kWh\n"
            b"a/1,2024-01-01T00:00:00Z,1999-01-01T00:15:00Z,1,kWh\n"
            b"a/1,2024-01-01T00:00:00Z,2024-01-01T00:15:00Z,nan,kWh\n"
            b"a/1,2024-01-01T00:00:00Z,2024-01-01T00:15:00Z,1e999,kWh\n"
            b'a/1,2024-01-01T00:00:00Z,2024-01-01T00:15:00Z,"1,5",kWh\n'
            b"a/1,2024-01-01T00:00:00Z,2024-01-01T00:15:00Z,1,kwh\n"
            b"a/1,2024-01-01T00:00:00Z,2024-01-01T00:15:00Z,1\n",
            Format.CSV,
        )
    told = sorted((int(e.split()[1].rstrip(":")), e.split(": ")[1]) for e in refused.value.errors)
    assert told == [
        (3, "meter"), (4, "start"), (5, "end"), (6, "value"), (7, "value"), (8, "value"), (9, "unit"),
        (10, "4 fields, the header has 5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no readings"),
        (b"\nmeter,time,value\na/1,2024-01-01T00:00:00Z,2\n", "line 1, the names of its columns, is empty"),
        (b"a/1,2024-01-01T00:00:00Z,2\n", "line 1: columns a/1,2024"),
        (b"meter,time,value\na/1,2024-01-01T00:00:00Z,1_000\n", "'1_000' is not a number"),
        (b"meter,time,value\n", "no readings"),
        (b"meter,value\na/1,2\n", "line 1: columns"),
        (b"meter,time,value,colour\na/1,2024-01-01T00:00:00Z,2,red\n", "line 1: columns"),
        (b"meter,start,end,value\na/1,2024-01-01T01:00:00Z,2024-01-01T01:00:00Z,2\n", "not before end"),
        (b"meter,time,value\na/1,2024-01-01T00:00:00Z,\xff\n", "line 2: not UTF-8"),
        (b'meter,time,value\na/1,"2024-01-01T00:00:00Z,2\n', "not CSV"),
    ],
)
def test_a_file_that_is_no_file_of_readings_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(LoadRefused, match=why):
        parse(content, Format.CSV)


def test_a_file_may_be_gzipped_and_a_damaged_one_says_so() -> None:
    content = b"meter,time,value\na/1,2024-01-01T00:00:00Z,2\n"
    packed = gzip.compress(content)
    assert uncompressed(packed) == uncompressed(content) == content
    with pytest.raises(LoadRefused, match="damaged"):
        uncompressed(packed[:-9])


def test_very_many_errors_are_counted_rather_than_listed() -> None:
    with pytest.raises(LoadRefused) as refused:
        parse(b"meter,time,value\n" + b"x,y,z\n" * 1_000, Format.CSV)
    assert len(refused.value.errors) == 201
    assert refused.value.errors[-1] == "... and 2800 more"


@st.composite
def files_of_readings(draw: st.DrawFn) -> Columns:
    n = draw(st.integers(1, 3_000))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    ids = tuple(f"s{i}/m" for i in range(draw(st.integers(1, 12))))
    end = 1_704_067_200_000 + rng.integers(0, draw(st.sampled_from([1, 10, 400])), n) * QUARTER_MS
    return Columns(ids, rng.integers(0, len(ids), n), None, end, rng.random(n), None)


@given(files_of_readings(), st.sampled_from([None, QUARTER_MS, 7_200_000]))
@settings(max_examples=60, deadline=None)
def test_a_plan_holds_each_reading_once_by_time_and_within_its_slot(
    file: Columns, slot_ms: int | None
) -> None:
    planned = pieces(file, slot_ms)
    assert sorted(np.concatenate([p.rows for p in planned]).tolist()) == list(range(len(file)))
    seen: dict[int, int] = {}
    newest: dict[int, int] = {}
    for piece in planned:
        assert 0 < len(piece.rows) <= MAX_READINGS
        assert piece.number == seen.get(piece.shard, 0)
        seen[piece.shard] = piece.number + 1
        assert {shard_of(site_of(file.ids[i])) for i in file.meter[piece.rows].tolist()} == {piece.shard}
        ends = file.end[piece.rows]
        assert (np.diff(ends) >= 0).all()
        assert ends[0] >= newest.get(piece.shard, 0)
        newest[piece.shard] = int(ends[-1])
        if slot_ms is not None:
            assert (ends > piece.slot * slot_ms).all()
            assert (ends <= (piece.slot + 1) * slot_ms).all()
    assert frames_by_shard(planned) == seen
    if slot_ms is not None:
        slots = list(with_slots(planned))
        assert [slot for slot, _ in slots] == list(range(slots[0][0], slots[-1][0] + 1))
        assert [p for _, its_pieces in slots for p in its_pieces] == planned


@given(files_of_readings())
@settings(max_examples=10, deadline=None)
def test_a_plan_is_the_same_every_time(file: Columns) -> None:
    first, second = pieces(file, QUARTER_MS), pieces(file, QUARTER_MS)
    assert [(p.shard, p.number, p.rows.tolist()) for p in first] == [
        (p.shard, p.number, p.rows.tolist()) for p in second
    ]
