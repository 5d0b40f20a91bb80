"""Parameters of the checks: what is packaged, what may be set, and whose parameters judge whom."""

from __future__ import annotations

from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.ops.vee_score.series import Floats, Ints
from carbonstream.processors.meters import Meter, ShardMeters
from carbonstream.processors.vee.examine import examine
from carbonstream.processors.vee.findings import FINDING, Readings
from carbonstream.processors.vee.parameter_sets import Chosen, ParameterSet, ParameterSets, set_of
from carbonstream.processors.vee.parameters import DECISIONS, DEFAULTS, params_of, values_of
from carbonstream.processors.vee.params import VERSION, Params
from carbonstream.processors.vee.profile import Habits
from carbonstream.schemas.codes import Check, Decision, Quality
from carbonstream.schemas.periods import HOUR_MS
from carbonstream.schemas.shards import meter_number
from tests.processors.stream import Worker, parameters_record
from tests.processors.test_converter import habits_of, month_of_hours
from tests.processors.vee_world import charger, office

DAYS, LEARNED = 18, 15


def parameter_set(name: str, words: str = "", **scope: Any) -> ParameterSet:
    return set_of(orjson.loads(parameters_record(name, 1, words, **scope)))


def test_a_changed_default_is_a_new_version() -> None:
    """Change both: findings name the version."""
    assert (VERSION, crc32(repr((Params(), DECISIONS)).encode())) == (3, 1232947090)


@cache
def judged_by(words: str | None) -> Worker:
    """A fortnight of an hourly meter and a register under a set for all, None: under what is packaged."""
    worker = Worker.start({})
    if words is not None:
        worker.converter.reference.checks.put(parameter_set("all", words))
    for offset, record in enumerate(month_of_hours(seed=1, days=13, changes={})):
        worker.take(offset, record)
    return worker


