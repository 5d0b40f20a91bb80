"""The dated meter tree: which meters count at which level, so that nothing is summed twice at any of them.

A meter counts at a level (site, enterprise, park, class) where its role lets it, and where no meter above it counts
there for the same entity; at level class, whose totals add up to regions, industries and the nation, where none above
it counts for any. So a park's total is its master meter's and its regions' are its tenants', never both.

Production and consumption are kept apart: own generation and export count nowhere in consumption; the sum check
reports them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from carbonstream.schemas.codes import MeterRole
from carbonstream.schemas.periods import HOUR_MS, local_iso

FOREVER: Final = 1 << 60


class Level(IntFlag):
    """Levels of totals; a meter's levels are a sum of these."""

    SITE = 1
    ENTERPRISE = 2
    PARK = 4
    CLASS = 8


EVERYWHERE: Final = Level.SITE | Level.ENTERPRISE | Level.PARK | Level.CLASS
NOWHERE: Final = Level(0)
MAY_COUNT: Final[Mapping[MeterRole, Level]] = {
    MeterRole.MASTER: Level.PARK,
    MeterRole.TENANT: EVERYWHERE,
    MeterRole.COMMON: EVERYWHERE,
    MeterRole.LOSS: EVERYWHERE,
    MeterRole.GREEN: EVERYWHERE,
    MeterRole.SUB: NOWHERE,
    MeterRole.GENERATION: NOWHERE,
    MeterRole.EXPORT: NOWHERE,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a meter stands in [start, end), UTC ms; end FOREVER: until further notice."""

    meter: str
    role: MeterRole
    parent: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Meter:
    """What never changes of a meter. park: None where its site lies in none."""

    site: str
    enterprise: str
    park: str | None
    carrier: str
    boundary: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a place cannot stand: which of its fields, and what to do."""

    place: Place
    column: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Span:
    """In [start, end), UTC ms, a meter counts at `levels`."""

    start: int
    end: int
    levels: Level


class Tree:
    """All places. `meters`: every meter that is placed or named as a parent, by id."""

    def __init__(self, places: Iterable[Place], meters: Mapping[str, Meter]) -> None:
        self._meters = meters
        self._places: defaultdict[str, list[Place]] = defaultdict(list)
        for place in sorted(places, key=lambda p: (p.meter, p.start, p.end)):
            self._places[place.meter].append(place)

    def at(self, meter: str, at: int) -> Place:
        """Where a meter stands at an instant; without a place in the default role of its boundary, on its own."""
        for place in self._places.get(meter, ()):
            if place.start <= at < place.end:
                return place
        role = MeterRole.TENANT if self._meters[meter].boundary else MeterRole.SUB
        return Place(meter, role, None, 0, FOREVER)

    def above(self, meter: str, at: int) -> tuple[list[str], bool]:
        """Meters above one, nearest first, and whether they lead back to it or round in a circle."""
        found: list[str] = []
        parent = self.at(meter, at).parent
        while parent is not None:
            if parent == meter or parent in found:
                return found, True
            found.append(parent)
            parent = self.at(parent, at).parent
        return found, False

    def changes(self, meter: str) -> list[int]:
        """Instants at which what stands above a meter, or itself, may change; ascending, the first is 0."""
        seen, waiting, found = {meter}, [meter], {0}
        while waiting:
            for place in self._places.get(waiting.pop(), ()):
                found |= {place.start, place.end}
                if place.parent is not None and place.parent not in seen:
                    seen.add(place.parent)
                    waiting.append(place.parent)
        return sorted(found - {FOREVER})

    def faults(self) -> list[Fault]:
        """Every place that cannot stand. What counts where is asked only of a tree without faults."""
        found = [fault for places in self._places.values() for fault in self._faults_of(places)]
        if found:
            return found
        return [
            fault for places in self._places.values() for place in places for fault in self._circles(place)
        ]

    def _faults_of(self, places: Sequence[Place]) -> Iterable[Fault]:
        for before, place in zip([None, *places[:-1]], places, strict=True):
            if before is not None and place.start < before.end:
                yield Fault(
                    place,
                    "valid_from",
                    f"overlaps the meter's place from {local_iso(before.start)} on: end that one",
                )
            for column, at in (("valid_from", place.start), ("valid_to", place.end)):
                if at != FOREVER and at % HOUR_MS:
                    yield Fault(place, column, "must be a whole hour: rows are kept by hours")
            meter = self._meters[place.meter]
            if place.role is MeterRole.MASTER and meter.park is None:
                yield Fault(
                    place, "role", "its site lies in no park: load the site with its park, or take tenant"
                )
            if place.parent is None:
                continue
            above = self._meters[place.parent]
            if above.park != meter.park:
                yield Fault(
                    place,
                    "parent",
                    f"lies in {above.park or 'no park'}, the meter in {meter.park or 'no park'}",
                )
            if above.carrier != meter.carrier:
                yield Fault(place, "parent", f"measures {above.carrier}, the meter {meter.carrier}")

    def _circles(self, place: Place) -> Iterable[Fault]:
        for at in self.changes(place.meter):
            above, circle = self.above(place.meter, at)
            if circle and place.start <= at < place.end:
                chain = " -> ".join([place.meter, *above])
                yield Fault(place, "parent", f"makes a circle from {local_iso(at)} on: {chain}")
                return

    def counting(self, meter: str) -> list[Span]:
        """At which levels a meter counts: spans that cover [0, FOREVER) and differ from their neighbours."""
        spans: list[Span] = []
        starts = self.changes(meter)
        for start, end in zip(starts, [*starts[1:], FOREVER], strict=True):
            levels = self._levels(meter, start)
            if spans and spans[-1].levels == levels:
                spans[-1] = Span(spans[-1].start, end, levels)
            else:
                spans.append(Span(start, end, levels))
        return spans

    def _levels(self, meter: str, at: int) -> Level:
        levels = MAY_COUNT[self.at(meter, at).role]
        ours = self._meters[meter]
        for name in self.above(meter, at)[0]:
            above, theirs = MAY_COUNT[self.at(name, at).role], self._meters[name]
            if theirs.site == ours.site:
                levels &= ~(above & Level.SITE)
            if theirs.enterprise == ours.enterprise:
                levels &= ~(above & Level.ENTERPRISE)
            if theirs.park == ours.park:
                levels &= ~(above & Level.PARK)
            levels &= ~(above & Level.CLASS)
        return levels


def differences(old: Sequence[Span], new: Sequence[Span]) -> list[Span]:
    """Where two lists of spans that cover [0, FOREVER) differ; levels as in `new`."""
    found = []
    starts = sorted({span.start for span in (*old, *new)})
    for start, end in zip(starts, [*starts[1:], FOREVER], strict=True):
        before, after = (next(s.levels for s in spans if s.start <= start < s.end) for spans in (old, new))
        if before != after:
            found.append(Span(start, end, after))
    return found
