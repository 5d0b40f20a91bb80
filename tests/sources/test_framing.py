"""Frames hold exactly the readings they were made of."""

from collections import Counter
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.connectors.sources.framing import Columns, Stamp, by_shard, frames, frames_needed, record
from carbonstream.processors.frames import MISSING, Frame, parse_record
from carbonstream.schemas.carriers import UNITS
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.frames import MAX_READINGS, ReadingsFrame
from carbonstream.schemas.shards import shard_of, site_of

STAMP = Stamp("http/gw-7", Mode.LIVE, 1_717_171_717_000)
IDS = tuple(f"330502-{site:04d}/E{meter}" for site in range(30) for meter in range(3))
times = st.integers(946_656_000_000, 4_102_444_800_000)


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    n = draw(st.integers(1, 1_300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    end = rng.integers(946_656_000_000, 4_102_444_800_000, n)
    start = draw(st.sampled_from([None, end - 900_000, np.where(rng.random(n) < 0.5, MISSING, end - 60_000)]))
    unit = draw(st.sampled_from([None, "kWh", rng.choice(np.array([None, *UNITS], object), n)]))
    value = np.round(rng.normal(0, 1e6, n), draw(st.integers(0, 9)))
    return Columns(IDS, rng.integers(0, len(IDS), n), start, end, value, unit)


def rows(found: Columns) -> Counter:
    start = [None] * len(found) if found.start is None else found.start.tolist()
    unit = found.unit.tolist() if isinstance(found.unit, np.ndarray) else [found.unit] * len(found)
    return Counter(
        zip(
            (found.ids[i] for i in found.meter.tolist()),
            (None if s == MISSING else s for s in start),
            found.end.tolist(),
            found.value.tolist(),
            unit,
            strict=True,
        )
    )


def parsed_rows(value: bytes) -> Counter:
    frame = ReadingsFrame.model_validate(orjson.loads(value))
    n = len(frame.end)
    unit = frame.unit if isinstance(frame.unit, list) else [frame.unit] * n
    return Counter(
        zip(
            (frame.meters[i] for i in frame.meter),
            frame.start or [None] * n,
            frame.end,
            frame.value,
            unit,
            strict=True,
        )
    )


@given(columns())
@settings(max_examples=60, deadline=None)
def test_every_reading_is_in_exactly_one_frame_of_its_shard(all_readings: Columns) -> None:
    found: Counter = Counter()
    for shard, its_readings in by_shard(all_readings):
        made = list(frames(STAMP, shard, 40, its_readings))
        assert [seq for seq, _ in made] == list(range(40, 40 + frames_needed(len(its_readings))))
        for seq, value in made:
            frame = parse_record(value, "")
            assert isinstance(frame, Frame)
            assert (frame.source, frame.shard, frame.seq, frame.mode) == ("http/gw-7", shard, seq, Mode.LIVE)
            assert 0 < len(frame) <= MAX_READINGS
            assert {shard_of(site_of(meter)) for meter in frame.meters} == {shard}
            assert len(set(frame.meters)) == len(frame.meters) == len(set(frame.meter.tolist()))
            found += parsed_rows(value)
    assert found == rows(all_readings)


@given(columns())
@settings(max_examples=30, deadline=None)
def test_readings_of_a_shard_keep_their_order(all_readings: Columns) -> None:
    for _, its_readings in by_shard(all_readings):
        ends = [end for _, value in frames(STAMP, 0, 0, its_readings) for end in orjson.loads(value)["end"]]
        assert ends == its_readings.end.tolist()


def test_a_frame_of_more_than_500_readings_is_never_made() -> None:
    n = MAX_READINGS + 1
    too_many = Columns(IDS, np.zeros(n, np.int64), None, np.full(n, 1_717_171_717_000), np.ones(n), "kWh")
    with pytest.raises(ValueError, match="at most 500"):
        record(STAMP, 0, 0, too_many)


def test_estimates_carry_their_quality_reading_by_reading() -> None:
    columns = Columns(
        ["330502-a/E1", "330502-a/E2"], np.array([0, 1, 0]), None, np.array([900_000, 900_000, 1_800_000]),
        np.array([1.0, 2.0, 3.0]), "kWh", np.array([8, 9, 8]),
    )  # fmt: skip
    sent = orjson.loads(record(Stamp("estimator", Mode.ESTIMATE, 7), 3, 5, columns.rows(np.array([1, 2]))))
    assert (sent["mode"], sent["quality"], sent["value"]) == ("estimate", [9, 8], [2.0, 3.0])
    assert "quality" not in orjson.loads(
        record(Stamp("http/a", Mode.LIVE, 7), 3, 5, replace(columns, quality=None))
    )
