"""Numbers of a source that are not where they should stand."""

from __future__ import annotations

import orjson

from carbonstream.processors.accepted_frames import Gap
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS
from tests.processors.stream import Record, counted
from tests.processors.world import KNOWN_IDS, NEAR, T0, frame


def sent(*seqs: int, mode: str = "live") -> list[Record]:
    rows = [{"meter": KNOWN_IDS[4], "end": T0, "value": 1}]
    return [Record(orjson.dumps(frame(rows, seq=seq, source="a|b", mode=mode))) for seq in seqs]


def gap(first: int, last: int) -> Gap:
    return Gap("a|b", "live", NEAR, first, last, (T0 - 1 + OFFSET_MS) // DAY_MS)


def test_numbers_left_out_are_named_with_the_day_of_what_came_instead() -> None:
    assert counted(sent(5, 6, 9, 10, 12)).take_gaps() == [gap(7, 8), gap(11, 11)]


def test_the_first_number_and_a_known_one_leave_no_gap() -> None:
    assert counted(sent(900, 901, 900, 901, 902)).take_gaps() == []


def test_two_frames_swapped_leave_a_gap_where_the_first_should_stand() -> None:
    assert counted(sent(0, 2, 1, 3)).take_gaps() == [gap(1, 1)]


def test_each_mode_is_numbered_by_itself() -> None:
    assert counted(sent(0) + sent(7, mode="backfill") + sent(1)).take_gaps() == []


def test_a_counter_that_takes_over_sees_a_gap_between_the_two() -> None:
    assert counted(sent(4), counted(sent(1))).take_gaps() == [gap(2, 3)]
