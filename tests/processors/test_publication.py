"""What a submission is judged by, and what it would restate; both pure."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.coefficients import Coefficient
from carbonstream.processors.factors import fuel_kg_co2
from carbonstream.processors.plausible import neighbours
from carbonstream.processors.publication import Entry, Key, Library, Submitted, judge
from carbonstream.processors.restatement import Difference, Quantity, preview, restated_until, set_apart
from carbonstream.schemas.periods import month_of

MARCH = month_of("2024-03")
NOW = month_of("2026-01")
AVERAGE = "electricity_average"
ROW = {
    "carrier": "electricity",
    "kind": AVERAGE,
    "scope": "330500",
    "month": "2024-03",
    "value": "0.4850",
    "unit": "kgCO2/kWh",
    "document": "a notice",
}
GAS = {"carrier": "natural_gas", "kind": "fuel", "unit": "kgCO2/m3"}
AMOUNTS = st.decimals(0, 100, places=4).filter(lambda v: v > 0)


def library() -> Library:
    return Library(frozenset({"CN", "330000", "330500", "C31@", "enterprise:E"}))


def faults(*rows: dict[str, str], known: Library | None = None) -> list[tuple[int, str]]:
    _, found = judge([Submitted(n, row) for n, row in enumerate(rows, 2)], known or library(), NOW)
    return [(fault.line, fault.field) for fault in found]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"carrier": "coal"}, "carrier"),
        ({"kind": "fuel"}, "kind"),
        ({"scope": "339999"}, "scope"),
        ({"scope": "C32@330500"}, "scope"),
        ({"month": "2024-13"}, "month"),
        ({"month": "2026-02"}, "month"),
        ({"month": ""}, "month"),
        ({"data_year": "2023"}, "month"),
        ({"value": "1e-3"}, "value"),
        ({"value": "-0.1"}, "value"),
        ({"value": ""}, "value"),
        ({"value": "0." + "1" * 40}, "value"),
        ({"unit": "kgCO2e/kWh"}, "unit"),
        ({"unit": "kgce/kWh"}, "unit"),
        ({"document": ""}, "document"),
        ({"ncv_mj_per_unit": "1"}, "ncv_mj_per_unit"),
        (GAS | {"value": "2.17", "ncv_mj_per_unit": "38.931", "carbon_tc_per_gj": "0.0153",
                "oxidation_percent": "99"}, "value"),
        (GAS | {"value": "2.162188809", "ncv_mj_per_unit": "38.931", "oxidation_percent": "99"}, "carbon_tc_per_gj"),
        ({"kgce_per_unit": "0.1229", "kgco2_per_kgce": "3.9"}, "value"),
    ],
)  # fmt: skip
def test_a_fault_names_its_line_and_field(changes: dict[str, str], field: str) -> None:
    assert faults(ROW, ROW | {"scope": "330000"} | changes) == [(3, field)]


def test_a_month_stands_once_in_a_file_and_not_again_in_the_library() -> None:
    assert faults(ROW, ROW) == [(3, "scope")]
    year = {"month": "", "data_year": "2024"}
    assert faults(ROW, ROW | year) == [(3, "scope")]
    known = library()
    known.put(Key(1, AVERAGE, "330500", MARCH), Decimal("0.4850"))
    assert faults(ROW, known=known) == [(2, "value")]
    assert faults(ROW | {"value": "0.4851"}, known=known) == []  # a revision
    pending = library()
    pending.pending[Key(1, AVERAGE, "330500", MARCH)] = 7
    assert faults(ROW, known=pending) == [(2, "scope")]


@pytest.mark.parametrize(
    ("value", "sound"), [("0.25", True), ("0.24", False), ("1.2", True), ("1.21", False)]
)
def test_a_value_lies_near_its_neighbours(value: str, sound: bool) -> None:
    known = library()
    known.put(Key(1, AVERAGE, "330100", MARCH - 5), Decimal("0.5"))
    known.put(Key(1, AVERAGE, "330200", MARCH), Decimal("0.6"))
    known.put(Key(1, AVERAGE, "330200", MARCH + 1), Decimal(9))  # later: no neighbour yet
    known.put(Key(1, AVERAGE, "CN", MARCH), Decimal(9))  # wider: asked only where no city has one
    assert (faults(ROW | {"value": value}, known=known) == []) == sound
    assert faults(ROW | {"value": value, "exception": "checked by phone"}, known=known) == []


def test_an_exceptional_value_says_nothing_of_others() -> None:
    slip = ROW | {"value": "0.000485"}
    known = library()
    known.put(Key(1, AVERAGE, "330000", MARCH), Decimal("0.5"))
    known.put(Key(1, AVERAGE, "330100", MARCH), Decimal(0), is_exceptional=True)
    known.put(Key(1, AVERAGE, "enterprise:E", MARCH), Decimal(0), is_exceptional=True)
    assert faults(slip, known=known) == [(2, "value")]
    known.put(Key(1, AVERAGE, "330100", MARCH), Decimal("0.0009"))  # revised, without an exception
    assert faults(slip, known=known) == []


@pytest.mark.parametrize(
    ("scope", "known", "beside"),
    [
        ("330500", ("330100", "330000", "enterprise:E"), ("330100",)),
        ("330500", ("330502", "330000", "CN"), ("330000",)),
        ("330500", ("330500", "330502", "enterprise:E"), ("330502",)),
        ("330502", ("C31@330502", "GRID-EC"), ("GRID-EC",)),
        ("C31@330500", ("C22@330500", "330500", "C31@330000"), ("C22@330500",)),
        ("C31@330500", ("C31@330000", "330500"), ("C31@330000",)),
        ("enterprise:E", ("enterprise:F", "330500"), ("enterprise:F",)),
        ("CN", ("330000", "330500"), ("330000",)),
        ("CN", ("CN",), ()),
    ],
)
def test_neighbours_are_of_the_same_level_or_of_the_nearest(
    scope: str, known: tuple[str, ...], beside: tuple[str, ...]
) -> None:
    values = {other: Decimal(n) for n, other in enumerate(known)}
    assert neighbours(scope, values, ()) == tuple(values[other] for other in beside)


@pytest.mark.parametrize(
    ("value", "sound"), [("0.35", True), ("0.349", False), ("0.7", True), ("0.701", False)]
)
def test_a_value_lies_near_last_years(value: str, sound: bool) -> None:
    known = library()
    known.put(Key(1, AVERAGE, "330500", MARCH - 12), Decimal("0.5"))
    known.put(Key(1, AVERAGE, "330500", MARCH - 1), Decimal(5))
    assert (faults(ROW | {"value": value}, known=known) == []) == sound


def test_kinds_are_never_mixed() -> None:
    known = library()
    known.put(Key(1, "electricity_fossil", "330500", MARCH), Decimal("0.4850"))
    assert faults(ROW, known=known) == [(2, "kind")]


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_both_methods_accept_their_own_product_and_nothing_else(a: Decimal, b: Decimal, c: Decimal) -> None:
    by_carbon = dict(
        zip(("ncv_mj_per_unit", "carbon_tc_per_gj", "oxidation_percent"), map(str, (a, b, c)), strict=True)
    )
    by_coal = {"kgce_per_unit": str(a), "kgco2_per_kgce": str(b)}
    for components, value in ((by_carbon, fuel_kg_co2(a, b, c)), (by_coal, a * b)):
        assert faults(ROW | GAS | components | {"value": f"{value:f}"}) == []
        assert faults(ROW | GAS | components | {"value": f"{value + Decimal('1e-4'):f}"}) == [(2, "value")]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([MARCH - 1, MARCH, MARCH + 1]), st.integers(0, 10**12)),
             min_size=1, max_size=20),
    st.decimals(Decimal("0.1"), 1, places=6),
)  # fmt: skip
def test_a_whole_changes_by_the_sum_of_its_sites(rows: list[tuple[int, int, int]], value: Decimal) -> None:
    old = Coefficient(1, 1, AVERAGE, "CN", MARCH - 5, Decimal("0.5"), "", 0)
    entry = Entry(2, Key(1, AVERAGE, "330500", MARCH), value, "", {}, "", None)
    quantities = [
        total
        for n, month, q in rows
        for total in (
            Quantity(f"site:{n}", f"enterprise:{n % 2}", 1, 1, month, Decimal(q)),
            Quantity(None, None, 1, 1, month, Decimal(q)),
        )
    ]
    found = preview([entry], [old], {1: ("330500", "CN")}, {1: ["region:330500"]}, quantities)
    months = {month for _, month, _ in rows if month >= MARCH}
    assert set(found.months) == months
    of = {d.entity: d for d in found.differences}
    if months:
        kwh = sum(Decimal(q) for _, month, q in rows if month in months) / 1000
        assert of["region:330500"] == Difference("region:330500", "co2", kwh * Decimal("0.5"), kwh * value)
        for side in ("old", "new"):
            sites = [getattr(d, side) for entity, d in of.items() if entity.startswith("site:")]
            assert sum(sites) == getattr(of["region:330500"], side)
    else:
        assert not found.differences


def test_a_total_without_a_coefficient_is_unknown_before_and_known_after() -> None:
    entry = Entry(2, Key(1, AVERAGE, "enterprise:E", MARCH), Decimal("0.3"), "", {}, "", None)
    stored = [
        Quantity("site:1", "enterprise:E", 1, 1, MARCH, Decimal(2_000)),
        Quantity("enterprise:E", "enterprise:E", 1, 1, MARCH, Decimal(2_000)),
        Quantity("site:2", "enterprise:F", 1, 1, MARCH, Decimal(2_000)),
        Quantity(None, None, 1, 1, MARCH, Decimal(4_000)),
    ]
    moving = [Quantity(None, "enterprise:E", 1, 1, MARCH, Decimal(2_000))]
    found = preview([entry], [], {1: ("CN",)}, {1: ["region:CN"]}, set_apart(stored, moving))
    assert found.own_classes == ("enterprise:E",)
    totals = {d.entity: (d.old, d.new) for d in found.differences}
    assert totals == {
        "site:1": (None, Decimal("0.6")),
        "enterprise:E": (None, Decimal("0.6")),
        "region:CN": (None, None),
    }


def test_a_class_that_moves_whole_leaves_nothing_without_a_coefficient_behind() -> None:
    entry = Entry(2, Key(1, AVERAGE, "enterprise:E", MARCH), Decimal("0.3"), "", {}, "", None)
    stored = Quantity(None, None, 1, 1, MARCH, Decimal(2_000))
    apart = set_apart([stored], [stored._replace(enterprise="enterprise:E")])
    (found,) = preview([entry], [], {1: ("CN",)}, {1: ["region:CN"]}, apart).differences
    assert found == Difference("region:CN", "co2", None, Decimal("0.6"))


def test_totals_are_looked_at_until_every_entry_has_given_way_to_a_later_one() -> None:
    def known(scope: str, month: int) -> Coefficient:
        return Coefficient(1, 1, AVERAGE, scope, month, Decimal("0.5"), "", 0)

    entries = [
        Entry(2, Key(1, AVERAGE, scope, MARCH), Decimal("0.4"), "", {}, "", None)
        for scope in ("CN", "330500")
    ]
    nation = [known("CN", MARCH), known("CN", MARCH + 2), known("CN", MARCH + 9)]
    assert restated_until(entries[:1], nation) == MARCH + 2
    assert restated_until(entries, nation) is None
    assert restated_until(entries, [*nation, known("330500", MARCH + 4)]) == MARCH + 4


def test_each_level_is_shown_by_its_own_total() -> None:
    old = Coefficient(1, 1, AVERAGE, "CN", MARCH, Decimal("0.5"), "", 0)
    entry = Entry(2, Key(1, AVERAGE, "330500", MARCH), Decimal("0.4"), "", {}, "", None)
    stored = [
        Quantity("park:P", None, 1, 1, MARCH, Decimal(1_000)),
        Quantity("site:1", "enterprise:E", 1, 1, MARCH, Decimal(900)),
        Quantity(None, None, 1, 1, MARCH, Decimal(800)),
    ]
    found = preview([entry], [old], {1: ("330500", "CN")}, {1: ["region:330500"]}, stored)
    assert {d.entity: d.new for d in found.differences} == {
        "park:P": Decimal("0.4"),
        "site:1": Decimal("0.36"),
        "region:330500": Decimal("0.32"),
    }
