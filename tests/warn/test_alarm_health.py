"""Alarm health against the same thing counted by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.alarm_health import (
    BIN_MS,
    STALE_MS,
    Annunciation,
    Flood,
    chattering,
    flooded,
    load,
    stale,
)
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

NOW = 1_800_000_000_000
annunciations = st.lists(
    st.builds(
        Annunciation,
        st.sampled_from("abcd"),
        st.integers(NOW - 3 * HOUR_MS, NOW + HOUR_MS),
        st.integers(1, 3),
        st.integers(1, 3),
    ),
    max_size=60,
)


@given(annunciations, st.integers(1, 4))
def test_what_is_counted_is_what_came_in_the_span(found: list[Annunciation], positions: int) -> None:
    hour = load(found, NOW, HOUR_MS, positions)
    within = [a for a in found if NOW - HOUR_MS < a.at <= NOW]
    assert hour.annunciated == len(within)
    assert (
        hour.rate_mean * positions * 6 == len(within)
        or abs(hour.rate_mean * positions * 6 - len(within)) < 1e-9
    )
    most = max(sum(end - BIN_MS < a.at <= end for a in within) for end in range(NOW, NOW - HOUR_MS, -BIN_MS))
    assert hour.rate_max == most / positions
    assert sum(count for _, count in hour.top) == len(within)
    for priority, share in hour.priority_percent.items():
        assert abs(share * len(within) / 100 - sum(a.priority == priority for a in within)) < 1e-9
    for class_, share in hour.class_percent.items():
        assert abs(share * len(within) / 100 - sum(a.class_ == class_ for a in within)) < 1e-9


@given(st.lists(st.integers(0, 20), max_size=40))
def test_a_flood_begins_above_ten_and_lasts_until_below_five(counts: list[int]) -> None:
    found = flooded(np.array(counts, np.int64), 0, 1)
    inside = {n for f in found for n in range(f.start // BIN_MS, f.end // BIN_MS)}
    is_flood = False
    for n, count in enumerate(counts):
        is_flood = count >= 5 if is_flood else count > 10
        assert (n in inside) == is_flood
    assert sum(f.annunciated for f in found) == sum(counts[n] for n in inside)


def test_a_flood_of_two_positions_is_twice_as_large() -> None:
    counts = np.array([11, 0, 21, 10, 9], np.int64)
    assert flooded(counts, 0, 2) == (Flood(2 * BIN_MS, 4 * BIN_MS, 31),)


def test_three_times_within_a_minute_is_chattering() -> None:
    times = [0, 31 * SECOND_MS, 60 * SECOND_MS, 200 * SECOND_MS]
    assert chattering([Annunciation("a", t, 2, 2) for t in times]) == ("a",)
    assert chattering([Annunciation("a", t * 2, 2, 2) for t in times]) == ()


def test_the_load_is_judged_by_its_mean() -> None:
    def of_an_hour(count: int) -> str:
        return load(
            [Annunciation("a", NOW - n * MINUTE_MS, 3, 3) for n in range(count)], NOW, HOUR_MS, 1
        ).verdict

    assert [of_an_hour(n) for n in (6, 7, 12, 13)] == ["acceptable", "manageable", "manageable", "too much"]


def test_what_stands_for_more_than_a_day_is_stale() -> None:
    raised = [("new", NOW - DAY_MS), ("older", NOW - 3 * DAY_MS), ("old", NOW - STALE_MS - 1)]
    assert stale(raised, NOW) == ("older", "old")
