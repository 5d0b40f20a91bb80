"""The library in memory, and the ladder of scopes."""

from __future__ import annotations

from decimal import Decimal

from carbonstream.processors.coefficients import Coefficient, Coefficients, scope_ladder
from carbonstream.schemas.periods import month_of

MAY = month_of("2024-05")


def published(
    id_: int, scope: str, month: str, value: str, published_ms: int = 0, kind: str = "fuel"
) -> Coefficient:
    return Coefficient(id_, 1, kind, scope, month_of(month), Decimal(value), f"document {id_}", published_ms)


def library(*coefficients: Coefficient) -> Coefficients:
    filled = Coefficients()
    for coefficient in coefficients:
        filled.put(coefficient)
    return filled


def test_the_nearest_scope_wins_however_old_it_is() -> None:
    found = library(published(1, "330000", "2020-01", "0.5"), published(2, "CN", "2024-05", "0.6")).resolve(
        ["330000", "CN"], 1, "fuel", MAY
    )
    assert found is not None
    assert (found.id, found.carried_months, found.document) == (1, 52, "document 1")


def test_a_later_month_is_not_used_for_an_earlier_one() -> None:
    filled = library(published(1, "CN", "2024-04", "0.5"), published(2, "CN", "2024-06", "0.6"))
    found = filled.resolve(["CN"], 1, "fuel", MAY)
    assert found is not None
    assert found.id == 1


def test_nothing_published_is_nothing_not_zero() -> None:
    assert library(published(1, "CN", "2024-06", "0.5")).resolve(["CN"], 1, "fuel", MAY) is None
    assert library(published(1, "CN", "2024-01", "0.5")).resolve(["CN"], 2, "fuel", MAY) is None
    assert library(published(1, "CN", "2024-01", "0.5")).resolve([], 1, "fuel", MAY) is None


def test_what_was_not_yet_published_falls_back_to_the_month_before() -> None:
    filled = library(published(1, "CN", "2024-04", "0.5", 100), published(2, "CN", "2024-05", "0.6", 200))
    at_199, at_200 = (filled.resolve(["CN"], 1, "fuel", MAY, at) for at in (199, 200))
    assert at_199 is not None
    assert at_200 is not None
    assert (at_199.id, at_200.id) == (1, 2)
    assert filled.resolve(["CN"], 1, "fuel", MAY, 99) is None


def test_a_record_replaces_the_one_of_its_id_even_in_another_scope() -> None:
    filled = library(published(1, "CN", "2024-05", "0.5"), published(1, "330000", "2024-05", "0.7"))
    assert len(filled) == 1
    assert filled.resolve(["CN"], 1, "fuel", MAY) is None
    found = filled.resolve(["330000"], 1, "fuel", MAY)
    assert found is not None
    assert found.value == Decimal("0.7")


def test_the_ladder_goes_from_the_enterprise_to_the_nation() -> None:
    assert scope_ladder(
        county="330502", city="330500", province="330000", grid="GRID-EC", industry="C31", enterprise="ENT-1"
    ) == (
        "enterprise:ENT-1", "C31@330502", "C31@330500", "C31@330000",
        "330502", "330500", "330000", "GRID-EC", "CN",
    )  # fmt: skip


def test_the_ladder_of_a_province_without_listed_counties_names_it_once() -> None:
    assert scope_ladder(
        county="540000", city="540000", province="540000", grid="GRID-SW", industry="C31"
    ) == (
        "C31@540000",
        "540000",
        "GRID-SW",
        "CN",
    )