def test_spelling_every_default_out_changes_nothing_but_the_name() -> None:
    assert params_of(values_of("; ".join(f"{n} = {v}" for n, v in DEFAULTS.items()))) == Params()
    packaged, spelt = judged_by(None), judged_by("")
    names = set()
    for offset, answer in packaged.answers.items():
        expected, found = orjson.loads(answer), orjson.loads(spelt.answers[offset])
        pairs = zip(expected["findings"], found["findings"], strict=True)
        names |= {(one.pop("definition"), other.pop("definition")) for one, other in pairs}
        assert found == expected
    assert names == {(f"packaged@{VERSION}", "all@1")}
    assert habits_of(spelt.converter) == habits_of(packaged.converter)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("frozen_flor=4", "'frozen_flor' is no parameter: take value_days, level_days"),
        ("frozen_floor=4;frozen_floor=5", "'frozen_floor' is given twice: keep one of them"),
        ("frozen_floor=2", "frozen_floor: 2 is outside 3 to 250 (values fewer identical ones are no run): correct it"),
        ("frozen_floor=3.5", "frozen_floor: 3.5 is not whole (values fewer identical ones are no run): round it"),
        ("frozen_factor=1e3", "frozen_factor: '1e3' write a plain decimal number"),
        ("frozen_floor", "frozen_floor: '' write a plain decimal number"),
        ("frozen=reject", "frozen: 'reject' cannot follow from it: take question, accept, off"),
        ("missing=question", "missing: 'question' cannot follow from it: take accept, off"),
        ("far_octaves=1.25", "high_octaves: 1.5 is above far_octaves, 1.25: lower it, or raise far_octaves"),
        ("level_days=20", "level_days: 20 is above shape_days, 14: lower it, or raise shape_days"),
    ],
)  # fmt: skip
def test_what_may_not_be_set_is_named_with_its_remedy(words: str, error: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        values_of(words)
    assert str(refused.value).startswith(error)


def test_the_set_that_names_most_of_a_meter_judges_it() -> None:
    sets = ParameterSets(
        parameter_set(name, **scope)
        for name, scope in (
            ("carrier", {"carrier": 1}),
            ("kind-interval", {"kind": "interval", "interval_s": 900}),
            ("carrier-interval", {"carrier": 1, "interval_s": 3_600}),
            ("interval", {"interval_s": 3_600}),
        )
    )
    of = {
        (1, False, 900): "carrier",
        (1, True, 3_600): "carrier-interval",
        (2, False, 900): "kind-interval",
        (2, True, 3_600): "interval",
        (2, True, 900): "packaged",
    }
    assert {meter: sets.of_meter(*meter[:2], meter[2] * 1_000).name for meter in of} == of
    shard = ShardMeters(1)
    for slot, (carrier, register, interval_s) in enumerate(of):
        meter = Meter(
            f"S/{slot}", meter_number(1, slot), carrier, register, "kWh", 1_000, None, interval_s * 1_000, 0, None, 7
        )  # fmt: skip
        shard.put(meter)
    for _ in range(2):  # a list of meters is looked at again when the sets change
        known = shard.lookup([f"S/{slot}" for slot in range(len(of))])
        chosen = sets.of_meters(known)
        assert chosen.of is not None
        assert [chosen.sets[k].name for k in chosen.of.tolist()] == list(of.values())
        of[1, False, 900] = "kind-interval"
        sets.put(parameter_set("carrier", carrier=1, state="off"))
    alone = sets.of_meters(shard.lookup(["S/3"]))
    assert (alone.of, [s.name for s in alone.sets]) == (None, ["interval"])


LIFE = (office(DAYS), charger(DAYS, HOUR_MS), office(DAYS, seed=6))
STRICT = parameter_set("strict", "frozen_floor=4;spike_margin=0;llr_least=8;missing_wait=1;high_octaves=0.5")
LENIENT = parameter_set("lenient", "frozen_factor=3;spike_margin=20;llr_least=60;value_days=14")


def readings(slot: Ints, value: Floats, hour: int) -> Readings:
    """One of each life."""
    end = np.full(3, LIFE[0].end[hour])
    quantity = np.rint(value * 1_000).astype(np.int64)
    return Readings(slot, end - HOUR_MS, end, quantity, np.full(3, HOUR_MS), np.zeros(3, bool))


@cache
def learned() -> Habits:
    habits = Habits()
    for k in range(LEARNED * 24):
        examine(readings(np.arange(3), np.array([life.value[k] for life in LIFE]), k), habits, learning=True)
    return habits


def taught(slot: Ints) -> Habits:
    habits = Habits()
    for name in ("profile", "recent", "habit"):
        getattr(habits, name)[slot] = getattr(learned(), name)[:3]
    return habits


@settings(max_examples=3)
@given(st.lists(st.sampled_from([0, 1]), min_size=3, max_size=3), st.integers(0, 9), st.sampled_from([1, 2]))
def test_in_one_frame_each_meter_is_judged_as_if_alone_by_its_own_set(
    of: list[int], seed: int, apart: int
) -> None:
    chance = np.random.default_rng(seed)
    value = np.stack([life.value for life in LIFE])
    for row in value:
        begin = LEARNED * 24 + int(chance.integers(0, 48))
        row[begin : begin + 20] *= chance.choice([1 / 3, 2.0, 10.0])
        row[LEARNED * 24 + chance.integers(0, 72, 3)] *= 4
        row[begin + 24 : begin + 34] = row[begin + 24]
    sets = [STRICT, LENIENT]
    slot = np.arange(3) * apart
    together, alone = taught(slot), [taught(slot) for _ in of]
    chosen = Chosen(sets, np.array(of))
    found: list[tuple[Any, ...]] = []
    expected: list[tuple[Any, ...]] = []
    for k in range(LEARNED * 24, DAYS * 24):
        frame = readings(slot, value[:, k], k)
        found += [(k, *f) for f in chosen.examine(frame, np.arange(3), together).tolist()]
        for i in range(3):
            part = examine(frame.take(np.array([i])), alone[i], sets[of[i]].params)
            part["row"] = i
            expected += [(k, *f) for f in part.tolist()]
    assert found == expected
    for i in range(3):
        for name in ("profile", "recent", "habit"):
            assert (getattr(together, name)[slot[i]] == getattr(alone[i], name)[slot[i]]).all()


def test_what_follows_is_what_the_meter_s_set_says() -> None:
    quiet = parameter_set("quiet", "frozen=accept;spike=off;sequence=question")
    found = np.zeros(6, FINDING)
    found["row"] = [0, 0, 0, 1, 1, 1]
    found["check"] = [Check.FROZEN, Check.SPIKE, Check.SEQUENCE] * 2
    found["decision"] = [Decision.QUESTION, Decision.REJECT, Decision.ACCEPT] * 2
    told = Chosen([quiet, parameter_set("usual")], np.array([1, 0])).decide(found, np.array([1, 0]))
    assert told[["row", "check", "decision", "set"]].tolist() == [
        (0, Check.FROZEN, Decision.ACCEPT, 0),
        (0, Check.SEQUENCE, Decision.QUESTION, 0),
        (1, Check.FROZEN, Decision.QUESTION, 1),
        (1, Check.SPIKE, Decision.REJECT, 1),
        (1, Check.SEQUENCE, Decision.ACCEPT, 1),
    ]


def test_a_check_that_is_off_finds_nothing_and_one_that_only_tells_questions_nothing() -> None:
    seen = {}
    for words in ("", "frozen=off;unit_tenfold=accept"):
        answers = [orjson.loads(answer) for answer in judged_by(words).answers.values()]
        told = {(f["check"], f["decision"]) for a in answers for f in a["findings"]}
        seen[words] = told, sum(Quality.QUESTIONABLE in np.ravel(a.get("quality", 0)) for a in answers)
    usual, quiet = seen.values()
    assert (Check.FROZEN, Decision.QUESTION) in usual[0]
    assert {check for check, _ in quiet[0]} == {check for check, _ in usual[0]} - {Check.FROZEN}
    assert (Check.UNIT_TENFOLD, Decision.ACCEPT) in quiet[0]
    assert quiet[1] < usual[1]
