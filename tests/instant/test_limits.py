"""interval-limit and maximum-demand: raised after the on-delay, cleared after the off-delay below the deadband."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.instant.readings import LATENESS_MS
from carbonstream.processors.instant.told import Told
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import local_iso
from carbonstream.schemas.warning_rules import RuleKind
from tests.instant.world import QUARTER, T0, Reading, begun, fleet, frame, kw, rule, said

LIMIT = rule(RuleKind.INTERVAL_LIMIT, "meter:S0/*", "limit=100;on_s=1800;off_s=1800;deadband=10")
DEMAND = rule(RuleKind.MAXIMUM_DEMAND, "meter:S0/E0", "capacity=200;k=1.05")


def judged(readings: list[Reading], *rules: object, size: int = 1, mode: Mode = Mode.LIVE) -> list[Told]:
    """All changes of readings sent `size` a frame."""
    judge = begun(fleet(3), *rules)  # type: ignore[arg-type]
    told: list[Told] = []
    for first in range(0, len(readings), size):
        some = readings[first : first + size]
        told += judge.frame(frame(some, mode=mode, tick=some[-1].end))
    return [*told, *judge.clock(readings[-1].end + 10 * LATENESS_MS)]


def series(*kilowatts: int, number: int = 0) -> list[Reading]:
    return [Reading(T0 + (i + 1) * QUARTER, number, kw(value)) for i, value in enumerate(kilowatts)]


def limits(told: list[Told]) -> list[tuple[str, str, int]]:
    return [entry for entry in said(told) if not entry[0].startswith("silence")]


def test_a_limit_is_told_after_its_on_delay_and_cleared_after_its_off_delay() -> None:
    # two slots above 100 kW; 95 is in the deadband, one slot of 80 is too short
    told = judged(series(50, 101, 101, 95, 80, 95, 80, 80, 50), LIMIT)
    id_ = "interval-limit:site:S0:S0/E0:20240101T081500"
    assert limits(told) == [(id_, "active", T0 + 2 * QUARTER), (id_, "cleared", T0 + 7 * QUARTER)]


def test_a_value_at_the_limit_is_not_above_it_and_one_slot_is_shorter_than_the_on_delay() -> None:
    assert limits(judged(series(100, 101, 100, 101, 100), LIMIT)) == []


def test_maximum_demand_is_told_at_once_with_what_it_compared() -> None:
    told = [t for t in judged(series(209, 210, 211, 250, 100), DEMAND) if t.about == "S0/E0"]
    assert [t.transition.bucket for t in told] == [T0 + 2 * QUARTER, T0 + 4 * QUARTER]
    facts = told[0].facts
    assert (facts["rate"], facts["rate_unit"], facts["threshold"]) == ("211", "kW", "210")
    assert (facts["quantity"], facts["unit"]) == ("52.75", "kWh")
    assert (told[1].facts["peak"], told[1].facts["peak_at"]) == ("250", local_iso(T0 + 3 * QUARTER))


def test_shorter_readings_are_averaged_over_the_demand_interval() -> None:
    minute = QUARTER // 15
    values = [100_000] * 14 + [3_000_000] + [0] * 30  # Wh a minute: 17,600 kW on average, 180,000 at the peak
    readings = [Reading(T0 + (i + 1) * minute, 0, wh, minute) for i, wh in enumerate(values)]
    (raised, *_) = judged(readings, rule(RuleKind.MAXIMUM_DEMAND, "meter:S0/E0", "capacity=17599;k=1"))
    assert raised.facts["rate"] == "17600"
    nothing = judged(readings, rule(RuleKind.MAXIMUM_DEMAND, "meter:S0/E0", "capacity=17600;k=1"))
    assert limits(nothing) == []


def test_a_gap_neither_clears_an_alarm_nor_counts_to_the_on_delay() -> None:
    readings = [r for i, r in enumerate(series(101, 101, 50, 50, 50, 50, 50)) if i not in (2, 3)]
    told = limits(judged(readings, LIMIT))
    assert [entry[1:] for entry in told] == [("active", T0 + QUARTER), ("cleared", T0 + 5 * QUARTER)]
    broken = [r for i, r in enumerate(series(101, 101, 101)) if i != 1]
    assert limits(judged(broken, LIMIT)) == []


def test_hours_that_come_late_in_one_frame_are_judged_slot_by_slot() -> None:
    minute = QUARTER // 15
    readings = [Reading(T0 + (i + 1) * minute, 0, 4_000, minute) for i in range(60)]  # 240 kW for an hour
    judge = begun(fleet(3), DEMAND)
    told = list(judge.frame(frame(readings, tick=T0 + 100 * QUARTER)))
    assert [t.transition.bucket for t in told] == [T0]


def test_an_estimate_is_no_reading() -> None:
    assert limits(judged(series(500, 500, 500), LIMIT, mode=Mode.ESTIMATE)) == []


def test_an_episode_is_judged_by_the_rule_it_began_under() -> None:
    lower = replace(
        LIMIT, version=2, valid_from=T0 + 3 * QUARTER, parameters=LIMIT.parameters | {"limit": 10}
    )
    told = judged(series(101, 101, 101, 80, 80, 80, 80), LIMIT, lower)
    assert [(t.definition.version, t.transition.state) for t in told if t.about == "S0/E0"] == [
        (1, "active"), (1, "cleared"), (2, "active"),
    ]  # fmt: skip


values = st.lists(st.sampled_from([0, 80, 95, 100, 101, 250]), min_size=1, max_size=40)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Reading], list[Reading]]:
    """Readings of three meters with some missing, in order; and delivered late, some of them twice."""
    readings = []
    for number in range(3):
        readings += [r for r in series(*draw(values), number=number) if draw(st.integers(0, 6))]
    readings = sorted(readings) or series(0)
    again = [r for r in readings if not draw(st.integers(0, 5))]
    delivered = [(r.end + draw(st.integers(0, LATENESS_MS - 1)), r) for r in [*readings, *again]]
    return readings, [r for _, r in sorted(delivered)]


@settings(max_examples=150, deadline=None)
@given(worlds(), st.integers(1, 9), st.sampled_from([Mode.LIVE, Mode.BACKFILL]))
def test_order_frames_and_repetition_change_no_history(
    world: tuple[list[Reading], list[Reading]], size: int, mode: Mode
) -> None:
    in_order, delivered = world
    assert sorted(limits(judged(delivered, LIMIT, DEMAND, size=size))) == sorted(
        limits(judged(in_order, LIMIT, DEMAND, mode=Mode.LIVE))
    )


@settings(max_examples=100, deadline=None)
@given(worlds(), st.integers(0, 60))
def test_a_restart_from_any_checkpoint_goes_on_as_if_nothing_had_been(
    world: tuple[list[Reading], list[Reading]], cut: int
) -> None:
    readings = world[1]
    judge, told = begun(fleet(3), LIMIT, DEMAND), []
    for i, reading in enumerate(readings):
        if i == cut:
            blocks = dict(judge.silence.take_blocks())
            restarted = begun(fleet(3), LIMIT, DEMAND)
            restarted.unpack(judge.pack(), blocks)
            judge = restarted
        told += judge.frame(frame([reading], tick=reading.end))
    told += judge.clock(readings[-1].end + 10 * LATENESS_MS)
    assert said(told) == said(judged(readings, LIMIT, DEMAND))
