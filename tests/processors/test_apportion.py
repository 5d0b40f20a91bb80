"""Intervals cut at hours."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.apportion import apportion
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, YEAR_2000_MS

SPANS = st.one_of(
    st.integers(0, 3 * HOUR_MS),
    st.sampled_from([0, 1, HOUR_MS, DAY_MS]),
    st.integers(0, 40 * DAY_MS),
    st.integers(0, 10).map(lambda months: months * 30 * DAY_MS),
)
STARTS = st.one_of(
    st.integers(0, 200_000).map(lambda h: YEAR_2000_MS + h * HOUR_MS),
    st.integers(YEAR_2000_MS, YEAR_2000_MS + 50 * 365 * DAY_MS),
)
QUANTITIES = st.integers(0, 10**15) | st.sampled_from([0, 1, 10**15])


@given(st.lists(st.tuples(STARTS, SPANS, QUANTITIES), max_size=4))
def test_parts_follow_each_other_within_hours_and_add_up(intervals: list[tuple[int, int, int]]) -> None:
    start = np.array([s for s, _, _ in intervals], np.int64)
    end = np.array([s + span for s, span, _ in intervals], np.int64)
    quantity = np.array([q if span else 0 for _, span, q in intervals], np.int64)
    parts = apportion(start, end, quantity)
    assert (parts.start // HOUR_MS == np.maximum(parts.end - 1, parts.start) // HOUR_MS).all()
    for i, (first, last, whole) in enumerate(
        zip(start.tolist(), end.tolist(), quantity.tolist(), strict=True)
    ):
        mine = np.flatnonzero(parts.of == i)
        borders = [first, *parts.end[mine].tolist()]
        assert parts.start[mine].tolist() == borders[:-1]
        assert borders[-1] == last
        assert parts.last[mine].tolist() == [False] * (len(mine) - 1) + [True]
        assert sum(parts.quantity[mine].tolist()) == whole
        for k in mine.tolist():
            share = int(parts.quantity[k]) * max(last - first, 1) - whole * int(parts.end[k] - parts.start[k])
            assert abs(share) < max(last - first, 1)
        if last > first:
            assert (parts.end[mine] > parts.start[mine]).all()


def test_ten_years_of_a_large_meter_do_not_overflow() -> None:
    start, end = np.array([YEAR_2000_MS]), np.array([YEAR_2000_MS + 3_652 * DAY_MS])
    parts = apportion(start, end, np.array([10**15 - 7]))
    assert len(parts.of) == 3_652 * 24
    assert int(parts.quantity.sum()) == 10**15 - 7
    assert int(parts.quantity.max() - parts.quantity.min()) <= 1
