"""data-quality: unsound readings of an hour, whatever the order in which readings, estimates and rejects come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.instant.readings import LATENESS_MS, Frame
from carbonstream.processors.instant.told import Told
from carbonstream.schemas.codes import Mode, Outcome, Quality
from carbonstream.schemas.periods import HOUR_MS, MINUTE_MS
from carbonstream.schemas.warning_rules import RuleKind
from tests.instant.world import QUARTER, T0, Reading, begun, fleet, frame, rule, said

SITE = rule(RuleKind.DATA_QUALITY, "site:S0", "share=25;readings=4;deadband=20")
METER = rule(RuleKind.DATA_QUALITY, "meter:S0/E0", "share=50;readings=4", rule="own-meter")


def one(slot: int, how: str, number: int = 0) -> Frame:
    """One reading of a quarter: sound, questionable, estimated or rejected."""
    mode = Mode.ESTIMATE if how == "estimated" else Mode.LIVE
    found = frame([Reading(T0 + (slot + 1) * QUARTER, number, 1)], mode=mode, tick=T0 + (slot + 1) * QUARTER)
    quality = np.array([Quality.QUESTIONABLE if how == "questionable" else Quality.VALID], np.int64)
    code = np.array([Outcome.UNIT if how == "rejected" else Outcome.STORED], np.int64)
    return replace(found, quality=quality, code=code)


def judged(frames: list[Frame], *rules: object) -> list[Told]:
    judge = begun(fleet(2), *rules, packaged=False)  # type: ignore[arg-type]
    told: list[Told] = []
    for some in frames:
        told += judge.frame(some)
    return [*told, *judge.clock(T0 + 100 * HOUR_MS)]


def test_an_hour_with_too_many_unsound_readings_is_told_and_the_next_sound_one_clears_it() -> None:
    hours = [["sound", "questionable", "estimated", "rejected"], ["sound"] * 4]
    frames = [one(4 * h + i, how) for h, kinds in enumerate(hours) for i, how in enumerate(kinds)]
    told = judged(frames, SITE)
    assert [(t.about, t.transition.state, t.transition.bucket) for t in told] == [
        ("readings", "active", T0), ("readings", "cleared", T0 + HOUR_MS),
    ]  # fmt: skip
    facts = told[0].facts
    assert [facts[s] for s in ("measured", "questionable", "estimated", "rejected")] == [1, 1, 1, 1]
    assert facts["share_percent"] == "75"
    assert facts["source"] == "http/gw-7"


def test_a_site_whose_readings_come_through_several_sources_names_none() -> None:
    frames = [one(i, "questionable") for i in range(4)]
    other = replace(one(0, "questionable", number=1), source="http/gw-8")
    assert [t.facts["source"] for t in judged([*frames[:3], other, frames[3]], SITE)][:1] == [None]


def test_an_episode_ends_when_its_rule_is_switched_off_also_where_nothing_comes_any_more() -> None:
    at = T0 + 90 * MINUTE_MS
    off = replace(SITE, version=2, valid_from=at, is_on=False)
    told = judged([one(i, "questionable") for i in range(4)], SITE, off)
    assert [(t.transition.state, t.transition.bucket, t.facts.get("ended")) for t in told] == [
        ("active", T0, None), ("cleared", at, "rule-off"),
    ]  # fmt: skip


def test_a_reading_displaces_its_estimate_and_the_reject_it_repeats() -> None:
    frames = [
        one(0, "estimated"),
        one(1, "rejected"),
        one(0, "sound"),
        one(1, "sound"),
        one(2, "sound"),
        one(3, "sound"),
    ]
    assert judged(frames, SITE) == []


def test_an_hour_with_few_readings_is_not_judged() -> None:
    assert judged([one(i, "rejected") for i in range(3)], SITE) == []


def test_a_site_counts_its_meters_together_and_a_meter_alone() -> None:
    frames = [one(i, "rejected") for i in range(4)] + [one(i, "sound", 1) for i in range(4)]
    assert [t.about for t in judged(frames, SITE, METER) if t.transition.state == "active"] == [
        "S0/E0",
        "readings",
    ]


kinds = st.lists(
    st.tuples(
        st.integers(0, 15),
        st.sampled_from(["sound", "questionable", "estimated", "rejected"]),
        st.integers(0, 1),
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(kinds, st.data())
def test_order_and_a_restart_change_no_history(
    readings: list[tuple[int, str, int]], data: st.DataObject
) -> None:
    in_order = sorted(readings)
    late = {r: r[0] * QUARTER + data.draw(st.integers(0, LATENESS_MS - 1)) for r in set(readings)}
    delivered = sorted(readings, key=late.__getitem__)
    cut = data.draw(st.integers(0, len(readings)))
    judge = begun(fleet(2), SITE, METER, packaged=False)
    told: list[Told] = []
    for some in delivered[:cut]:
        told += judge.frame(one(*some))
    restarted = begun(fleet(2), SITE, METER, packaged=False)
    restarted.unpack(judge.pack(), dict(judge.silence.take_blocks()))
    for some in delivered[cut:]:
        told += restarted.frame(one(*some))
    told += restarted.clock(T0 + 100 * HOUR_MS)
    assert sorted(said(told)) == sorted(said(judged([one(*r) for r in in_order], SITE, METER)))
