"""Readings of several shards, stored in any interleaving and judged at any moments, give one and the same history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.connectors.warning_rules import rule_book
from carbonstream.processors.calendar_cn import WEEKDAYS_ONLY
from carbonstream.processors.expectation import Span
from carbonstream.processors.pace import Paces
from carbonstream.processors.targets import Target
from carbonstream.processors.warnings import State, Transition, in_force
from carbonstream.processors.warnings_closing import (
    ALLOWANCE_MS,
    LOOK_AHEAD_DAYS,
    closed_by_clock,
    closed_days,
    coverage,
)
from carbonstream.processors.warnings_judging import Day, Sight, days_to_look_into, judge
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, HOUR_MS

DAYS = 4
TARGET = Target(
    "enterprise:E",
    7,
    "co2",
    Grain.MONTH,
    date(2024, 2, 1),
    Decimal(29),
    (Decimal(5), Decimal("7.5"), Decimal(10)),
)
START = TARGET.start
LONG_AFTER = TARGET.end + 400 * DAY_MS


@dataclass
class World:
    """Hourly readings of some shards, as far as they are stored; and what was told."""

    readings: Mapping[int, Sequence[Decimal]]  # shard -> amount of each hour
    stored: dict[int, int] = field(default_factory=dict)  # shard -> hours stored
    told: dict[str, list[Transition]] = field(default_factory=dict)
    paces: Paces = field(default_factory=Paces)
    corrections: int = 0
    waiting: bool = False

    def spans(self) -> dict[int, list[Span]]:
        end = START + DAYS * DAY_MS
        return {shard: [Span(HOUR_MS, START, end, 1)] for shard in self.readings}

    def judge(
        self, now: int = LONG_AFTER, *, changed_from: int = 0, live: bool = False, quiet: bool = False
    ) -> None:
        counts = {}
        hours: dict[int, Decimal] = {}
        for shard, n in self.stored.items():
            counts[shard] = np.zeros(TARGET.days + LOOK_AHEAD_DAYS, np.int64)
            for hour, amount in enumerate(self.readings[shard][:n]):
                counts[shard][hour // 24] += 1
                hours[hour] = hours.get(hour, Decimal(0)) + amount
        daily = [
            sum((hours.get(24 * d + h, Decimal(0)) for h in range(24)), Decimal(0))
            for d in range(TARGET.days)
        ]
        covered = coverage(START, TARGET.days, self.spans(), counts)
        by_clock = closed_by_clock(START, TARGET.days, now)
        closed = closed_days(covered, by_clock, live=live, quiet=quiet)
        sight = Sight(
            TARGET, daily, True, (), covered, by_clock, closed, WEEKDAYS_ONLY, changed_from, rule_book()
        )
        days = {}
        for day in days_to_look_into(sight, self.told):
            sums = {START + h * HOUR_MS: a for h, a in hours.items() if h // 24 == day}
            newest = {
                shard: START + min(n - 1, 24 * day + 23) * HOUR_MS
                for shard, n in self.stored.items()
                if n > 24 * day
            }
            days[day] = Day(sums, newest)
        verdicts, self.waiting = judge(sight, self.told, days, self.paces)
        for verdict in verdicts:
            self.told.setdefault(verdict.id, []).append(verdict.entry.transition)
            self.corrections += verdict.entry.corrects


amounts = st.decimals(min_value=0, max_value=Decimal("0.06"), places=4)
shards = st.dictionaries(
    st.integers(0, 63), st.lists(amounts, min_size=24 * DAYS, max_size=24 * DAYS), min_size=1, max_size=3
)


def whole(readings: Mapping[int, Sequence[Decimal]]) -> World:
    world = World(readings, dict.fromkeys(readings, 24 * DAYS))
    world.judge()
    return world


@settings(max_examples=60, deadline=None)
@given(shards, st.data())
def test_an_import_gives_the_same_history_at_any_speed_and_interleaving(
    readings: Mapping[int, Sequence[Decimal]], data: st.DataObject
) -> None:
    world = World(readings)
    steps = st.lists(st.tuples(st.sampled_from(sorted(readings)), st.integers(1, 40)), max_size=20)
    for shard, more in data.draw(steps):
        before = world.stored.get(shard, 0)
        world.stored[shard] = min(before + more, 24 * DAYS)
        world.judge(changed_from=START + before * HOUR_MS)
    for shard in readings:
        world.stored[shard] = 24 * DAYS
    world.judge()
    assert world.told == whole(readings).told
    assert world.corrections == 0


@settings(max_examples=40, deadline=None)
@given(shards, st.lists(st.integers(0, 24 * DAYS), max_size=20))
def test_readings_as_they_come_give_the_history_that_an_import_of_them_gives(
    readings: Mapping[int, Sequence[Decimal]], moments: list[int]
) -> None:
    world = World(readings)
    for hour in sorted(moments):
        for shard in readings:
            world.stored[shard] = hour
        world.judge(START + hour * HOUR_MS + ALLOWANCE_MS, live=hour > 0)
    for shard in readings:
        world.stored[shard] = 24 * DAYS
    world.judge()
    assert world.told == whole(readings).told
    assert world.corrections == 0


@settings(max_examples=40, deadline=None)
@given(shards, st.data())
def test_whatever_came_late_the_history_ends_with_what_the_totals_say(
    readings: Mapping[int, Sequence[Decimal]], data: st.DataObject
) -> None:
    world = World(readings)
    for shard in data.draw(st.permutations(sorted(readings))):
        world.stored[shard] = data.draw(st.integers(1, 24 * DAYS))
        world.judge(quiet=data.draw(st.booleans()), live=data.draw(st.booleans()))
    for shard in readings:
        world.stored[shard] = 24 * DAYS
    world.judge()
    wanted = whole(readings).told
    assert {id_: in_force(told) for id_, told in world.told.items() if in_force(told)} == {
        id_: in_force(told) for id_, told in wanted.items()
    }


def flat(amount: str, hours: int = 24 * DAYS) -> list[Decimal]:
    return [Decimal(amount)] * hours


def test_a_level_is_raised_at_once_on_a_day_that_is_still_open() -> None:
    world = World({1: flat("0.1")}, {1: 15})
    world.judge(START + 15 * HOUR_MS, live=True)
    assert world.told == {
        "target-level:enterprise:E:co2:2024-02:5": [Transition(State.ACTIVE, START + 14 * HOUR_MS)]
    }


def test_a_plan_is_not_judged_before_its_day_is_closed_by_the_clock() -> None:
    world = World({1: flat("0.05")}, {1: 24})
    world.judge(START + DAY_MS + ALLOWANCE_MS - 1, live=True)
    assert world.told == {}
    world.judge(START + DAY_MS + ALLOWANCE_MS, live=True)
    assert list(world.told) == ["plan-to-date:enterprise:E:co2:2024-02:100"]


def test_a_shard_that_lags_holds_back_an_import_until_it_has_been_quiet() -> None:
    world = World({1: flat("0.05"), 2: flat("0.05")}, {1: 24 * DAYS})
    world.judge()
    assert (world.told, world.waiting) == ({}, True)
    world.judge(quiet=True)
    assert len(world.told) == 4
    assert not world.waiting


def test_a_silent_shard_does_not_hold_back_a_live_entity() -> None:
    world = World({1: flat("0.05"), 2: flat("0.05")}, {1: 24})
    world.judge(START + DAY_MS + ALLOWANCE_MS, live=True)
    assert list(world.told) == ["plan-to-date:enterprise:E:co2:2024-02:100"]


def test_silence_does_not_clear_a_warning() -> None:
    world = World({1: flat("0.05")}, {1: 24})
    for day in range(1, DAYS + 1):
        world.judge(START + day * DAY_MS + ALLOWANCE_MS, live=day == 1)
    assert world.told == {"plan-to-date:enterprise:E:co2:2024-02:100": [Transition(State.ACTIVE, START)]}


def test_a_level_that_is_dropped_from_the_target_is_cleared() -> None:
    world = World({1: flat("0.1")}, {1: 24 * DAYS})
    world.told["target-level:enterprise:E:co2:2024-02:6"] = [Transition(State.ACTIVE, START)]
    world.judge()
    assert world.told["target-level:enterprise:E:co2:2024-02:6"][-1] == Transition(State.CLEARED, START)
