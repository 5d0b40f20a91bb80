"""Whatever is posted becomes columns, or a refusal that names the field."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.connectors.sources.framing import Stamp, by_shard, frames
from carbonstream.connectors.sources.http.openapi import EXAMPLES, NDJSON_EXAMPLE
from carbonstream.connectors.sources.http.parse import JSON, NDJSON, Pushed, parse
from carbonstream.connectors.sources.http.problems import Refused, answer
from carbonstream.processors.frames import MISSING, UNIT_UNKNOWN, Frame, parse_record
from carbonstream.schemas.codes import Edge, Mode
from carbonstream.schemas.frames import ReadingsFrame
from carbonstream.schemas.shards import shard_of

NOW = 1_717_171_717_000
LATEST = NOW + 86_400_000
GOOD: dict[str, Any] = {"meter": "330502-0001/E01", "end": NOW, "value": 1.5}
FRAME: dict[str, Any] = {"meters": ["a/1", "b/1"], "meter": [0, 1], "end": [NOW, NOW], "value": [1, 2.5]}


def taken(document: object, media: str = JSON) -> Pushed:
    return parse(document if isinstance(document, bytes) else json.dumps(document).encode(), media, LATEST)


def fault(document: object, media: str = JSON) -> tuple[str, Edge]:
    with pytest.raises(Refused) as refusal:
        taken(document, media)
    first = refusal.value.faults[0]
    assert len(first.detail) > 10
    return first.field, first.code


@pytest.mark.parametrize("document", [GOOD, [GOOD], {"readings": [GOOD]}])
def test_one_reading_a_list_and_a_batch_say_the_same(document: object) -> None:
    columns = taken(document).columns
    assert (columns.ids, columns.end.tolist(), columns.value.tolist()) == (("330502-0001/E01",), [NOW], [1.5])


def test_lines_are_readings_and_blank_ones_nothing() -> None:
    lines = b"\n" + orjson.dumps(GOOD) + b"\r\n\n" + orjson.dumps(GOOD | {"value": 2}) + b"\n"
    assert taken(lines, NDJSON).columns.value.tolist() == [1.5, 2]


def test_a_time_is_utc_milliseconds_or_iso_with_an_offset() -> None:
    for end in (1_704_039_300_000, "2024-01-01T00:15:00+08:00", "2023-12-31T16:15:00Z", "20231231T161500Z"):
        assert taken(GOOD | {"end": end}).columns.end.tolist() == [1_704_039_300_000]
    assert taken({"meter": "a/1", "time": "2023-12-31T24:00:00+08:00", "value": 0}).columns.end.tolist() == [
        1_704_038_400_000
    ]


def test_a_frame_of_mixed_sites_is_taken_with_its_mode() -> None:
    pushed = taken(FRAME | {"mode": "backfill", "start": [None, NOW - 1], "unit": ["kWh", None], "seq": 4})
    assert pushed.mode is Mode.BACKFILL
    assert {shard for shard, _ in by_shard(pushed.columns)} == {shard_of("a"), shard_of("b")}
    assert pushed.columns.start is not None
    assert pushed.columns.start.tolist() == [MISSING, NOW - 1]


@pytest.mark.parametrize(("name", "document"), EXAMPLES.items())
def test_every_documented_example_is_taken(name: str, document: object) -> None:
    assert len(taken(document).columns) >= 1, name
    assert len(taken(NDJSON_EXAMPLE.encode(), NDJSON).columns) == 2


@pytest.mark.parametrize(
    ("document", "field", "code"),
    [
        (b"", "body", Edge.NOT_JSON),
        (b"{", "body", Edge.NOT_JSON),
        (b'{"meter":"a/1","end":1717171717000,"value":1}}', "body", Edge.NOT_JSON),
        (b'"\xff"', "body", Edge.NOT_JSON),
        (b"[" * 100_000, "body", Edge.NOT_JSON),
        (b'{"a":' * 2_000 + b"NaN", "body", Edge.NOT_JSON),
        (b'{"meter":"a/1","end":1717171717000,"value":NaN}', "value", Edge.NOT_FINITE),
        (b'[{"meter":"a/1","end":1717171717000,"value":-Infinity}]', "[0].value", Edge.NOT_FINITE),
        (b'{"meter":"a/1","end":1717171717000,"value":1e999}', "value", Edge.NOT_FINITE),
        (b'{"meter":"a/1","end":1717171717000,"value":' + b"9" * 400 + b"}", "value", Edge.NOT_FINITE),
        (b'{"meter":"a/1","end":1717171717000,"value":01}', "body", Edge.NOT_JSON),
        (b'{"meter":"a/1","end":NaN,"value":' + b"9" * 400 + b"}", "end", Edge.WRONG_TYPE),
        (1, "body", Edge.WRONG_TYPE),
        (None, "body", Edge.WRONG_TYPE),
        ("a/1", "body", Edge.WRONG_TYPE),
        ([], "readings", Edge.MISSING),
        ({"readings": []}, "readings", Edge.MISSING),
        ({}, "meter", Edge.MISSING),
        ({"readings": {}}, "readings", Edge.WRONG_TYPE),
        ({"readings": [GOOD], "colour": 1}, "colour", Edge.UNKNOWN_FIELD),
        ({"readings": [GOOD], "mode": "fast"}, "mode", Edge.WRONG_TYPE),
        ({"readings": [GOOD], "mode": "estimate"}, "mode", Edge.WRONG_TYPE),
        ([GOOD, 3], "[1]", Edge.WRONG_TYPE),
        ([[GOOD]], "[0]", Edge.WRONG_TYPE),
        ([GOOD] * 10_001, "readings", Edge.TOO_LARGE),
        (GOOD | {"valeu": 1}, "valeu", Edge.UNKNOWN_FIELD),
        (GOOD | {"time": NOW}, "time", Edge.UNKNOWN_FIELD),
        ({"readings": [GOOD, GOOD | {"meter": "nosite"}]}, "readings[1].meter", Edge.METER),
        (GOOD | {"meter": "/E01"}, "meter", Edge.METER),
        (GOOD | {"meter": "a/"}, "meter", Edge.METER),
        (GOOD | {"meter": "a\x00/1"}, "meter", Edge.METER),
        (GOOD | {"meter": "a/" + "1" * 200}, "meter", Edge.METER),
        (GOOD | {"meter": 17}, "meter", Edge.WRONG_TYPE),
        (GOOD | {"end": True}, "end", Edge.WRONG_TYPE),
        (GOOD | {"end": 1717171717000.0}, "end", Edge.WRONG_TYPE),
        (GOOD | {"end": None}, "end", Edge.WRONG_TYPE),
        (GOOD | {"end": 10**30}, "end", Edge.WRONG_TYPE),
        (GOOD | {"end": 2**63}, "end", Edge.TIME),
        (GOOD | {"end": -1}, "end", Edge.TIME),
        (GOOD | {"end": 0}, "end", Edge.TIME),
        (GOOD | {"end": 1717171717}, "end", Edge.TIME),  # seconds
        (GOOD | {"end": 4_102_444_800_000}, "end", Edge.TIME),  # 2100
        (GOOD | {"end": LATEST + 1}, "end", Edge.TIME),
        (GOOD | {"end": "1970-01-01T00:00:00Z"}, "end", Edge.TIME),
        (GOOD | {"end": "2024-01-01T00:15:00"}, "end", Edge.TIME),
        (GOOD | {"end": "yesterday"}, "end", Edge.TIME),
        (GOOD | {"end": "2024-01-01T24:15:00Z"}, "end", Edge.TIME),
        (GOOD | {"start": NOW}, "start", Edge.TIME),
        (GOOD | {"start": "2024-01-01T00:15:00"}, "start", Edge.TIME),
        (GOOD | {"start": []}, "start", Edge.WRONG_TYPE),
        (GOOD | {"value": True}, "value", Edge.WRONG_TYPE),
        (GOOD | {"value": "1"}, "value", Edge.WRONG_TYPE),
        (GOOD | {"value": None}, "value", Edge.WRONG_TYPE),
        (GOOD | {"unit": "kwh"}, "unit", Edge.UNIT),
        (GOOD | {"unit": 1}, "unit", Edge.WRONG_TYPE),
        (GOOD | {"unit": []}, "unit", Edge.WRONG_TYPE),
        ({k: v for k, v in GOOD.items() if k != "value"}, "value", Edge.MISSING),
        ({k: v for k, v in GOOD.items() if k != "end"}, "end", Edge.MISSING),
        ({"meters": []}, "meter", Edge.MISSING),
        (FRAME | {"colour": 1}, "colour", Edge.UNKNOWN_FIELD),
        (FRAME | {"end": NOW}, "end", Edge.WRONG_TYPE),
        (FRAME | {"end": [NOW]}, "meter", Edge.WRONG_TYPE),
        (FRAME | {"end": [NOW, True]}, "end[1]", Edge.WRONG_TYPE),
        (FRAME | {"end": [0, NOW]}, "end[0]", Edge.TIME),
        (FRAME | {"end": [2**63, NOW]}, "end[0]", Edge.TIME),
        (FRAME | {"start": [NOW - 1, NOW]}, "start[1]", Edge.TIME),
        (FRAME | {"meter": [0, 2]}, "meter[1]", Edge.WRONG_TYPE),
        (FRAME | {"meter": [0, -1]}, "meter[1]", Edge.WRONG_TYPE),
        (FRAME | {"meter": [False, True]}, "meter[0]", Edge.WRONG_TYPE),
        (FRAME | {"meters": ["a/1", "a/1"]}, "meters", Edge.METER),
        (FRAME | {"meters": ["a/1", "b"]}, "meters[1]", Edge.METER),
        (FRAME | {"value": [1, "2"]}, "value[1]", Edge.WRONG_TYPE),
        (FRAME | {"unit": "kwh"}, "unit[0]", Edge.UNIT),
        (FRAME | {"unit": ["kWh"]}, "unit", Edge.WRONG_TYPE),
        (FRAME | {"unit": {}}, "unit[0]", Edge.WRONG_TYPE),
        (FRAME | {"mode": 7}, "mode", Edge.WRONG_TYPE),
        ({"meters": [], "meter": [], "end": [], "value": []}, "readings", Edge.MISSING),
    ],
)  # fmt: skip
def test_a_faulty_document_is_refused_by_field_and_code(document: object, field: str, code: Edge) -> None:
    assert fault(document) == (field, code)


def test_half_a_surrogate_pair_is_told_of_in_an_answer_that_can_be_sent() -> None:
    with pytest.raises(Refused) as refusal:
        parse(b'[{"\\ud800":1,"value":NaN}]', JSON, LATEST)
    assert b"?" in bytes(answer(refusal.value, close=False).body)


def test_a_faulty_line_is_named_by_its_number() -> None:
    assert fault(orjson.dumps(GOOD) + b"\n{\n", NDJSON) == ("lines[1]", Edge.NOT_JSON)
    assert fault(b'{"meter":1}\n', NDJSON) == ("lines[0].meter", Edge.WRONG_TYPE)


def test_all_faults_are_counted_and_twenty_are_told() -> None:
    with pytest.raises(Refused) as refusal:
        taken([GOOD, *[GOOD | {"value": i} for i in ("x",) * 50], GOOD])
    assert refusal.value.total == 50
    assert [f.field for f in refusal.value.faults] == [f"[{i}].value" for i in range(1, 21)]


def test_the_last_of_equal_keys_counts() -> None:
    assert taken(b'{"meter":"a/1","end":1717171717000,"value":1,"value":2}').columns.value.tolist() == [2]


TEXTS = ("a/1", "kWh", "live")
KEYS = ("meter", "meters", "value", "end", "time", "start", "unit", "readings", "mode", "x")
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["a/1", "kWh"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["meter", "meters", "value", "end", "time", "start", "unit", "readings", "mode", "x"]
            ),
            inner | st.integers(NOW - 10**9, NOW),
            max_size=6,
        )
    ),
    max_leaves=30,
)


@given(anything, st.sampled_from([JSON, NDJSON]))
@settings(max_examples=200, deadline=None)
def test_any_document_is_taken_whole_or_refused_and_what_is_taken_convert_can_read(
    document: object, media: str
) -> None:
    try:
        columns = taken(document, media).columns
    except Refused:
        return
    for shard, its_columns in by_shard(columns):
        for _, value in frames(Stamp("s", Mode.LIVE, NOW), shard, 0, its_columns):
            frame = parse_record(value, "")
            assert isinstance(frame, Frame)
            assert np.isfinite(frame.value).all()
            assert (frame.end != MISSING).all()
            assert (frame.unit != UNIT_UNKNOWN).all()
            ReadingsFrame.model_validate(orjson.loads(value))
