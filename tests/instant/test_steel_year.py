"""A real plant's year at any speed and in any order within the permitted lateness: the same episodes."""

from __future__ import annotations

import random
from datetime import datetime
from fractions import Fraction

import pytest

from carbonstream.processors.instant.judge import InstantRules
from carbonstream.processors.instant.readings import FOREVER, LATENESS_MS, Fleet, Meter
from carbonstream.processors.warning_rules import RuleBook
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import local_iso, to_ms
from carbonstream.schemas.warning_rules import RuleKind
from tests.instant.world import ELECTRICITY, QUARTER, Reading, frame, rule
from tests.warn import steel

RULE = rule(RuleKind.MAXIMUM_DEMAND, f"meter:{steel.METER}", f"capacity={steel.CAPACITY_KW};k=1")


@pytest.mark.uncounted
def test_the_year_shuffled_repeated_and_cut_anyhow_gives_the_episodes_of_the_file() -> None:
    year = [
        Reading(to_ms(start) + QUARTER, 0, int(kwh * Fraction(1_000))) for start, kwh in steel.quarterly_kwh()
    ]
    wanted = steel.demand()
    assert len(wanted) > 50
    for seed, mode in ((1, Mode.LIVE), (2, Mode.BACKFILL)):
        chance = random.Random(seed)
        again = [*year, *chance.sample(year, len(year) // 10)]
        delivered = sorted(again, key=lambda reading: reading.end + chance.randrange(LATENESS_MS))
        judge = InstantRules()
        judge.begin(Fleet([Meter(0, steel.METER, ELECTRICITY, QUARTER, FOREVER)]), RuleBook([RULE]))
        told, at = [], 0
        while at < len(delivered):
            some = delivered[at : at + chance.randrange(1, 500)]
            at += len(some)
            told += judge.frame(frame(some, mode=mode, tick=some[-1].end))
        assert wanted == sorted(
            (
                t.id,
                1 if t.transition.state == "active" else 2,
                t.transition.state.value,
                moment(t.transition.bucket),
            )
            for t in told
        )


def moment(at: int) -> datetime:
    return datetime.fromisoformat(local_iso(at))
