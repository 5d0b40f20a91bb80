"""What interval meters miss, seen from ticks and rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.expectation import FOREVER_MS, Span, readings_due
from carbonstream.processors.missing import (
    NONE,
    ROW,
    Array,
    Missing,
    Pace,
    Stored,
    Watched,
    missing_of,
    stored_intervals,
    watchable,
)
from carbonstream.schemas.codes import RowFlag
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, OFFSET_MS

MIDNIGHT = 19_723 * DAY_MS - OFFSET_MS  # 2024-01-01, local
QUARTER = 15 * MINUTE_MS
ALWAYS = (0, FOREVER_MS)
STEPS = st.sampled_from([MINUTE_MS, 5 * MINUTE_MS, QUARTER, HOUR_MS, 2 * HOUR_MS, DAY_MS])


def rows(*entries: tuple[int, int, int, int], meter: int = 1, flags: int = 0) -> Array:
    """(start, end, quantity, quality), times from MIDNIGHT on."""
    return np.array([(meter, MIDNIGHT + e, MIDNIGHT + s, q, k, flags) for s, e, q, k in entries], ROW)


def quarters(ends: list[int], quality: int = 0, **more: int) -> Array:
    """Quarter-hours by the number of their end."""
    return rows(*(((k - 1) * QUARTER, k * QUARTER, 1_000 + k, quality) for k in ends), **more)


def watched(interval_ms: int = QUARTER, valid: tuple[int, int] = ALWAYS) -> Watched:
    """One meter, number 1."""
    found = Watched()
    found.register(*(np.array([x], np.int64) for x in (1, interval_ms, *valid)))
    return found


def stored(entries: Array, upto: int, since: int = 0, valid: tuple[int, int] = ALWAYS) -> Stored:
    return stored_intervals(entries, MIDNIGHT + since * QUARTER, MIDNIGHT + upto * QUARTER, QUARTER, valid)


def run_of(one: Stored) -> list[tuple[int, int]]:
    return [(run.start, run.stop) for run in one.runs()]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_nothing_is_missing_until_ticks_have_gone_on_for_the_grace(steps_s: list[int]) -> None:
    pace, now, since = Pace(300_000), MIDNIGHT, MIDNIGHT
    assert pace.upto(now) is None
    for step in steps_s:
        now += step * 1_000
        since = now if step > 300 else since
        upto = pace.upto(now)
        assert upto == (now - 300_000 if now - since >= 300_000 else None)


@given(
    STEPS,
    st.integers(0, 3 * DAY_MS),
    st.integers(0, 3 * DAY_MS),
    st.integers(0, DAY_MS),
    st.integers(0, 2 * DAY_MS),
)
def test_what_is_due_is_what_totals_expect(
    step: int, since: int, length: int, begin: int, valid: int
) -> None:
    # an interval that ends in (since, upto] starts in (since - step, upto - step]
    found = watched(step, (MIDNIGHT + begin, MIDNIGHT + begin + valid + 1))
    since, upto = MIDNIGHT + since, MIDNIGHT + since + length
    edges = np.array([since - step + 1]), np.array([upto - step + 1])
    expected = readings_due(*edges, [Span(step, MIDNIGHT + begin, MIDNIGHT + begin + valid + 1, 1)])
    assert found.due(since, upto).tolist() == [0, max(int(expected[0]), 0)]
    if expected[0] > 0:
        assert found.any_due(since, upto)


def test_a_meter_is_looked_at_where_an_interval_is_lacking_or_it_is_heard_again() -> None:
    meter, since, upto = watched(), MIDNIGHT, MIDNIGHT + 2 * QUARTER
    assert meter.look(since, upto, quarters([1, 2])).tolist() == []
    assert meter.look(since, upto, quarters([2])).tolist() == [1]
    meter.is_silent[1] = True
    assert meter.look(since, upto, quarters([])).tolist() == []
    assert meter.look(since, upto, quarters([1, 2])).tolist() == [1]
    meter.is_silent[1], meter.is_open[1] = False, True
    assert meter.look(since, upto, quarters([1, 2])).tolist() == [1]
    assert meter.look(since, upto, quarters([1, 2], meter=77)).tolist() == [1]  # of a meter that is not known


def test_a_meter_whose_readings_end_off_the_grid_is_left_alone_until_one_ends_on_it() -> None:
    meter, since, upto = watched(), MIDNIGHT, MIDNIGHT + QUARTER
    jitter = rows((7_000, QUARTER - 3_000, 5, 0))
    assert meter.look(since, upto, jitter).tolist() == []
    assert meter.look(upto, upto + QUARTER, quarters([])).tolist() == []
    assert meter.look(upto, upto + QUARTER, quarters([2])).tolist() == []
    assert meter.look(upto + QUARTER, upto + 2 * QUARTER, quarters([])).tolist() == [1]


def test_estimates_do_not_make_an_interval_measured() -> None:
    one = stored(np.concatenate([quarters([1, 2]), quarters([3, 4], 8), quarters([6])]), 6)
    assert one.measured.tolist() == [1_001, 1_002, NONE, NONE, NONE, 1_006]
    assert one.estimate.tolist() == [NONE, NONE, 1_003, 1_004, NONE, NONE]
    assert run_of(one) == [(2, 5)]
    assert one.after(slice(2, 5)) == 1_006


def test_what_a_measurement_covers_in_part_is_neither_known_nor_missing() -> None:
    half_an_hour = rows((0, 2 * QUARTER, 9, 0))
    assert run_of(stored(half_an_hour, 4)) == [(2, 4)]
    assert (stored(half_an_hour, 4).measured == NONE).all()
    late = rows((60_000, QUARTER, 9, 0))
    assert run_of(stored(late, 2)) == [(1, 2)]


def test_parts_of_a_longer_interval_add_up() -> None:
    hours = rows(*((k * HOUR_MS, (k + 1) * HOUR_MS, 10 + k, 0) for k in range(24)))
    one = stored_intervals(hours, MIDNIGHT, MIDNIGHT + 2 * DAY_MS, DAY_MS, ALWAYS)
    assert one.measured.tolist() == [sum(range(10, 34)), NONE]
    assert run_of(one) == [(1, 2)]
    assert run_of(stored_intervals(hours[:-1], MIDNIGHT, MIDNIGHT + DAY_MS, DAY_MS, ALWAYS)) == []


def test_nothing_is_missing_outside_the_validity() -> None:
    valid = (MIDNIGHT + QUARTER + 1, MIDNIGHT + 6 * QUARTER)
    one = stored(quarters([3]), 9, valid=valid)
    assert one.end.tolist() == [MIDNIGHT + k * QUARTER for k in (3, 4, 5, 6)]
    assert missing_of(one, [], MIDNIGHT) == [Missing(MIDNIGHT + 3 * QUARTER, MIDNIGHT + 6 * QUARTER)]


def test_an_import_that_may_go_on_is_not_run_ahead_of() -> None:
    imported = quarters([1, 2, 5], flags=int(RowFlag.BACKFILL))
    one = stored(imported, 7)
    assert [one.may_be_estimated(run) for run in one.runs()] == [True, False]
    live = np.concatenate([imported, quarters([6])])
    assert [stored(live, 7).may_be_estimated(run) for run in stored(live, 7).runs()] == [True, True]


def test_before_the_first_reading_nothing_is_estimated() -> None:
    one = stored(quarters([3]), 4)
    assert [one.may_be_estimated(run) for run in one.runs()] == [False, True]


def test_while_a_gap_lasts_only_new_intervals_are_told_and_then_what_changed() -> None:
    lasting = stored(np.concatenate([quarters([1]), quarters([2], 8)]), 3)
    (run,) = lasting.runs()
    assert lasting.to_send(run, np.array([5, 6]), 8).tolist() == [False, True]
    ended = stored(np.concatenate([quarters([1]), quarters([2, 3], 8), quarters([4])]), 4)
    (run,) = ended.runs()
    assert ended.to_send(run, np.array([1_002, 6]), 8).tolist() == [False, True]
    assert ended.to_send(run, np.array([1_002, 1_003]), 9).tolist() == [True, True]


@given(st.lists(st.sets(st.integers(1, 60)), min_size=1, max_size=5), st.data())
def test_what_is_missing_is_the_same_however_often_it_was_looked_at(
    steps: list[set[int]], data: st.DataObject
) -> None:
    came: set[int] = set()
    known: list[Missing] = []
    upto = 0
    for late in steps:
        upto = min(upto + data.draw(st.integers(1, 15)), 60)
        came |= {k for k in late if k <= upto}
        # what is looked at closely begins at any time after which something came, or all that did
        known = missing_of(stored(quarters(sorted(came)), upto), known, MIDNIGHT)
        holes = [k for k in range(1, upto + 1) if k not in came]
        told = [
            k
            for gap in known
            for k in range(1, upto + 1)
            if gap.start < MIDNIGHT + k * QUARTER
            and (gap.until is None or MIDNIGHT + k * QUARTER <= gap.until)
        ]
        assert told == holes
        assert [gap for gap in known if gap.until is None] == known[-1:] * (upto not in came)


def test_a_long_silence_stays_one_gap_when_what_is_looked_at_moves_on() -> None:
    known = [Missing(MIDNIGHT, None)]
    one = stored(quarters([]), 12, since=8)
    assert missing_of(one, known, MIDNIGHT + 8 * QUARTER) == known
    back = stored(quarters([11, 12]), 12, since=8)
    assert missing_of(back, known, MIDNIGHT + 8 * QUARTER) == [Missing(MIDNIGHT, MIDNIGHT + 10 * QUARTER)]
    at_once = stored(quarters([9, 10, 11, 12]), 12, since=8)
    assert missing_of(at_once, known, MIDNIGHT + 8 * QUARTER) == [Missing(MIDNIGHT, MIDNIGHT + 8 * QUARTER)]
    ended = [Missing(MIDNIGHT, MIDNIGHT + 2 * QUARTER)]
    assert missing_of(at_once, ended, MIDNIGHT + 8 * QUARTER) == ended


@pytest.mark.parametrize(("minutes", "can"), [(1, True), (15, True), (60, True), (120, True), (1_440, True), (7, False),
                                              (90, False), (2_880, False), (0, False)])  # fmt: skip
def test_which_intervals_can_be_estimated(minutes: int, can: bool) -> None:
    assert watchable(minutes * MINUTE_MS) is can
