"""One target judged: what its totals say of each of its warnings, against what was told of them.

Daily sums end at the first day whose total is unknown (a coefficient is missing): no number, no warning,
and what was told before stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import numpy as np

from carbonstream.processors.calendar_cn import Calendar, day_kinds, local_day
from carbonstream.processors.pace import Forecast, Pace, Paces
from carbonstream.processors.targets import Target
from carbonstream.processors.total_records import text
from carbonstream.processors.warning_rules import Definition, RuleBook
from carbonstream.processors.warnings import (
    PACE,
    PLAN_TO_DATE,
    TARGET_LEVEL,
    Entry,
    State,
    Transition,
    entries,
    in_force,
    state_after,
)
from carbonstream.processors.warnings_closing import Coverage
from carbonstream.processors.warnings_levels import Crossing, crossing_day, crossing_hour, threshold
from carbonstream.processors.warnings_plan import LEVEL, plan_transitions
from carbonstream.schemas.periods import DAY_MS, HOUR_MS
from carbonstream.schemas.warning_rules import RuleKind

History = Sequence[Transition]
NEVER_TOLD: Final[History] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of a target at one judgement.

    daily: sums of the target's indicator by day, up to the first unknown one; known: there is no unknown one.
    before: sums of the days before the period after the last unknown one, newest last. by_clock, closed: how
    many days the clock has closed, and how many are closed (processors.warnings_closing). calendar: which
    days are alike. changed_from: UTC ms; no total of an earlier hour has changed since the last judgement. rules: the
    versions in force when the target's period begins judge it.
    """

    target: Target
    daily: Sequence[Decimal]
    known: bool
    before: Sequence[Decimal]
    covered: Coverage
    by_clock: int
    closed: int
    calendar: Calendar
    changed_from: int
    rules: RuleBook

    @property
    def waits(self) -> bool:
        """Whether to look again when the entity has been quiet for a while."""
        return self.closed < self.by_clock and self.covered.last >= self.closed

    def rule(self, kind: RuleKind, level: Decimal | None = None) -> Definition | None:
        """The rule of a kind that judges the target; None where it is switched off."""
        return self.rules.find(kind, self.target.entity, self.target.start, level)


@dataclass(frozen=True, slots=True)
class Day:
    """A day's hours. sums: start (UTC ms) -> amount; newest: the newest hour a shard has readings of."""

    sums: Mapping[int, Decimal] = field(default_factory=dict)
    newest: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What must be told of one warning."""

    id: str
    rule: str
    level: Decimal
    entry: Entry
    until: int  # UTC ms: the end of the hour or day judged; the snapshot's total is the one up to there
    definition: Definition | None  # None: the rule was switched off, and takes its warnings back
    forecast: Forecast | None = None  # of rule pace; None where it takes a warning back without one


def level_id(target: Target, level: Decimal) -> str:
    """Id of a target-level warning."""
    return ":".join((TARGET_LEVEL, *target.key, text(level) or ""))


def plan_id(target: Target) -> str:
    """Id of a target's plan-to-date warning."""
    return ":".join((PLAN_TO_DATE, *target.key, text(LEVEL) or ""))


def pace_id(target: Target) -> str:
    """Id of a target's pace warning."""
    return ":".join((PACE, *target.key, text(LEVEL) or ""))


def pace_of(sight: Sight, rule: Definition) -> Pace:
    """The closed days of a target, ready to be judged by pace."""
    target, before = sight.target, len(sight.before)
    first = int(local_day(np.array([target.start], np.int64))[0]) - before
    kinds = day_kinds(np.arange(first, first + before + target.days, dtype=np.int64), sight.calendar)
    return Pace(
        sight.before,
        sight.daily[: min(sight.closed, len(sight.daily))],
        kinds.tolist(),
        target.value,
        rule.parameters["clear_below"],
    )


def days_to_look_into(sight: Sight, told: Mapping[str, History]) -> set[int]:
    """Days whose hours `judge` needs: where a level is reached and was not before, or may have moved."""
    found: set[int] = set()
    for level in sight.target.levels:
        crossing = _crossing(sight, level)
        if crossing is not None and not _stands(
            sight, crossing, told.get(level_id(sight.target, level), NEVER_TOLD)
        ):
            found.add(crossing.day)
    return found


