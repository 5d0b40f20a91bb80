"""habit: a meter's hour against its own week, explained by the range, the same in any order and after a restart."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

from carbonstream.processors.instant.habit import WEEK_H, WeekModel
from carbonstream.processors.instant.readings import LATENESS_MS
from carbonstream.processors.instant.told import Told
from carbonstream.processors.warning_rules import Definition
from carbonstream.schemas.periods import HOUR_MS
from carbonstream.schemas.warning_rules import RuleKind
from tests.instant.world import QUARTER, T0, Reading, begun, fleet, frame, rule, said

RULE = rule(RuleKind.HABIT, "meter:S0/E0", "z=4;share=30;learn_h=672")
WEEKS = 6


@cache
def usual(hour: int) -> int:
    """Wh of a quarter: shifts on working days, little at night, seeded noise."""
    day, at = divmod(hour, 24)
    busy = 50_000 if day % 7 < 5 and 8 <= at < 18 else 5_000
    return int(busy * (1 + random.Random(hour).uniform(-0.1, 0.1)))


def readings(changed: dict[int, int] | None = None, missing: range = range(0)) -> list[Reading]:
    changed = changed or {}
    return [
        Reading(T0 + h * HOUR_MS + (q + 1) * QUARTER, 0, changed.get(h, usual(h)))
        for h in range(WEEKS * WEEK_H)
        if h not in missing
        for q in range(4)
    ]


def judged(series: list[Reading], size: int = 400, *more: Definition) -> list[Told]:
    judge = begun(fleet(1), RULE, *more, packaged=False)
    told: list[Told] = []
    for at in range(0, len(series), size):
        told += judge.frame(frame(series[at : at + size], tick=series[-1].end))
    return told


def test_an_episode_ends_when_its_rule_is_switched_off() -> None:
    night = 5 * WEEK_H + 2 * 24 + 1
    at = T0 + (night + 3) * HOUR_MS
    off = replace(RULE, version=2, valid_from=at, is_on=False)
    told = judged(readings(dict.fromkeys(range(night, night + 5), 50_000)), 400, off)
    assert [(t.transition.state, t.transition.bucket, t.facts.get("ended")) for t in told] == [
        ("active", T0 + (night + 1) * HOUR_MS, None), ("cleared", at, "rule-off"),
    ]  # fmt: skip


def test_ordinary_weeks_are_no_news() -> None:
    assert judged(readings()) == []


def test_a_night_like_a_working_day_is_told_with_its_expected_range() -> None:
    night = 5 * WEEK_H + 2 * 24 + 1
    told = judged(readings(dict.fromkeys(range(night, night + 5), 50_000)))
    assert [(t.transition.state, t.transition.bucket) for t in told] == [
        ("active", T0 + (night + 1) * HOUR_MS), ("cleared", T0 + (night + 6) * HOUR_MS),
    ]  # fmt: skip
    facts = told[0].facts
    assert facts["value"] == 200
    assert facts["low"] <= facts["expected"] <= facts["high"] < facts["value"]
    assert 15 < facts["expected"] < 40


def test_a_stopped_shift_is_told_too() -> None:
    noon = 5 * WEEK_H + 24 + 10
    told = judged(readings(dict.fromkeys(range(noon, noon + 4), 0)))
    assert [t.transition.state for t in told] == ["active", "cleared"]


def test_the_week_stays_in_step_over_a_gap() -> None:
    gap = range(4 * WEEK_H + 30, 4 * WEEK_H + 80)
    assert judged(readings(missing=gap)) == []


def test_order_frames_and_a_restart_change_no_history() -> None:
    night = 5 * WEEK_H + 2 * 24 + 1
    series = readings(dict.fromkeys(range(night, night + 5), 50_000))
    wanted = said(judged(series))
    chance = random.Random(5)
    delivered = sorted(series, key=lambda r: r.end + chance.randrange(LATENESS_MS))
    judge, told = begun(fleet(1), RULE, packaged=False), []
    for at in range(0, len(delivered), 97):
        told += judge.frame(frame(delivered[at : at + 97]))
        if at // 97 % 9 == 5:
            restarted = begun(fleet(1), RULE, packaged=False)
            restarted.unpack(judge.pack(), dict(judge.silence.take_blocks()))
            judge = restarted
    assert said(told) == wanted


def test_a_model_is_plain_numbers_and_goes_on_as_it_was() -> None:
    model = WeekModel()
    for hour in range(300):
        model.learn(float(usual(hour)))
    again = WeekModel.unpack(model.pack())
    assert again.expected() == model.expected()
    assert again.pack() == model.pack()
