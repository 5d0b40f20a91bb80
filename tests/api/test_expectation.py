"""Readings due, against counting them one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.expectation import Metering, Span, completeness, coverage, readings_due, until
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, OFFSET_MS, bucket_start, next_bucket

NEW_YEAR = int(bucket_start(Grain.YEAR, np.array([1_709_000_000_000]))[0])
times = st.integers(NEW_YEAR - 2 * DAY_MS, NEW_YEAR + 3 * DAY_MS)
spans = st.builds(
    Span,
    st.sampled_from([MINUTE_MS, 5 * MINUTE_MS, 7 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, DAY_MS]),
    times,
    st.none() | times,
    st.integers(1, 5),
)


def counted(start: int, end: int, span: Span) -> int:
    """Grid intervals that start in [start, end) and lie whole within the validity, one by one."""
    at = -OFFSET_MS + -(-(start + OFFSET_MS) // span.interval_ms) * span.interval_ms
    found = 0
    while at < end:
        if at >= span.valid_from and (span.valid_to is None or at + span.interval_ms <= span.valid_to):
            found += span.meters
        at += span.interval_ms
    return found


def due(start: int, end: int, *of: Span) -> int:
    return int(readings_due(np.array([start]), np.array([end]), of)[0])


@given(times, times, st.lists(spans, max_size=3))
def test_readings_due_are_the_intervals_counted_one_by_one(a: int, b: int, of: list[Span]) -> None:
    start, end = min(a, b), max(a, b)
    assert due(start, end, *of) == sum(counted(start, end, span) for span in of)


@given(times, spans)
def test_a_day_expects_what_its_hours_expect(at: int, span: Span) -> None:
    day = int(bucket_start(Grain.DAY, np.array([at]))[0])
    hours = np.arange(day, day + DAY_MS, HOUR_MS)
    assert readings_due(hours, hours + HOUR_MS, [span]).sum() == due(day, day + DAY_MS, span)


@given(times, times, spans)
def test_what_is_due_by_an_instant_never_exceeds_what_is_due_in_all(a: int, b: int, span: Span) -> None:
    end = NEW_YEAR + 3 * DAY_MS
    by_a, by_b = (due(NEW_YEAR - 2 * DAY_MS, end, *until([span], at)) for at in sorted((a, b)))
    assert 0 <= by_a <= by_b <= due(NEW_YEAR - 2 * DAY_MS, end, span)


def test_a_quarter_hour_meter_in_service_for_365_days_owes_35040_readings() -> None:
    meter = Span(15 * MINUTE_MS, NEW_YEAR, NEW_YEAR + 365 * DAY_MS, 1)
    months = [NEW_YEAR]
    while len(months) < 13:
        months.append(next_bucket(Grain.MONTH, months[-1]))
    by_month = readings_due(np.array(months[:12]), np.array(months[1:]), [meter])
    assert by_month.sum() == 35_040
    assert by_month[11] == 30 * 96  # 2024 has 366 days: the last is outside


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_completeness_is_whole_only_where_nothing_is_missing(readings: int, expected: int) -> None:
    share = completeness(readings, expected)
    if expected == 0:
        assert share is None
    else:
        assert share is not None
        assert (share == 1) == (readings >= expected)
        assert 0 <= share <= 1
        assert share <= readings / expected


def test_coverage_counts_the_sites_that_were_metered_at_some_time_of_the_period() -> None:
    sites = [
        Metering(NEW_YEAR, None, 4),
        Metering(NEW_YEAR + DAY_MS, NEW_YEAR + 2 * DAY_MS, 1),
        Metering(None, None, 1),
    ]
    days = [coverage(NEW_YEAR + k * DAY_MS, NEW_YEAR + (k + 1) * DAY_MS, sites) for k in (-1, 0, 1, 2)]
    assert days == [0, 0.6666, 0.8333, 0.6666]
    assert coverage(0, 1, []) is None
