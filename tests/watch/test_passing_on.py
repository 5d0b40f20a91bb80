"""What watch reads of a record's headers, and what it makes of the record."""

from __future__ import annotations

import orjson
import pytest

from carbonstream.processors.watch import FirstCopies, heads, rejects_frame, tick_signal
from carbonstream.schemas.emissions import RejectsFrame
from carbonstream.schemas.frames import (
    HEADER_REJECTS,
    HEADER_TICK,
    TYPE_EMISSIONS,
    cloud_event_headers,
)
from carbonstream.schemas.totals import TickSignal

PLAIN = cloud_event_headers(TYPE_EMISSIONS, "convert", "topic-id/3/41")


def test_a_record_without_tick_and_rejects_says_so_undecoded() -> None:
    said = heads(PLAIN)
    assert (said.tick, said.rejects, said.origin) == (None, 0, (41, "topic-id/3"))


def test_tick_and_rejects_stand_in_the_headers() -> None:
    said = heads([*PLAIN, (HEADER_TICK, b"1704067200000"), (HEADER_REJECTS, b"7")])
    assert (said.tick, said.rejects) == (1_704_067_200_000, 7)


def test_a_record_without_an_id_is_not_ours() -> None:
    with pytest.raises(KeyError):
        heads(None)


def test_only_the_first_answer_to_an_offset_is_passed_on() -> None:
    first = FirstCopies()
    assert [first.take(0, offset) for offset in (5, 6, 5, 6, 7)] == [True, True, False, False, True]
    assert first.take(1, 5)


def test_a_recreated_topic_begins_anew() -> None:
    first = FirstCopies()
    assert [first.take(0, *of) for of in ((5, "old/0"), (0, "new/0"), (0, "new/0"))] == [True, True, False]


def test_a_partition_taken_again_begins_anew() -> None:
    first = FirstCopies()
    first.take(0, 5)
    first.drop(0)
    assert first.take(0, 4)


def test_a_tick_signal_has_its_shape() -> None:
    assert TickSignal.model_validate_json(tick_signal(3, 1_704_067_200_000)).partition == 3


def test_a_rejects_frame_has_its_shape_and_nothing_else() -> None:
    reject = {"row": 0, "code": 22, "meter": "S/M", "start": None, "end": 1, "value": "1", "unit": "m3"}
    emissions = {
        "source": "a source",
        "origin": {"topic_id": "topic-id", "partition": 3, "offset": 41, "previous": 40},
        "tick": 1,
        "rejects": [reject | {"detail": None}],
        "meters": ["S/M"],
    }
    frame = RejectsFrame.model_validate_json(rejects_frame(orjson.dumps(emissions)))
    assert frame.rejects[0].code == 22
