"""Silence: one root cause is one alarm, whatever the number of meters, the speed and the order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.instant.judge import InstantRules
from carbonstream.processors.instant.readings import LATENESS_MS
from carbonstream.processors.instant.told import Told
from carbonstream.processors.warning_rules import RuleBook
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, local_iso
from carbonstream.schemas.warning_rules import RuleKind
from tests.instant.world import PACKAGED, QUARTER, T0, Reading, begun, fleet, frame, rule, said

ALLOWED = 2 * QUARTER + 300 * SECOND_MS  # of a source
ALLOWED_METER = 3 * QUARTER + 1_200 * SECOND_MS
PACKAGED_SILENCE = next(d for d in PACKAGED if d.rule == "source-silence")
SOURCE = "silence:source:http/gw-7:silence"


def run(
    judge: InstantRules, readings: list[Reading], until: int, *, step: int = MINUTE_MS, delay: int = 0
) -> list[Told]:
    """Readings as they end (or `delay` later) and ticks every `step` up to `until`."""
    told: list[Told] = []
    waiting = sorted(readings)
    first = judge.silence._now or T0
    for now in range(first + step, until + 1, step):
        ready = [r for r in waiting if r.end + delay < now]
        waiting = waiting[len(ready) :]
        for start in range(0, len(ready), 500):
            told += judge.frame(frame(ready[start : start + 500], tick=now - step))
        told += judge.clock(now)
    return told


def reporting(meters: int, first: int, last: int) -> list[Reading]:
    """Every quarter from `first` to `last` inclusive, of every meter."""
    return [Reading(T0 + i * QUARTER, n, 1_000) for i in range(first, last + 1) for n in range(meters)]


def stamp(at: int) -> str:
    return local_iso(at)[:19].replace("-", "").replace(":", "")


def test_a_dead_source_of_two_thousand_meters_is_one_alarm_with_its_meters_listed() -> None:
    judge = begun(fleet(2_000, sites=50))
    told = run(judge, reporting(2_000, 1, 4), T0 + DAY_MS)
    begun_at = T0 + 4 * QUARTER + ALLOWED
    assert said(told) == [(f"{SOURCE}:{stamp(begun_at)}", "active", begun_at)]
    assert told[0].facts["silent_meters"] == 2_000
    assert len(told[0].facts["meters"]) == 2_000
    assert told[0].entity == "source:http/gw-7"
    assert told[0].facts["source"] == "http"  # what it shares with other gateways


def test_staggered_meters_of_a_dead_source_are_one_alarm_too() -> None:
    meters = 200
    readings = [
        Reading(T0 + i * QUARTER + n * QUARTER // meters, n, 1) for i in range(1, 6) for n in range(meters)
    ]
    told = run(begun(fleet(meters, sites=9)), readings, T0 + DAY_MS, delay=LATENESS_MS - MINUTE_MS)
    assert [t.entity for t in told] == ["source:http/gw-7"]


def test_a_source_is_cleared_when_it_has_stayed_and_its_alarm_names_the_first_reading() -> None:
    judge = begun(fleet(3))
    told = run(judge, reporting(3, 1, 4) + reporting(3, 20, 40), T0 + 40 * QUARTER)
    assert [(t.transition.state, t.transition.bucket) for t in told] == [
        ("active", T0 + 4 * QUARTER + ALLOWED),
        ("cleared", T0 + 20 * QUARTER),
    ]
    assert len({t.id for t in told}) == 1


def test_a_source_that_comes_and_goes_stays_one_episode() -> None:
    readings = reporting(3, 1, 4) + reporting(3, 20, 20) + reporting(3, 40, 50)
    rules = [rule(RuleKind.SILENCE, "source:http/*", "cadences=2;grace_s=300;off_s=7200")]
    told = run(begun(fleet(3), *rules), readings, T0 + 60 * QUARTER)
    assert [(t.transition.state, t.transition.bucket) for t in told][:2] == [
        ("active", T0 + 4 * QUARTER + ALLOWED),
        ("cleared", T0 + 40 * QUARTER),
    ]


def test_silent_meters_of_a_living_source_are_one_alert_a_site() -> None:
    dead = {1, 3, 5}  # of site S1, the others live
    readings = [r for r in reporting(6, 1, 60) if r.number not in dead or r.end <= T0 + 4 * QUARTER]
    back = [Reading(T0 + i * QUARTER, n, 1) for i in range(30, 61) for n in dead]
    told = run(begun(fleet(6, sites=2)), readings + back, T0 + 60 * QUARTER)
    begun_at = T0 + 4 * QUARTER + ALLOWED_METER
    id_ = f"silence:site:S1:silence:{stamp(begun_at)}"
    assert said(told) == [(id_, "active", begun_at), (id_, "cleared", T0 + 30 * QUARTER)]
    assert told[0].facts["meters"] == ["S1/E1", "S1/E3", "S1/E5"]
    assert told[0].facts["source"] == "http/gw-7"


def test_a_meter_that_does_not_come_back_with_its_source_is_told_then() -> None:
    readings = reporting(2, 1, 4) + [Reading(T0 + i * QUARTER, 0, 1) for i in range(20, 60)]
    told = run(begun(fleet(2)), readings, T0 + 59 * QUARTER)
    assert [(t.entity, t.transition.state) for t in told] == [
        ("source:http/gw-7", "active"), ("source:http/gw-7", "cleared"), ("site:S0", "active"),
    ]  # fmt: skip
    assert told[2].facts["meters"] == ["S0/E1"]


def test_an_outage_of_the_platform_is_not_held_against_the_sources() -> None:
    judge = begun(fleet(5))
    assert run(judge, reporting(5, 1, 4), T0 + 4 * QUARTER + MINUTE_MS) == []
    back = T0 + 4 * QUARTER + 5 * HOUR_MS
    assert list(judge.clock(back)) == []
    assert run(judge, [], back + ALLOWED - MINUTE_MS) == []
    (told,) = run(judge, [], back + 2 * ALLOWED)
    assert told.transition.bucket == back + ALLOWED


def test_a_rule_for_one_source_knows_its_own_cadence() -> None:
    batch = rule(RuleKind.SILENCE, "source:http/gw-7", "cadence_s=86400;cadences=2")
    meters = rule(RuleKind.SILENCE, "meter:S0/*", "cadence_s=86400;cadences=3", rule="own-meters")
    assert run(begun(fleet(3), batch, meters), reporting(3, 1, 4), T0 + DAY_MS) == []


def test_a_rule_switched_off_takes_its_alarm_back() -> None:
    judge = begun(fleet(3))
    run(judge, reporting(3, 1, 4), T0 + DAY_MS)
    off = rule(RuleKind.SILENCE, "source:*", "", rule="source-silence", version=2, is_on=False)
    judge.begin(fleet(3), RuleBook([*PACKAGED, off]))
    assert [t.transition.state for t in judge.clock(T0 + DAY_MS + MINUTE_MS)][:1] == ["cleared"]


@pytest.mark.parametrize("restart", [False, True])
def test_a_silent_source_is_cleared_also_where_a_release_replaced_the_packaged_rule(restart: bool) -> None:
    judge = begun(fleet(3))
    run(judge, reporting(3, 1, 4), T0 + 15 * QUARTER)
    release = RuleBook(replace(d, version=2) for d in PACKAGED)
    if restart:
        packed, blocks = judge.pack(), dict(judge.silence.take_blocks())
        judge = InstantRules()
        judge.begin(fleet(3), release)
        judge.unpack(packed, blocks)
    else:
        judge.begin(fleet(3), release)
    told = run(judge, reporting(3, 20, 40), T0 + 40 * QUARTER)
    assert said(told) == [(f"{SOURCE}:{stamp(T0 + 4 * QUARTER + ALLOWED)}", "cleared", T0 + 20 * QUARTER)]


def test_a_source_that_reports_as_the_corrected_rule_asks_is_cleared() -> None:
    hasty = rule(RuleKind.SILENCE, "source:http/*", "cadence_s=60;cadences=1;grace_s=0")
    patient = replace(hasty, version=2, valid_from=T0 + 8 * QUARTER, parameters=PACKAGED_SILENCE.parameters)
    told = run(begun(fleet(3), hasty, patient), reporting(3, 1, 30), T0 + 30 * QUARTER)
    assert [(t.definition.version, t.transition.state) for t in told] == [(1, "active"), (1, "cleared")]


def test_a_version_dated_ahead_switches_off_what_is_silent_then() -> None:
    at = T0 + DAY_MS
    off = replace(PACKAGED_SILENCE, version=2, valid_from=at, is_on=False)
    told = run(begun(fleet(3), off), reporting(3, 1, 4), at + MINUTE_MS)
    assert [(t.transition.state, t.transition.bucket) for t in told if t.entity == "source:http/gw-7"] == [
        ("active", T0 + 4 * QUARTER + ALLOWED), ("cleared", at),
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_order_ticks_and_a_restart_change_no_history(data: st.DataObject) -> None:
    meters = 4
    readings = []
    for n in range(meters):
        up = data.draw(st.lists(st.booleans(), min_size=8, max_size=8))
        readings += [
            Reading(T0 + i * QUARTER, n, 1)
            for i in range(1, 8 * 6)
            if up[i // 6] and not (i % 6 == 0 and i % 4)
        ]
    end = T0 + 60 * QUARTER
    wanted = said(run(begun(fleet(meters, sites=2)), readings, end))
    step = data.draw(st.sampled_from([20 * SECOND_MS, 5 * MINUTE_MS]))
    delay = data.draw(st.sampled_from([0, LATENESS_MS // 4]))
    judge = begun(fleet(meters, sites=2))
    cut = T0 + data.draw(st.integers(1, 59)) * QUARTER
    told = run(judge, [r for r in readings if r.end + delay < cut], cut, step=step, delay=delay)
    blocks = dict(judge.silence.take_blocks())
    restarted = begun(fleet(meters, sites=2))
    restarted.unpack(judge.pack(), blocks)
    rest = [r for r in readings if r.end + delay >= cut]
    told += run(restarted, rest, end, step=step, delay=delay)
    assert sorted(said(told)) == sorted(wanted)
