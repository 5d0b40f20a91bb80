"""Which row stays where several have one meter and time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.meters import Meter
from carbonstream.processors.rows import STORED_BEFORE, Position, Rows, fold, follow, rows_made
from carbonstream.schemas.codes import Quality
from carbonstream.schemas.errors import BrokenChain
from carbonstream.schemas.periods import HOUR_MS
from tests.processors.table import Table, keys_of, totals_of_rows
from tests.processors.world import METERS, T0, directory

Row = tuple[int, int, int, Quality]  # meter, time, quantity, quality
ROWS = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 2), st.integers(0, 2),
        st.sampled_from([Quality.VALID, Quality.REFERENCE_DAY, Quality.INTERPOLATED]),
    ),
    max_size=14,
)  # fmt: skip


def rows_from(rows: list[Row]) -> Rows:
    column = np.array(rows, np.int64).reshape(-1, 4)
    n = len(rows)
    return Rows(
        T0 + column[:, 1], np.full(n, T0 - 1), column[:, 0], column[:, 2], np.full(n, -1), column[:, 3],
        np.zeros(n, np.int64), np.arange(n), np.ones(n, np.int64),
    )  # fmt: skip


def is_estimate(row: Row) -> bool:
    return row[3] is not Quality.VALID


@given(ROWS)
def test_rows_are_decided_as_if_they_came_one_by_one(rows: list[Row]) -> None:
    standing: dict[tuple[int, int], int] = {}
    equal, weaker, replaced = [], [], []
    for i, row in enumerate(rows):
        before = standing.get(row[:2])
        if before is not None and rows[before] == row:
            equal.append(i)
        elif before is not None and is_estimate(row) and not is_estimate(rows[before]):
            weaker.append(i)
        else:
            if before is not None:
                replaced.append((before, i))
            standing[row[:2]] = i
    folded = fold(rows_from(rows))
    assert folded.rows.reading.tolist() == sorted(standing.values())
    assert sorted(folded.equal.reading.tolist()) == equal
    assert sorted(folded.weaker.reading.tolist()) == weaker
    got = zip(folded.replaced.reading.tolist(), folded.replaced_by.tolist(), strict=True)
    assert sorted(got) == sorted(replaced)


@given(ROWS, st.data())
def test_what_is_stored_is_met_as_what_came_before(rows: list[Row], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows)))
    first = fold(rows_from(rows[:at])).rows
    later = rows_from(rows)
    later = later.take(np.arange(at, len(rows)))
    keys = set(keys_of(later))
    stored = first.take(np.array([key in keys for key in keys_of(first)], np.bool_))
    stored.reading[:] = STORED_BEFORE
    in_two, at_once = fold(later, stored), fold(rows_from(rows))
    standing = dict(zip(keys_of(first), zip(first.quantity, first.quality, strict=True), strict=True))
    standing |= zip(
        keys_of(in_two.rows), zip(in_two.rows.quantity, in_two.rows.quality, strict=True), strict=True
    )
    whole = at_once.rows
    assert standing == dict(zip(keys_of(whole), zip(whole.quantity, whole.quality, strict=True), strict=True))


def test_an_estimate_does_not_beat_a_measurement_of_the_same_batch() -> None:
    folded = fold(rows_from([(0, 0, 5, Quality.VALID), (0, 0, 7, Quality.INTERPOLATED)]))
    assert folded.rows.quantity.tolist() == [5]
    assert folded.weaker.quantity.tolist() == [7]


HALF_HOURS = st.tuples(
    st.sampled_from(METERS), st.integers(0, 60), st.integers(0, 9), st.sampled_from([0, 9])
)


@given(st.lists(HALF_HOURS, max_size=20), st.data())
def test_totals_are_the_sums_of_the_rows_after_every_batch(
    rows: list[tuple[Meter, int, int, int]], data: st.DataObject
) -> None:
    table = Table(directory())
    while rows:
        size = data.draw(st.integers(1, len(rows)))
        table.store([_frame(rows[:size])])
        rows = rows[size:]
        assert table.sums() == totals_of_rows(table.rows, table.directory)


def _frame(rows: list[tuple[Meter, int, int, int]]) -> dict[str, object]:
    """An emissions frame as the sink reads it, of half-hours on a grid of ten minutes over the end of a day."""
    end = [T0 + 14 * 3_600_000 + k * 600_000 for _, k, _, _ in rows]
    return {
        "source": "http/gw-7", "mode": "live", "refused": 0, "held": [], "rejects": [],
        "meters": [m.meter_id for m, *_ in rows], "numbers": [m.number for m, *_ in rows],
        "meter": list(range(len(rows))), "start": [at - 1_800_000 for at in end], "end": end,
        "quantity": [q for *_, q, _ in rows], "raw_index": -1, "quality": [q for *_, q in rows], "code": 0,
    }  # fmt: skip


def _answer(offset: int, previous: int, topic: str = "t") -> dict[str, object]:
    origin = {"topic_id": topic, "partition": 3, "offset": offset, "previous": previous}
    return {"origin": origin, "tick": 10 * offset, "reference": {"ref.meters": offset}}


def test_a_second_copy_is_passed_over() -> None:
    position = Position()
    assert follow(position, _answer(4, -1), 0, "t")
    assert not follow(position, _answer(4, -1), 1, "t")
    assert not follow(position, _answer(2, 1), 2, "t")
    assert follow(position, _answer(5, 4), 3, "t")
    assert position == Position(5, 3, 50, {"ref.meters": 5})


@pytest.mark.parametrize("answer", [_answer(6, 5), _answer(5, 3), _answer(5, -1), _answer(5, 4, "u")])
def test_a_gap_or_another_topic_stops_the_partition_and_names_what_to_do(answer: dict[str, object]) -> None:
    position = Position()
    follow(position, _answer(4, -1), 0, "t")
    with pytest.raises(BrokenChain, match="carbonstream repair"):
        follow(position, answer, 7, "t")
    assert position.source_offset == 4


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        ([], [], 0),
        (None, [], 0),
        (0, HOUR_MS // 4, 3),
        ([0, 0, 0], HOUR_MS // 4, 3),
        (0, 30 * 24 * HOUR_MS, 3 * 722),
        ([0, 0, 29 * HOUR_MS], 30 * HOUR_MS, 32 + 32 + 3),
        ([np.iinfo(np.int64).min, np.iinfo(np.int64).max, 0], [HOUR_MS] * 3, 770 + 1 + 3),
    ],
)
def test_a_frame_makes_at_most_a_row_for_each_hour_its_readings_touch(
    start: Any, end: Any, rows: int
) -> None:
    meters = [] if end == [] else [0, 1, 2]
    assert rows_made({"start": start, "end": end, "meter": meters}) == rows