def judge(
    sight: Sight, told: Mapping[str, History], hours: Mapping[int, Day], paces: Paces
) -> tuple[list[Verdict], bool]:
    """What must be told, and whether to look again when the entity has been quiet for a while.

    told: the history of each warning of the target, by id; hours: of the days asked for, by day; paces:
    what was found at earlier judgements, perhaps nothing.
    """
    target, verdicts = sight.target, []
    for level in _levels(target, told):
        id_ = level_id(target, level)
        for entry in _judge_level(sight, level, told.get(id_, NEVER_TOLD), hours):
            until = entry.transition.bucket + HOUR_MS
            rule = sight.rule(RuleKind.TARGET_LEVEL, level)
            verdicts.append(Verdict(id_, TARGET_LEVEL, level, entry, until, rule))
    return verdicts + _judge_plan(sight, told) + _judge_pace(sight, told, paces), sight.waits


def _judge_plan(sight: Sight, told: Mapping[str, History]) -> list[Verdict]:
    target, rule = sight.target, sight.rule(RuleKind.PLAN_TO_DATE)
    history = told.get(plan_id(target), NEVER_TOLD)
    closed = min(sight.closed, len(sight.daily))
    found = entries(history, ())
    if rule is not None:
        limits = rule.parameters["active_above"], rule.parameters["clear_below"]
        wanted = plan_transitions(sight.daily[:closed], target.plan, target.start, *limits)
        found = entries(history, wanted, target.start + closed * DAY_MS)
    return [
        Verdict(plan_id(target), PLAN_TO_DATE, LEVEL, entry, entry.transition.bucket + DAY_MS, rule)
        for entry in found
    ]


def _judge_pace(sight: Sight, told: Mapping[str, History], paces: Paces) -> list[Verdict]:
    target, rule = sight.target, sight.rule(RuleKind.PACE)
    history = told.get(pace_id(target), NEVER_TOLD)
    closed = min(sight.closed, len(sight.daily))
    if rule is None:
        return [
            Verdict(pace_id(target), PACE, LEVEL, entry, entry.transition.bucket + DAY_MS, None)
            for entry in entries(history, ())
        ]
    pace, verdicts = pace_of(sight, rule), []
    wanted = paces.transitions(target.key, pace, target.start)
    for entry in entries(history, wanted, target.start + closed * DAY_MS):
        until = entry.transition.bucket + DAY_MS
        day = (entry.transition.bucket - target.start) // DAY_MS
        forecast = pace.at_end_of(day) if day < closed else None
        verdicts.append(Verdict(pace_id(target), PACE, LEVEL, entry, until, rule, forecast))
    return verdicts


def _levels(target: Target, told: Mapping[str, History]) -> list[Decimal]:
    """The target's levels, and those it once had: their warnings are cleared."""
    prefix = ":".join((TARGET_LEVEL, *target.key, ""))
    return sorted(
        {*target.levels, *(Decimal(id_.removeprefix(prefix)) for id_ in told if id_.startswith(prefix))}
    )


def _crossing(sight: Sight, level: Decimal) -> Crossing | None:
    return crossing_day(sight.daily, threshold(sight.target.value, level))


def _start(sight: Sight, crossing: Crossing) -> int:
    return sight.target.start + crossing.day * DAY_MS


def _stands(sight: Sight, crossing: Crossing, history: History) -> bool:
    """Whether it was told of that day already, and nothing up to that day has changed."""
    standing, start = in_force(history), _start(sight, crossing)
    told_of_day = bool(standing) and start <= standing[-1].bucket < start + DAY_MS
    return told_of_day and state_after(standing) is State.ACTIVE and sight.changed_from >= start + DAY_MS


def _judge_level(sight: Sight, level: Decimal, history: History, hours: Mapping[int, Day]) -> list[Entry]:
    if level not in sight.target.levels or sight.rule(RuleKind.TARGET_LEVEL, level) is None:
        return entries(history, ())
    crossing = _crossing(sight, level)
    if crossing is None:
        return entries(history, ()) if sight.known else []
    if _stands(sight, crossing, history):
        return []
    active = state_after(in_force(history)) is State.ACTIVE
    day, start = hours[crossing.day], _start(sight, crossing)
    hour = crossing_hour(day.sums, crossing.before, threshold(sight.target.value, level))
    if hour is None:  # the day is older than hours are kept
        hour = in_force(history)[-1].bucket if active else start
    at_once = crossing.day >= sight.by_clock and not active
    if at_once or _is_certain(sight, crossing, day, hour):
        return entries(history, (Transition(State.ACTIVE, hour),))
    return []


def _is_certain(sight: Sight, crossing: Crossing, day: Day, hour: int) -> bool:
    """Whether nothing before `hour` is under way: its day is closed, or every shard has come to it."""
    behind: set[int] = set()
    for shards in sight.covered.behind[sight.closed : crossing.day + 1]:
        behind |= shards
    return all(day.newest.get(shard, -1) >= hour for shard in behind)
