"""What a meter counts of what it owes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.expectation import Span, reaches_due, readings_due
from carbonstream.schemas.codes import RowFlag
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS
from tests.processors.table import Table
from tests.processors.world import METERS, T0, directory

QUARTER = 15 * MINUTE_MS
DAY = -8 * HOUR_MS + 20_000 * DAY_MS  # a local midnight


def counted(ends: list[int], interval_ms: int = QUARTER) -> int:
    at = np.array(ends, np.int64)
    return int(reaches_due(at[:-1], at[1:], np.full(len(at) - 1, interval_ms)).sum())


@given(st.lists(st.integers(0, DAY_MS // 1_000), min_size=2, unique=True), st.sampled_from([300, 900, 3_600]))
def test_a_meter_never_counts_more_than_it_owes(seconds: list[int], interval_s: int) -> None:
    ends = [DAY + s * 1_000 for s in sorted(seconds)]
    due = readings_due(
        np.array([DAY]), np.array([DAY + DAY_MS]), [Span(interval_s * 1_000, DAY, DAY + DAY_MS, 1)]
    )
    assert counted(ends, interval_s * 1_000) <= min(int(due[0]), len(ends) - 1)


@given(st.integers(-400, 400), st.lists(st.integers(-60, 60), min_size=97, max_size=97))
def test_readings_some_seconds_beside_their_grid_count_all(phase_s: int, jitter_s: list[int]) -> None:
    # up to 450 s off the line, half an interval, of which the jitter takes 60
    phase_s = max(-389, min(389, phase_s))
    ends = [DAY + k * QUARTER + (phase_s + jitter_s[k]) * 1_000 for k in range(97)]
    assert counted(ends) == 96


@pytest.mark.parametrize(("step_s", "count"), [(60, 96), (300, 96), (900, 96), (1_800, 48), (3_600, 24)])
def test_readings_closer_than_the_interval_count_once_an_interval(step_s: int, count: int) -> None:
    ends = [DAY + s * 1_000 for s in range(0, 86_401, step_s)]
    assert counted(ends) == count


def test_a_meter_that_sends_more_often_makes_up_for_no_other() -> None:
    meter = next(m for m in METERS if not m.register and m.interval_ms == QUARTER)
    ends = [T0 + k * 5 * MINUTE_MS for k in range(1, 13)]
    frame = {
        "source": "http/gw-7", "mode": "live", "refused": 0, "held": [], "rejects": [],
        "meters": [meter.meter_id], "numbers": [meter.number], "meter": [0] * 12,
        "start": [at for at, _ in pairwise([T0, *ends])], "end": ends, "quantity": [1_000] * 12, "raw_index": -1,
        "quality": 0, "code": 0,
    }  # fmt: skip
    table = Table(directory())
    table.store([frame])
    assert int(table.rows.counts.sum()) == 4
    assert int((table.rows.flags & RowFlag.WITHIN != 0).sum()) == 8
    assert {(total[0], total[1]) for total in table.sums().values()} == {(4, 12_000)}
