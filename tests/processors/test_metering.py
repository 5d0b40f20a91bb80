"""The meter tree: every load is counted once at most at each level, whatever the tree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.directory import ENTRY, Directory, place_key
from carbonstream.processors.metering import (
    EVERYWHERE,
    FOREVER,
    MAY_COUNT,
    Level,
    Meter,
    Place,
    Span,
    Tree,
    differences,
)
from carbonstream.processors.totals import Changes, total_changes
from carbonstream.schemas.codes import Grain, MeterRole
from carbonstream.schemas.periods import HOUR_MS, YEAR_2000_MS

T0 = YEAR_2000_MS
SITES = {"s1": ("e1", "p1"), "s2": ("e1", "p1"), "s3": ("e2", "p1"), "s4": ("e2", "p2"), "s5": ("e3", None)}
NUMBERS = {
    name: n
    for n, name in enumerate(["s1", "s2", "s3", "s4", "s5", "e1", "e2", "e3", "p1", "p2", "c1", "c2"], 1)
}
CLASS = {"s1": "c1", "s2": "c1", "s3": "c1", "s4": "c2", "s5": "c2"}
HOURS = 4


def of(level: Level, meter: Meter) -> str | None:
    return {
        Level.SITE: meter.site,
        Level.ENTERPRISE: meter.enterprise,
        Level.PARK: meter.park,
        Level.CLASS: "nation",  # classes add up to it
    }[level]


@dataclass(frozen=True)
class Plant:
    """A random forest of meters with loads behind them; parents may change from hour to hour."""

    meters: dict[str, Meter]
    places: list[Place]
    loads: dict[str, list[int]]  # meter -> what hangs directly on it, by hour

    def parent(self, meter: str, hour: int) -> str | None:
        return Tree(self.places, self.meters).at(meter, T0 + hour * HOUR_MS).parent

    def reading(self, meter: str, hour: int) -> int:
        """What physics gives: its own load and all below it."""
        below = [m for m in self.meters if self.parent(m, hour) == meter]
        return self.loads[meter][hour] + sum(self.reading(m, hour) for m in below)

    def chain(self, meter: str, hour: int) -> list[str]:
        found = [meter]
        while (parent := self.parent(found[-1], hour)) is not None:
            found.append(parent)
        return found


@st.composite
def plants(draw: st.DrawFn) -> Plant:
    count = draw(st.integers(1, 8))
    meters: dict[str, Meter] = {}
    for i in range(count):
        site = draw(st.sampled_from(sorted(SITES)))
        enterprise, park = SITES[site]
        meters[f"m{i}"] = Meter(site, enterprise, park, "electricity", draw(st.booleans()))
    names = list(meters)
    places = []
    for i, name in enumerate(names):
        if not draw(st.booleans()):
            continue
        cut = draw(st.integers(1, HOURS))
        for start, end in ((T0, T0 + cut * HOUR_MS), (T0 + cut * HOUR_MS, FOREVER)):
            same_park = [n for n in names[:i] if meters[n].park == meters[name].park]
            roles = [r for r in MeterRole if r is not MeterRole.MASTER or meters[name].park]
            parent = draw(st.sampled_from([None, *same_park]))
            places.append(Place(name, draw(st.sampled_from(roles)), parent, start, end))
    loads = {n: draw(st.lists(st.integers(0, 1000), min_size=HOURS, max_size=HOURS)) for n in names}
    return Plant(meters, places, loads)


@given(plants())
@settings(max_examples=300, deadline=None)
def test_every_load_is_counted_once_or_not_at_all_at_every_level(plant: Plant) -> None:
    tree = Tree(plant.places, plant.meters)
    assert tree.faults() == []
    counting = {name: tree.counting(name) for name in plant.meters}
    for hour in range(HOURS):
        at = T0 + hour * HOUR_MS
        levels = {
            name: next(s.levels for s in spans if s.start <= at < s.end) for name, spans in counting.items()
        }
        for level in (Level.SITE, Level.ENTERPRISE, Level.PARK, Level.CLASS):
            for entity in {of(level, m) for m in plant.meters.values()} - {None}:
                here = {n for n, m in plant.meters.items() if of(level, m) == entity}
                counted = {n for n in here if levels[n] & level}
                may = {n for n in here if MAY_COUNT[tree.at(n, at).role] & level}
                total = sum(plant.reading(n, hour) for n in counted)
                # a load belongs to the entity when any meter above it may count there; each load then counts once
                covered = [n for n in plant.meters if set(plant.chain(n, hour)) & may]
                assert total == sum(plant.loads[n][hour] for n in covered)


@given(plants())
@settings(max_examples=100, deadline=None)
def test_the_sink_sums_what_the_tree_says(plant: Plant) -> None:
    tree, names = Tree(plant.places, plant.meters), list(plant.meters)
    placed = {p.meter for p in plant.places}
    directory = Directory(np.zeros(len(names), ENTRY))
    for i, name in enumerate(names):
        m, entry = plant.meters[name], directory.entries[i]
        entry["site"], entry["enterprise"] = NUMBERS[m.site], NUMBERS[m.enterprise]
        entry["park"] = NUMBERS[m.park] if m.park else 0
        entry["class"], entry["carrier"], entry["boundary"] = NUMBERS[CLASS[m.site]], 1, m.boundary
    spans = [(i, s) for i, name in enumerate(names) if name in placed for s in tree.counting(name)]
    if spans:
        numbers, starts = (np.array(c, np.int64) for c in zip(*((i, s.start) for i, s in spans), strict=True))
        directory.placed_from = place_key(numbers, starts)
        directory.placed_levels = np.array([int(s.levels) for _, s in spans], np.int64)
    meter = np.repeat(np.arange(len(names)), HOURS)
    hour = np.tile(np.arange(HOURS), len(names))
    amounts = np.array(
        [plant.reading(names[m], h) for m, h in zip(meter.tolist(), hour.tolist(), strict=True)]
    )
    totals = total_changes(
        Changes(
            meter, T0 + hour * HOUR_MS, np.ones(len(meter), np.int64), amounts, np.zeros(len(meter), np.int64)
        ),
        directory,
    )
    hourly = totals.grain == Grain.HOUR
    found: Counter[tuple[int, int]] = Counter()
    for e, b, q in zip(
        *(c[hourly].tolist() for c in (totals.entity, totals.bucket, totals.quantity)), strict=True
    ):
        found[e, b] += q
    for name, number in NUMBERS.items():
        if name.startswith("c"):
            continue
        level = {"s": Level.SITE, "e": Level.ENTERPRISE, "p": Level.PARK}[name[0]]
        for h in range(HOURS):
            at = T0 + h * HOUR_MS
            expected = sum(
                plant.reading(n, h)
                for n, m in plant.meters.items()
                if of(level, m) == name
                and next(s.levels for s in tree.counting(n) if s.start <= at < s.end) & level
            )
            assert found[number, at] == expected


def test_a_park_is_its_master_and_its_region_its_tenants() -> None:
    meters = {n: Meter(s, *SITES[s], "electricity", True) for n, s in (("m", "s1"), ("a", "s2"), ("b", "s3"))}
    tree = Tree(
        [
            Place("m", MeterRole.MASTER, None, T0, FOREVER),
            Place("a", MeterRole.TENANT, "m", T0, FOREVER),
            Place("b", MeterRole.TENANT, "m", T0, FOREVER),
        ],
        meters,
    )
    assert tree.counting("m") == [Span(0, T0, EVERYWHERE), Span(T0, FOREVER, Level.PARK)]
    assert tree.counting("a")[-1].levels == EVERYWHERE & ~Level.PARK


def test_faults_name_place_and_column() -> None:
    meters = {
        "a": Meter("s1", "e1", "p1", "electricity", True),
        "b": Meter("s4", "e2", "p2", "electricity", True),
        "c": Meter("s1", "e1", "p1", "natural_gas", True),
        "d": Meter("s5", "e3", None, "electricity", True),
    }
    place = Place("a", MeterRole.TENANT, "b", T0, FOREVER)
    found = Tree(
        [
            place,
            replace(place, parent="c", start=T0 + HOUR_MS + 1),
            Place("d", MeterRole.MASTER, None, T0, FOREVER),
        ],
        meters,
    ).faults()
    assert [(f.place.meter, f.column) for f in found] == [
        ("a", "parent"),
        ("a", "valid_from"),
        ("a", "valid_from"),
        ("a", "parent"),
        ("d", "role"),
    ]


def test_a_circle_is_found_though_only_part_of_the_time() -> None:
    meters = {n: Meter("s1", "e1", "p1", "electricity", True) for n in "abc"}
    late = T0 + 5 * HOUR_MS
    tree = Tree(
        [
            Place("a", MeterRole.TENANT, "b", T0, FOREVER),
            Place("b", MeterRole.SUB, "c", T0, FOREVER),
            Place("c", MeterRole.SUB, None, T0, late),
            Place("c", MeterRole.SUB, "a", late, FOREVER),
        ],
        meters,
    )
    assert [(f.place.meter, f.place.start, f.column) for f in tree.faults()] == [
        ("a", T0, "parent"),
        ("b", T0, "parent"),
        ("c", late, "parent"),
    ]


def test_differences_of_spans() -> None:
    old = [Span(0, FOREVER, EVERYWHERE)]
    new = [Span(0, T0, EVERYWHERE), Span(T0, FOREVER, Level.PARK)]
    assert differences(old, new) == [Span(T0, FOREVER, Level.PARK)]
    assert differences(old, old) == []
