"""Simulated loads: registers only grow, both kinds of meter agree, and every fault is what it says."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.connectors.sources.simulate import build_park
from carbonstream.processors.load_faults import Fault, read_faulty
from carbonstream.processors.load_shapes import ORIGIN_MS, Loads, Shape, cumulated, read
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS

NO_MODULUS = 1e12


def one_load(shape: Shape, seed: int, mean: float, register: bool, interval_ms: int = MINUTE_MS) -> Loads:
    return Loads(
        np.array([seed]),
        np.array([shape]),
        np.array([mean]),
        np.array([register]),
        np.array([1.0]),
        np.array([NO_MODULUS]),
        np.array([interval_ms]),
    )


days = st.integers(0, 4_000)
shapes = st.sampled_from(Shape)
seeds = st.integers(0, 2**40)


@given(shapes, seeds, st.floats(1, 50_000), days)
@settings(max_examples=60, deadline=None)
def test_a_register_grows_every_minute(shape: Shape, seed: int, mean: float, day: int) -> None:
    at = ORIGIN_MS + day * DAY_MS + np.arange(2 * 1_440) * MINUTE_MS
    loads = one_load(shape, seed, mean, register=True)
    assert (np.diff(cumulated(loads, np.zeros(len(at), np.int64), at)) > 0).all()


@given(shapes, seeds, st.floats(1, 50_000), days, st.sampled_from([MINUTE_MS, 15 * MINUTE_MS]))
@settings(max_examples=40, deadline=None)
def test_intervals_add_up_to_what_a_register_moves(
    shape: Shape, seed: int, mean: float, day: int, step: int
) -> None:
    end = ORIGIN_MS + (day + 1) * DAY_MS + np.arange(1, DAY_MS // step + 1) * step
    zeros = np.zeros(len(end), np.int64)
    quantity = read(one_load(shape, seed, mean, register=False, interval_ms=step), zeros, end)
    index = read(one_load(shape, seed, mean, register=True), zeros[:2], end[[0, -1]] - [step, 0])
    moved = index[1] - index[0]
    assert round(sum(quantity.tolist()) * 1_000) == round(moved * 1_000)


@given(shapes, seeds)
@settings(max_examples=20, deadline=None)
def test_a_working_week_draws_about_its_mean(shape: Shape, seed: int) -> None:
    week = ORIGIN_MS + 70 * 7 * DAY_MS + np.array([0, 5 * DAY_MS])  # May 2019, after the holiday
    begin, end = cumulated(one_load(shape, seed, 1_000.0, True), np.zeros(2, np.int64), week)
    assert end - begin == pytest.approx(5 * 24 * 1_000, rel=0.02)


def test_the_same_seed_gives_the_same_readings_however_they_are_asked_for() -> None:
    park = build_park(16, 60, seed=7)
    meter = np.tile(np.arange(len(park.loads)), 30)
    end = np.repeat(ORIGIN_MS + 2_500 * DAY_MS + np.arange(30) * MINUTE_MS, len(park.loads))
    together = read(park.loads, meter, end)
    alone = [read(park.loads, meter[i : i + 1], end[i : i + 1])[0] for i in range(0, len(end), 97)]
    assert together[::97].tolist() == alone
    assert build_park(16, 60, seed=8).loads.mean.tolist() != park.loads.mean.tolist()


def test_a_register_rolls_over_at_its_modulus() -> None:
    loads = one_load(Shape.CONTINUOUS, 1, 5_000.0, register=True)
    rolling = Loads(*(getattr(loads, f) for f in ("seed", "shape", "mean", "register", "multiplier")),
                    modulus=np.array([1_000.0]), interval_ms=loads.interval_ms)  # fmt: skip
    at = ORIGIN_MS + 100 * DAY_MS + np.arange(60) * MINUTE_MS
    shown = read(rolling, np.zeros(60, np.int64), at)
    assert (shown < 1_000).all()
    assert (np.diff(shown) < 0).sum() in (4, 5)  # 5 MWh in an hour


def test_holidays_and_weekends_rest() -> None:
    loads = one_load(Shape.TWO_SHIFT, 3, 1_000.0, register=True)
    day = np.array([0, 1, 4, 5, 6, 46, 49]) * DAY_MS  # Mon 1 Jan 2018, Tue, Fri, Sat, Sun; Fri 16 Feb
    begins, ends = (cumulated(loads, np.zeros(7, np.int64), ORIGIN_MS + d) for d in (day, day + DAY_MS))
    factor = (ends - begins) / 24_000
    assert factor == pytest.approx([0.3, 1, 1, 0.7, 0.35, 0.3, 0.3], abs=0.04)


HOURS = 30


def readings(fault: Fault | None, share: float) -> tuple[Counter, Counter]:
    """(all right readings, those sent) of a day, as (meter, end, value)."""
    park = build_park(8, 60, seed=3)
    end = ORIGIN_MS + 2_000 * DAY_MS + np.arange(1, HOURS * 60 + 1) * MINUTE_MS
    meter = np.tile(np.arange(len(park.loads)), len(end))
    end = np.repeat(end, len(park.loads))
    right = Counter(zip(meter.tolist(), end.tolist(), read(park.loads, meter, end).tolist(), strict=True))
    faults = {} if fault is None else {fault: share}
    sent = read_faulty(park.loads, meter, end, faults, seed=5)
    return right, Counter(zip(*(column.tolist() for column in sent), strict=True))


def test_without_faults_the_readings_are_right() -> None:
    right, sent = readings(None, 0)
    assert sent == right


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_strikes_about_its_share_and_nothing_else(fault: Fault) -> None:
    right, sent = readings(fault, 0.2)
    again_right, again = readings(fault, 0.2)
    assert (again_right, again) == (right, sent)  # the same every time
    wrong = (sent - right).total() / right.total()
    lost = (right - sent).total() / right.total()
    expected = {
        Fault.MISSING: (0, 0.2),
        Fault.DUPLICATE: (0.2, 0),
        Fault.SHUFFLE: (0, 0),  # but for the borders of the day
    }.get(fault)
    if expected is not None:
        assert (wrong, lost) == pytest.approx(expected, abs=0.02)
        return
    registers = 8 / 33
    struck = {Fault.RESET: registers * 0.2}.get(fault, 0.2)
    assert wrong == pytest.approx(struck, abs=0.08)
    assert wrong == pytest.approx(lost, abs=0.02)


def test_each_fault_looks_like_itself() -> None:
    right, sent = readings(Fault.X1000, 0.1)
    values = {(m, e): v for m, e, v in right}
    assert {round(v / values[m, e]) for m, e, v in sent - right if values[m, e]} == {1_000}
    right, sent = readings(Fault.CLOCK_SHIFT, 0.3)
    assert {e % HOUR_MS // MINUTE_MS for _, e, _ in right} == set(range(60))
    assert all((m, e - 7 * MINUTE_MS, v) in right for m, e, v in sent - right)
    right, sent = readings(Fault.SHUFFLE, 0.3)
    assert list(sent) != sorted(sent, key=lambda r: r[1])
