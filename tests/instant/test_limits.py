"""interval-limit and maximum-demand: raised after the on-delay, cleared after the off-delay below the deadband."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.instant.readings import LATENESS_MS, Fleet
from carbonstream.processors.instant.told import Told
from carbonstream.processors.warning_rules import RuleBook
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import DAY_MS, MINUTE_MS, local_iso
from carbonstream.schemas.warning_rules import RuleKind
from tests.instant.world import QUARTER, T0, Reading, begun, fleet, frame, kw, rule, said

LIMIT = rule(RuleKind.INTERVAL_LIMIT, "meter:S0/*", "limit=100;on_s=1800;off_s=1800;deadband=10")
DEMAND = rule(RuleKind.MAXIMUM_DEMAND, "meter:S0/E0", "capacity=200;k=1.05")


def judged(
    readings: list[Reading], *rules: object, size: int = 1, mode: Mode = Mode.LIVE, until: int = 0
) -> list[Told]:
    """All changes of readings sent `size` a frame, and by the clock then."""
    judge = begun(fleet(3), *rules)  # type: ignore[arg-type]
    told: list[Told] = []
    for first in range(0, len(readings), size):
        some = readings[first : first + size]
        told += judge.frame(frame(some, mode=mode, tick=some[-1].end))
    return [*told, *judge.clock(max(until, readings[-1].end + 10 * LATENESS_MS))]


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


WRONG = rule(RuleKind.INTERVAL_LIMIT, "meter:S0/*", "limit=10")
CHANGED_AT = T0 + 3 * QUARTER + MINUTE_MS  # within a slot: the next one is judged by what is in force then


def ended(told: list[Told]) -> list[tuple[str, int, str, int, str | None, str | None]]:
    """(reference, begun, state, bucket, why it ended, by which version) of the first meter."""
    return [
        (
            t.definition.reference, t.begun, t.transition.state.value, t.transition.bucket,
            t.facts.get("ended"), t.facts.get("ended_by"),
        )
        for t in told
        if t.about == "S0/E0"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parameters": WRONG.parameters | {"limit": Decimal(1_000)}}, "rule-replaced"),
        ({"is_on": False}, "rule-off"),
    ],
)
def test_an_episode_of_a_wrong_limit_ends_when_the_corrected_version_comes_into_force(
    changes: dict[str, Any], reason: str
) -> None:
    corrected = replace(WRONG, version=2, valid_from=CHANGED_AT, **changes)
    assert ended(judged(series(50, 50, 50, 50, 50, 50), WRONG, corrected)) == [
        ("own-interval-limit@1", T0, "active", T0, None, None),
        ("own-interval-limit@1", T0, "cleared", CHANGED_AT, reason, "own-interval-limit@2"),
    ]


def test_an_episode_ends_when_its_rule_covers_the_meter_no_more() -> None:
    elsewhere = replace(WRONG, version=2, valid_from=CHANGED_AT, scope="meter:S9/*")
    assert ended(judged(series(50, 50, 50, 50, 50, 50), WRONG, elsewhere))[1:] == [
        ("own-interval-limit@1", T0, "cleared", CHANGED_AT, "not-covered", None)
    ]


def test_what_is_above_the_new_limit_too_is_a_new_episode_of_the_new_version() -> None:
    lower = replace(WRONG, version=2, valid_from=CHANGED_AT, parameters=WRONG.parameters | {"limit": 5})
    assert ended(judged(series(50, 50, 50, 50, 50, 1), WRONG, lower)) == [
        ("own-interval-limit@1", T0, "active", T0, None, None),
        ("own-interval-limit@1", T0, "cleared", CHANGED_AT, "rule-replaced", "own-interval-limit@2"),
        ("own-interval-limit@2", T0 + 4 * QUARTER, "active", T0 + 4 * QUARTER, None, None),
        ("own-interval-limit@2", T0 + 4 * QUARTER, "cleared", T0 + 5 * QUARTER, None, None),
    ]


def test_the_clock_ends_an_episode_where_no_reading_comes_any_more() -> None:
    judge = begun(fleet(3), WRONG, packaged=False)
    told = list(judge.frame(frame(series(50))))
    off = replace(WRONG, version=2, valid_from=CHANGED_AT, is_on=False)
    judge.begin(fleet(3), RuleBook([WRONG, off]))
    told += [t for now in range(T0, T0 + DAY_MS, MINUTE_MS) for t in judge.clock(now)]
    assert [entry[2:5] for entry in ended(told)] == [
        ("active", T0, None), ("cleared", CHANGED_AT, "rule-off"),
    ]  # fmt: skip


def test_the_episode_of_a_meter_that_was_taken_away_ends_with_its_validity() -> None:
    judge = begun(fleet(3), WRONG, packaged=False)
    told = list(judge.frame(frame(series(50, 50))))
    gone = Fleet(replace(meter, valid_to=CHANGED_AT) for meter in fleet(3).by_number.values())
    judge.begin(gone, RuleBook([WRONG]))
    told += [t for now in range(T0, T0 + DAY_MS, MINUTE_MS) for t in judge.clock(now)]
    assert [entry[2:] for entry in ended(told)[1:]] == [("cleared", CHANGED_AT, "meter-ended", None)]


@pytest.mark.parametrize("restart", [False, True])
def test_an_episode_outlives_a_change_of_the_period_and_is_told_once(restart: bool) -> None:
    longer = replace(
        WRONG, version=2, valid_from=CHANGED_AT, parameters=WRONG.parameters | {"period_s": Decimal(1_800)}
    )
    judge = begun(fleet(3), WRONG, packaged=False)
    told = list(judge.frame(frame(series(50, 50))))
    if restart:
        packed, blocks = judge.pack(), dict(judge.silence.take_blocks())
        judge = begun(fleet(3), WRONG, longer, packaged=False)
        judge.unpack(packed, blocks)
    else:
        judge.begin(fleet(3), RuleBook([WRONG, longer]))
    told += judge.frame(frame(series(50, 50, 50, 50, 50, 50)[2:]))
    told += judge.clock(T0 + DAY_MS)
    assert [entry[:4] for entry in ended(told)] == [
        ("own-interval-limit@1", T0, "active", T0),
        ("own-interval-limit@1", T0, "cleared", CHANGED_AT),
        ("own-interval-limit@2", T0 + 4 * QUARTER, "active", T0 + 4 * QUARTER),
    ]


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


@settings(max_examples=150, deadline=None)
@given(worlds(), st.integers(1, 9), st.integers(0, 50), st.sampled_from([{"limit": Decimal(90)}, None]))
def test_order_and_ticks_change_no_history_where_a_rule_is_replaced_or_switched_off(
    world: tuple[list[Reading], list[Reading]], size: int, minutes: int, lower: dict[str, Decimal] | None
) -> None:
    in_order, delivered = world
    at = T0 + minutes * 7 * MINUTE_MS
    newer = replace(LIMIT, version=2, valid_from=at, is_on=lower is not None)
    newer = replace(newer, parameters=newer.parameters | (lower or {}))
    ticked = begun(fleet(3), LIMIT, newer)
    told: list[Told] = []
    for now in range(T0, T0 + DAY_MS, 5 * MINUTE_MS):
        came = [r for r in in_order if now - 5 * MINUTE_MS < r.end <= now]
        told += ticked.frame(frame(came, tick=now)) if came else ()
        told += ticked.clock(now)
    at_last = judged(delivered, LIMIT, newer, size=size, until=T0 + DAY_MS)
    assert sorted(limits(told)) == sorted(limits(at_last))


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
