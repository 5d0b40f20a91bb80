"""A usual frame is judged as any other: the short way gives what the long one gives, to the bit."""

from __future__ import annotations

import copy
from dataclasses import fields

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.checks import judge, judge_any
from carbonstream.processors.frames import Frame, parse_record
from carbonstream.processors.judged import Judged
from carbonstream.processors.meters import ShardState
from carbonstream.schemas.codes import Mode
from tests.processors.world import BY_ID, KNOWN_IDS, LIMITS, NEAR, QUARTER_MS, T0, Document, frame, reference

METERS = reference().shard(NEAR)
NEAR_IDS = [id_ for id_ in KNOWN_IDS if BY_ID[id_].number % 64 == NEAR]


def both(record: Document, state: ShardState, now: int | None = None) -> tuple[Judged, Judged]:
    """The judgement of a frame, and the long way's; `state` is moved on."""
    read = parse_record(orjson.dumps(record), "")
    assert isinstance(read, Frame), read
    known = METERS.lookup(read.meters)
    long = judge_any(read, known, copy.deepcopy(state), LIMITS.window(read.mode, now))
    judged = judge(read, known, state, now, LIMITS)
    if len(judged.updates):
        state.put(judged.updates, judged.newest, judged.past)
    return judged, long


def assert_same(judged: Judged, long: Judged) -> None:
    for field in fields(Judged):
        if field.name != "is_usual":
            one, other = getattr(judged, field.name), getattr(long, field.name)
            assert one.dtype == other.dtype, field.name
            assert np.array_equal(one, other), field.name


@st.composite
def streams(draw: st.DrawFn) -> list[Document]:
    """Frames of one list of meters, each a step later and a little higher; now and then one that is not."""
    meters = draw(
        st.lists(st.sampled_from(NEAR_IDS), min_size=1, max_size=len(NEAR_IDS), unique=True)
        | st.just(NEAR_IDS)
    )
    if draw(st.integers(0, 3)):
        meters = sorted(meters, key=NEAR_IDS.index)
    end, index = T0, dict.fromkeys(meters, 100.0)
    found = []
    for _ in range(draw(st.integers(2, 6))):
        end += draw(st.sampled_from([1, 1, 1, 1, 2, 0, -1])) * QUARTER_MS
        rows = []
        for meter in meters:
            index[meter] += draw(st.sampled_from([0, 0.001, 0.5, 3, 12.25]) | st.floats(0, 1e3))
            rows.append({"meter": meter, "end": end, "value": index[meter]})
        if not draw(st.integers(0, 5)):
            row = rows[draw(st.integers(0, len(rows) - 1))]
            row |= draw(
                st.sampled_from(
                    [{"value": -1}, {"value": 0}, {"value": 1e300}, {"end": end - 1}, {"start": end - 5}]
                )
            )
        unit = draw(st.sampled_from(["none", "none", "own", "kWh"]))
        if unit != "none":
            for row in rows:
                row["unit"] = BY_ID[row["meter"]].unit if unit == "own" else unit
        found.append(frame(rows, mode=draw(st.sampled_from(["live", "live", "backfill"]))))
    return found


@given(streams(), st.none() | st.integers(-4, 4).map(lambda k: T0 + k * QUARTER_MS))
def test_the_short_way_gives_what_the_long_one_gives(stream: list[Document], now: int | None) -> None:
    state = ShardState()
    for record in stream:
        assert_same(*both(record, state, now))


def test_the_usual_frame_is_taken_the_short_way() -> None:
    state = ShardState()
    for step in range(4):
        rows = [
            {"meter": id_, "end": T0 + step * QUARTER_MS, "value": 10 + step * 0.5, "unit": BY_ID[id_].unit}
            for id_ in NEAR_IDS
        ]
        judged, long = both(frame(rows, mode=Mode.LIVE), state)
        assert_same(judged, long)
        assert judged.is_usual == (step > 0)  # a register's first index begins it
