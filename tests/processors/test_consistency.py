"""Indicators of T/CES 6.4.3: exact at their targets, and sums of their parts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors.warning_rules import rule_book
from carbonstream.processors.consistency import (
    BY_ID,
    CHECKS,
    INDICATORS,
    Comparison,
    Counts,
    Figures,
    Kind,
    Measure,
    measures,
)
from carbonstream.processors.consistency_warnings import Missed, Told, changes, missed_since
from carbonstream.processors.sum_check import Metered, SumCheck, Verdict, sum_check
from carbonstream.schemas.codes import MeterRole
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, YEAR_2000_MS

SITE_A, SITE_B, ENTERPRISE, NATION = 1, 2, 10, 99
NAMES = {
    SITE_A: "site:A",
    SITE_B: "site:B",
    ENTERPRISE: "enterprise:E",
    NATION: "region:CN",
    50: "region:330000",
}
DAY = YEAR_2000_MS


def figures(**more: object) -> Figures:
    given = {
        "counts": {}, "comparisons": [], "sum_checks": [], "responses": [],
        "scopes": {SITE_A: [ENTERPRISE, NATION], SITE_B: [NATION]}, "nation": NATION,
    }  # fmt: skip
    return Figures(**(given | more))  # type: ignore[arg-type]


def of(found: list[Measure], entity: int, indicator: str) -> Measure:
    return next(m for m in found if m.entity == entity and m.indicator.id == indicator)


def test_the_eight_indicators_have_the_standards_targets() -> None:
    assert {i.id: (i.aim.value, i.target, i.unit) for i in INDICATORS} == {
        "consistency": ("at_least", 99, "%"),
        "correction": ("at_most", 5, "%"),
        "abnormal": ("at_most", 1, "%"),
        "validation": ("at_least", 98, "%"),
        "timeliness": ("at_least", 95, "%"),
        "cleaning": ("at_least", 90, "%"),
        "response": ("below", 48, "h"),
        "audit": ("at_least", 95, "%"),
    }
    assert {i.id for i in CHECKS} >= {"missing", "difference", "time-roll-up", "space-roll-up", "repeat"}


@pytest.mark.parametrize(
    ("indicator", "part", "whole", "met"),
    [
        ("consistency", 99, 100, True),
        ("consistency", 9_899_999, 10_000_000, False),
        ("missing", 1, 100, True),
        ("missing", 10_001, 1_000_000, False),
        ("response", 48 * HOUR_MS, HOUR_MS, False),
        ("response", 48 * HOUR_MS - 1, HOUR_MS, True),
        ("timeliness", 0, 0, None),
    ],
)
def test_a_target_is_judged_exactly(indicator: str, part: int, whole: int, met: bool | None) -> None:
    assert Measure(1, BY_ID[indicator], Decimal(part), Decimal(whole)).met is met


@pytest.mark.parametrize(
    ("total", "source", "agrees"),
    [(1_005, 1_000, True), (1_006, 1_000, False), (995, 1_000, True), (1, 0, False), (0, 0, True)],
)
def test_a_sum_may_differ_by_half_a_per_cent(total: int, source: int, agrees: bool) -> None:
    assert Comparison(1, Kind.TIME, total, source).agrees is agrees


COUNTS = st.builds(Counts, *[st.integers(0, 1_000)] * 11)


@given(COUNTS, COUNTS, COUNTS)
def test_the_whole_is_the_sum_of_its_sites(a: Counts, b: Counts, nowhere: Counts) -> None:
    found = measures(figures(counts={SITE_A: a, SITE_B: b}, nowhere=nowhere), [SITE_A, SITE_B])
    for indicator, part, whole in (
        ("correction", "corrected", "stored"),
        ("validation", "passed", "checked"),
        ("timeliness", "in_time", "due_in_time"),
        ("cleaning", "cleaned", "faulty"),
    ):
        measure = of(found, NATION, indicator)
        assert measure.part == sum(getattr(c, part) for c in (a, b, nowhere))
        assert measure.whole == sum(getattr(c, whole) for c in (a, b, nowhere))
        assert of(found, ENTERPRISE, indicator).part == getattr(a, part)
        assert of(found, SITE_A, indicator).part == getattr(a, part)
    assert len(found) == 4 * (len(INDICATORS) + len(CHECKS))


def test_comparisons_count_for_their_entity_and_what_it_is_part_of() -> None:
    found = measures(
        figures(
            comparisons=[
                Comparison(SITE_A, Kind.REPEAT, 100, 100),
                Comparison(SITE_B, Kind.REPEAT, 90, 100),
                Comparison(ENTERPRISE, Kind.SPACE, 100, 100),
                Comparison(NATION, Kind.SPACE, 200, 100),
            ]
        )
    )
    assert (of(found, NATION, "consistency").part, of(found, NATION, "consistency").whole) == (2, 4)
    assert of(found, ENTERPRISE, "consistency").met is True
    assert of(found, NATION, "repeat").value == Decimal("50.0000")
    assert of(found, NATION, "difference").value == Decimal("100.0000")
    assert of(found, ENTERPRISE, "difference").met is True


def test_the_audit_fails_a_site_for_missing_abnormal_or_disagreeing_data() -> None:
    sound = Counts(due=100, measured=99, stored=100, questionable=1)
    for counts, comparisons, checks, passing in (
        (sound, [], [], 1),
        (Counts(due=100, measured=98), [], [], 0),
        (Counts(due=100, measured=100, stored=100, questionable=2), [], [], 0),
        (sound, [Comparison(SITE_A, Kind.REPEAT, 2, 1)], [], 0),
        (sound, [], [(SITE_A, False)], 0),
        (sound, [], [(SITE_A, True)], 1),
    ):
        found = measures(figures(counts={SITE_A: counts}, comparisons=comparisons, sum_checks=checks))
        assert (of(found, ENTERPRISE, "audit").part, of(found, ENTERPRISE, "audit").whole) == (passing, 1)


def test_a_missed_target_is_told_once_cleared_once_and_of_an_open_day_only_with_enough_data() -> None:
    def told_of(
        counts: Counts, now: int, told: dict[str, Told], for_ms: int = 900_000
    ) -> list[tuple[str, int, str]]:
        found = measures(figures(counts={SITE_A: counts}))
        missed = missed_since(found, NAMES, missed_since(found, NAMES, {}, DAY, now - for_ms), DAY, now)
        records = changes(found, NAMES, told, rule_book(), missed, DAY, now)
        assert all(r.severity == "alert" and r.snapshot["kind"] == "data quality" for r in records)
        return [
            (r.id, r.version, r.state)
            for r in records
            if r.entity == "enterprise:E" and r.indicator == "missing"
        ]

    id_ = "consistency:enterprise:E:missing:2000-01-01"
    noon, after = DAY + DAY_MS // 2, DAY + DAY_MS + HOUR_MS
    assert told_of(Counts(due=99, measured=0), noon, {}) == []
    assert told_of(Counts(due=99, measured=0), after, {}) == [(id_, 1, "active")]
    assert told_of(Counts(due=100, measured=0), noon, {}) == [(id_, 1, "active")]
    assert told_of(Counts(due=100, measured=0), noon, {}, 899_999) == []
    assert told_of(Counts(due=100, measured=0), noon, {id_: Told(1, "active")}, 0) == []
    assert told_of(Counts(due=100, measured=0), after, {}, 0) == [(id_, 1, "active")]
    assert told_of(Counts(due=100, measured=99), after, {id_: Told(1, "active")}) == [(id_, 2, "cleared")]
    assert told_of(Counts(due=100, measured=99), after, {}) == []


def test_after_an_outage_the_on_delay_begins_anew() -> None:
    missed = Missed({"a": 1}, now=DAY, passed_ms=5_000.0)
    assert missed.until(DAY + 300_000, 305_000.0) == {"a": 1}
    assert missed.until(DAY + 300_000, 35_000.0) == {}


def test_regions_below_the_nation_are_kept_but_not_told_of() -> None:
    day = figures(counts={SITE_A: Counts(due=100)}, scopes={SITE_A: [ENTERPRISE, 50, NATION]})
    found, after = measures(day), DAY + 2 * DAY_MS
    missed = missed_since(found, NAMES, {}, DAY, after)
    records = changes(found, NAMES, {}, rule_book(), missed, DAY, after)
    assert {r.entity for r in records} == {"enterprise:E", "region:CN"}


@pytest.mark.parametrize(
    ("parent", "children", "expected"),
    [
        (1_000, [(MeterRole.TENANT, 600), (MeterRole.COMMON, 390)], SumCheck(1_000, 990, 2, Verdict.WITHIN)),
        (1_000, [(MeterRole.TENANT, 979)], SumCheck(1_000, 979, 1, Verdict.SHORT)),
        (1_000, [(MeterRole.TENANT, 1_021)], SumCheck(1_000, 1_021, 1, Verdict.OVER)),
        (
            1_000,
            [(MeterRole.GENERATION, 500), (MeterRole.EXPORT, 300), (MeterRole.SUB, 1_200)],
            SumCheck(1_500, 1_500, 3, Verdict.WITHIN),
        ),
    ],
)
def test_a_parent_is_checked_against_its_children(
    parent: int, children: list[tuple[MeterRole, int]], expected: SumCheck
) -> None:
    metered = [(role, Metered(quantity, True)) for role, quantity in children]
    assert sum_check(Metered(parent, True), metered) == expected
    metered[0] = metered[0][0], Metered(metered[0][1].quantity, False)
    assert sum_check(Metered(parent, True), metered).verdict is Verdict.INCOMPLETE
