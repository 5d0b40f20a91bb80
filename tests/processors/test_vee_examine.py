"""Checks that know a meter's habit: what each tells, and what makes no difference to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.ops.vee_score.series import Floats, Ints, Series
from carbonstream.processors.vee.examine import Array, examine
from carbonstream.processors.vee.findings import NOTHING, Readings
from carbonstream.processors.vee.profile import Habits
from carbonstream.schemas.codes import Check
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS
from tests.processors.vee_world import charger, office, roof

LEARNED_DAYS = 42  # six weeks: judging begins on a Monday


def readings(series: Series, rows: slice, value: Floats | None = None, slot: int = 0) -> Readings:
    end = series.end[rows]
    quantity = np.rint((series.value if value is None else value)[rows] * 1_000).astype(np.int64)
    n = len(end)
    return Readings(
        np.full(n, slot),
        end - series.interval_ms,
        end,
        quantity,
        np.full(n, series.interval_ms),
        np.zeros(n, bool),
    )


def told(found: Array) -> list[tuple[int, str]]:
    return [(int(f["row"]), Check(int(f["check"])).name) for f in found]


def taught(series: Series, days: int = LEARNED_DAYS) -> tuple[Habits, int]:
    habits = Habits()
    cut = days * DAY_MS // series.interval_ms
    examine(readings(series, slice(0, cut)), habits, learning=True)
    return habits, cut


def changed(series: Series, rows: slice, factor: float) -> Floats:
    value = series.value.copy()
    value[rows] *= factor
    return value


OFFICE = office(60)
LEARNED, CUT = taught(OFFICE)
NOON = CUT + 12


def after(value: Floats, hours: int = 96) -> list[tuple[int, str]]:
    habits = Habits()
    for name in ("profile", "recent", "habit"):
        getattr(habits, name)[:] = getattr(LEARNED, name)
    return told(examine(readings(OFFICE, slice(CUT, CUT + hours), value), habits))


def test_normal_life_tells_nothing() -> None:
    assert after(OFFICE.value) == []


def test_a_spike_is_told_by_the_reading_behind_it() -> None:
    assert after(changed(OFFICE, slice(NOON, NOON + 1), 5)) == [(13, "SPIKE")]


def test_a_value_that_stays_is_frozen_once() -> None:
    value = OFFICE.value.copy()
    value[NOON : NOON + 9] = value[NOON - 1]
    assert [name for _, name in after(value)] == ["FROZEN"]


@pytest.mark.parametrize(
    ("factor", "name"),
    [(10, "UNIT_TENFOLD"), (1_000, "UNIT_THOUSANDFOLD"), (2, "MULTIPLIER"), (1 / 3, "MULTIPLIER")],
)
def test_a_changed_level_is_told_within_a_day(factor: float, name: str) -> None:
    found = [
        (row, check) for row, check in after(changed(OFFICE, slice(NOON, None), factor)) if check != "HIGH"
    ]
    assert [check for _, check in found] == [name]
    assert found[0][0] < 36


def test_a_hole_is_told_when_two_readings_more_have_come_behind_it() -> None:
    habits, cut = taught(OFFICE)
    examine(readings(OFFICE, slice(cut, cut + 5)), habits)
    assert told(examine(readings(OFFICE, slice(cut + 8, cut + 20)), habits)) == [(2, "MISSING")]


def test_late_repeated_and_contradicting_readings_are_told_apart() -> None:
    habits, cut = taught(OFFICE)
    examine(readings(OFFICE, slice(cut, cut + 5)), habits)
    examine(readings(OFFICE, slice(cut + 6, cut + 8)), habits)
    late = readings(OFFICE, slice(cut + 5, cut + 6))
    assert told(examine(late, habits)) == [(0, "SEQUENCE")]
    assert told(examine(late, habits)) == [(0, "DUPLICATE")]
    other = readings(OFFICE, slice(cut + 5, cut + 6), OFFICE.value + 1)
    assert told(examine(other, habits)) == [(0, "CLOCK")]


@pytest.mark.parametrize("series", [office(5), roof(5), charger(5)], ids=lambda s: s.meter)
def test_without_a_habit_nothing_is_told(series: Series) -> None:
    chance = np.random.default_rng(1)
    wild = series.value * 1_000.0 ** chance.uniform(-1, 1, len(series.value))
    assert not len(examine(readings(series, slice(None), wild), Habits()))


def test_no_readings_tell_nothing() -> None:
    none = np.empty(0, np.int64)
    assert examine(Readings(none, none, none, none, none, none.astype(bool)), Habits()) is NOTHING


@settings(max_examples=4)
@given(st.sampled_from([2, 7, 64, 1_000]), st.sampled_from([0.2, 3.0, 10.0]), st.integers(0, 40))
def test_the_meter_s_size_makes_no_difference(factor: int, fault: float, at: int) -> None:
    """Values that are whole in either size, so that rounding is none."""
    whole = Series("office", HOUR_MS, OFFICE.end, np.rint(OFFICE.value * 10))
    rows = slice(CUT + at, CUT + at + 30)
    results = []
    for k in (1, factor):
        sized = Series("office", HOUR_MS, whole.end, whole.value * k)
        habits, _ = taught(sized)
        faulty = sized.value.copy()
        faulty[rows] = np.rint(whole.value[rows] * fault) * k
        results.append(told(examine(readings(sized, slice(CUT, CUT + 120), faulty), habits)))
    assert results[0] == results[1]


@settings(max_examples=4)
@given(st.data())
def test_frames_may_be_cut_and_ordered_in_any_way(data: st.DataObject) -> None:
    """One meter beside another, in frames of any size and any order within a frame."""
    series = office(21), charger(21, HOUR_MS)
    n = 21 * 24
    value = [changed(s, slice(430, 470), data.draw(st.sampled_from([1.0, 3.0, 10.0]))) for s in series]
    whole = _both(series, value, np.arange(2 * n))
    one, other = Habits(), Habits()
    first = examine(whole, one)
    found = []
    at = 0
    while at < n:
        size = data.draw(st.integers(1, 400))
        rows = np.concatenate([np.arange(at, min(at + size, n)), n + np.arange(at, min(at + size, n))])
        order = np.random.default_rng(data.draw(st.integers(0, 9))).permutation(rows)
        part = examine(_both(series, value, order), other)
        found += [(int(order[f["row"]]), int(f["check"]), int(f["of"])) for f in part]
        at += size
    assert sorted(found) == sorted((int(f["row"]), int(f["check"]), int(f["of"])) for f in first)
    for name in ("profile", "recent", "habit"):
        assert (getattr(one, name) == getattr(other, name)).all()


def _both(series: tuple[Series, Series], value: list[Floats], rows: Ints) -> Readings:
    end = np.concatenate([s.end for s in series])[rows]
    quantity = np.rint(np.concatenate(value) * 1_000).astype(np.int64)[rows]
    slot = np.repeat([3, 700], len(series[0].end))[rows]
    return Readings(
        slot, end - HOUR_MS, end, quantity, np.full(len(rows), HOUR_MS), np.zeros(len(rows), bool)
    )


# What each meter delivers: entries of (frame, end, quantity), one meter's in the order in which they are judged.
Deliveries = list[list[tuple[int, int, int]]]


def deliveries(chance: np.random.Generator, days: int, judged: int) -> Deliveries:
    """Five meters: changed levels, spikes, repeated values, holes and late readings in the days that are judged."""
    found: Deliveries = []
    for series in (
        office(days),
        office(days, seed=6),
        charger(days, HOUR_MS),
        roof(days),
        office(days, seed=7),
    ):
        value = series.value.copy()
        first = (days - judged) * 24
        begin = first + int(chance.integers(0, 48))
        value[begin : begin + 30] *= chance.choice([1.0, 1 / 3, 2.0, 10.0, 1_000.0])
        value[first + chance.integers(0, judged * 24, 3)] *= 6
        frozen = first + int(chance.integers(0, judged * 24 - 12))
        value[frozen : frozen + int(chance.integers(1, 12))] = value[frozen]
        frame = np.arange(len(value))
        late = first + chance.integers(0, judged * 24 - 9, 4)
        frame[late] += chance.integers(1, 8, 4)
        kept = np.ones(len(value), bool)
        kept[first + chance.integers(0, judged * 24, 4)] = False
        quantity = np.rint(value * 1_000).astype(np.int64)
        rows = zip(frame[kept].tolist(), series.end[kept].tolist(), quantity[kept].tolist(), strict=True)
        found.append(sorted(rows))
    return found


def judged_by(
    frames: list[list[tuple[int, int, int]]], slots: list[int], habits: Habits, learned_until: int
) -> set[tuple[int, int, int, int, float]]:
    """Findings as (meter, end of the row, check, of, size). A frame: (meter, end, quantity); all teach, or none."""
    found = set()
    for frame in frames:
        meter, end, quantity = (np.array(column, np.int64) for column in zip(*frame, strict=True))
        n = len(frame)
        part = Readings(
            np.array(slots)[meter], end - HOUR_MS, end, quantity, np.full(n, HOUR_MS), np.zeros(n, bool)
        )
        for f in examine(part, habits, learning=bool((end <= learned_until).all())):
            row = int(f["row"])
            found.add((int(meter[row]), int(end[row]), int(f["check"]), int(f["of"]), float(f["size"])))
    return found


@settings(max_examples=6)
@given(st.integers(0, 10_000))
def test_a_regular_frame_tells_and_learns_what_irregular_ones_do(seed: int) -> None:
    """One hour of neighbouring slots at once, against other slots whose meters are hours apart from each other."""
    days, judged = 22, 5
    given_ = deliveries(np.random.default_rng(seed), days, judged)
    meters = range(len(given_))
    learned_until = office(days).end[(days - judged) * 24 - 1]
    regular: list[list[tuple[int, int, int]]] = [[] for _ in range(days * 24 + 8)]
    for meter in meters:
        for frame, end, quantity in given_[meter]:
            regular[frame].append((meter, end, quantity))
    # both halves are cut where learning ends, so that each frame is of one of them
    irregular = []
    for half in (True, False):
        streams = [[r for r in stream if (r[1] <= learned_until) == half] for stream in given_]
        for step in range(max(map(len, streams)) + 3 * len(streams)):
            at = [(meter, step - 3 * meter) for meter in meters]
            frame = [(m, *streams[m][k][1:]) for m, k in at if 0 <= k < len(streams[m])]
            irregular.append(frame)
    one, other = Habits(), Habits()
    near, far = [11, 12, 13, 14, 15], [600, 8, 40, 3, 77]
    told = judged_by([f for f in regular if f], near, one, learned_until)
    assert told == judged_by([f for f in irregular if f], far, other, learned_until)
    assert told
    for name in ("profile", "recent", "habit"):
        assert (getattr(one, name)[near] == getattr(other, name)[far]).all()


def test_what_was_written_down_is_kept_until_it_is_written_down_again() -> None:
    habits, cut = taught(OFFICE, 20)
    habits.dirty[:] = False
    habits.keeps_before = True
    written = habits.profile[0].tobytes() + habits.habit[0].tobytes()
    examine(readings(OFFICE, slice(cut, cut + 72)), habits)
    assert habits.dirty[0]
    assert habits.before == {0: written}
    assert habits.profile[0].tobytes() + habits.habit[0].tobytes() != written


def test_ten_minutes_are_an_interval_like_another() -> None:
    series = office(18, 10 * MINUTE_MS)
    habits, cut = taught(series, 14)
    assert told(examine(readings(series, slice(cut, None)), habits)) == []
