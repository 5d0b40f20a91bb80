"""Any bytes are read, and nothing faulty goes through unmarked."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.frames import FAULTY, MISSING, Frame, Refusal, Tick, parse_record
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.frames import TYPE_READINGS, TYPE_TICK
from tests.processors.world import JSON, KNOWN_IDS, T0, Document, broken, frame, frames

TYPES = st.sampled_from(["", TYPE_READINGS, TYPE_TICK, "another"])


def parsed(document: object, type_: str = TYPE_READINGS) -> Frame | Tick | Refusal:
    return parse_record(orjson.dumps(document), type_)


@given(st.binary() | st.none(), TYPES)
def test_any_bytes_are_read_or_refused(value: bytes | None, type_: str) -> None:
    assert isinstance(parse_record(value, type_), Frame | Tick | Refusal)


@pytest.mark.parametrize("levels", [500, 990, 1_020])
@pytest.mark.parametrize(
    "member", ["source", "shard", "seq", "mode", "sent", "time", "end", "value", "unit", "meters"]
)
def test_a_record_nested_deeper_than_python_goes_is_read_or_refused(member: str, levels: int) -> None:
    nest = b"[" * levels + b"]" * levels
    sound = orjson.dumps(frame([{"meter": KNOWN_IDS[0], "end": T0, "value": 1}]) | {member: "HERE"})
    assert isinstance(parse_record(sound.replace(b'"HERE"', nest), TYPE_READINGS), Frame | Refusal)
    tick = b'{"tick":1,"time":%b,"reference":{}}' % nest
    assert isinstance(parse_record(tick, TYPE_TICK), Refusal)


@given(broken() | JSON, TYPES)
def test_any_document_is_read_or_refused(document: Document, type_: str) -> None:
    record = parsed(document, type_)
    if isinstance(record, Frame):
        n = len(record)
        for column in (record.meter, record.start, record.end, record.value, record.unit):
            assert len(column) == n
    if isinstance(record, Refusal):
        assert len(record.detail) < 300


@given(frames())
def test_a_frame_of_sound_shape_is_taken_whatever_its_readings_are(document: Document) -> None:
    record = parsed(document)
    assert isinstance(record, Frame)
    assert len(record) == len(document["end"])


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("mode", []),
        ("mode", {}),
        ("mode", None),
        ("mode", "LIVE"),
        ("source", "a\0b"),
        ("source", "x" * 201),
        ("source", ""),
        ("source", 7),
        ("shard", True),
        ("shard", 64),
        ("shard", 1.0),
        ("seq", -1),
        ("seq", 2**62),
        ("sent", None),
        ("meters", "a/b"),
        ("meters", ["a/b", 1]),
        ("meters", ["a/b\0"]),
        ("meters", ["a/" + "b" * 199]),
        ("meter", [1]),
        ("meter", [-1]),
        ("meter", [0.0]),
        ("meter", [True]),
        ("value", [1, 2]),
        ("start", [T0, T0]),
        ("unit", []),
        ("end", None),
    ],
)
def test_a_frame_of_another_shape_is_refused(member: str, value: object) -> None:
    document = frame([{"meter": KNOWN_IDS[0], "end": T0, "value": 1}])
    record = parsed(document | {member: value})
    assert isinstance(record, Refusal)
    assert record.code is Outcome.INVALID_FRAME
    assert record.detail.startswith(member) or member in record.detail


@pytest.mark.parametrize("meters", [1, 501])
def test_more_than_500_readings_or_meters_are_oversized(meters: int) -> None:
    readings = [{"meter": f"s/{i % meters}", "end": T0, "value": 1} for i in range(501)]
    document = frame(readings)
    if meters == 501:
        document |= {column: document[column][:1] for column in ("meter", "end", "value")}
    record = parsed(document)
    assert isinstance(record, Refusal)
    assert record.code is Outcome.OVERSIZED
    assert record.readings == len(document["end"])


def test_a_start_that_is_no_time_differs_from_one_that_is_absent() -> None:
    starts = [None, T0, "x", 1.5, True, 2**60, -(2**60)]
    rows = [{"meter": KNOWN_IDS[0], "end": T0 + 1, "value": 1, "start": start} for start in starts]
    record = parsed(frame(rows))
    assert isinstance(record, Frame)
    assert record.start.tolist() == [MISSING, T0] + [FAULTY] * 5


def test_a_value_that_is_no_finite_number_is_nan() -> None:
    values: list[object] = [1, 2.5, None, True, "3", [], {}, 2**64 - 1]
    record = parsed(frame([{"meter": KNOWN_IDS[0], "end": T0, "value": value} for value in values]))
    assert isinstance(record, Frame)
    np.testing.assert_array_equal(record.value, [1, 2.5, *[np.nan] * 5, 2.0**64])


def test_a_tick_names_only_topics_there_are() -> None:
    record = parsed({"tick": 1, "time": T0, "reference": {"ref.meters": 5, "x\0": 1, "later": 2}})
    assert record == Tick(T0, {"ref.meters": 5})


@pytest.mark.parametrize("end", [-1, 2**62, True, 1.0, None])
def test_a_tick_with_an_offset_that_is_none_is_refused(end: object) -> None:
    assert isinstance(parsed({"tick": 1, "time": T0, "reference": {"ref.meters": end}}), Refusal)
