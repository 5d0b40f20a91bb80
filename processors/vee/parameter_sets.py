"""Which parameters judge which kind of meter.

A set is about a carrier, a kind of meter and an interval (None: any). Of the sets that hold a meter the one judges it
that names its carrier, then that names its kind, then its interval; where there is none, what is packaged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.meters import Lookup
from carbonstream.processors.vee.examine import examine
from carbonstream.processors.vee.findings import Readings
from carbonstream.processors.vee.parameters import DEFAULTS, decisions_of, params_of
from carbonstream.processors.vee.params import VERSION, Params
from carbonstream.processors.vee.profile import Habits
from carbonstream.schemas.codes import Check, Decision, MeterKind

Array = NDArray[Any]
Ints = NDArray[np.int64]
CHOSEN: Final = -2  # key of Lookup.plans; months are not negative, -1 is of the user's rules


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """One version of a set. decisions: of checks that have not their default; None: off."""

    name: str
    version: int
    carrier: int | None
    register: bool | None
    interval_ms: int | None
    is_on: bool
    params: Params
    decisions: dict[Check, Decision | None]

    @property
    def reference(self) -> str:
        """NAME@VERSION, as a finding names it."""
        return f"{self.name}@{self.version}"

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Of two sets that hold a meter the higher one judges it; no two have the same scope."""
        return self.carrier is not None, self.register is not None, self.interval_ms is not None

    def holds(self, carrier: Any, register: Any, interval_ms: Any) -> Any:
        """Whether it is about a meter; of arrays, about each."""
        held: Any = np.ones(np.shape(register), np.bool_)
        if self.carrier is not None:
            held &= carrier == self.carrier
        if self.register is not None:
            held &= register == self.register
        if self.interval_ms is not None:
            held &= interval_ms == self.interval_ms
        return held


def set_of(document: dict[str, Any]) -> ParameterSet:
    """A record of ref.rules as a ParameterSet. A parameter that came later has its default."""
    kind, interval_s = document["kind"], document["interval_s"]
    return ParameterSet(
        name=document["name"],
        version=document["version"],
        carrier=document["carrier"],
        register=None if kind is None else kind == MeterKind.REGISTER,
        interval_ms=None if interval_s is None else interval_s * 1_000,
        is_on=document["state"] == "on",
        params=params_of(document["parameters"]),
        decisions=decisions_of(document["parameters"]),
    )


PACKAGED: Final = ParameterSet(
    "packaged", VERSION, None, None, None, True, params_of(DEFAULTS), decisions_of(DEFAULTS)
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What judges a list of meters. of: index into sets by position in the list; None: the first judges all."""

    sets: list[ParameterSet]
    of: Ints | None

    def examine(self, readings: Readings, meter: Ints, habits: Habits) -> Array:
        """FINDING entries, each reading by its own set; meter: each reading's position in the list."""
        if self.of is None:
            return examine(readings, habits, self.sets[0].params)
        which, told = self.of[meter], []
        for k, one in enumerate(self.sets):
            rows = np.flatnonzero(which == k)
            if len(rows):
                found = examine(readings.take(rows), habits, one.params)
                if len(found):
                    found["row"] = rows[found["row"]]
                told.append(found)
        found = np.concatenate(told)
        return found[np.argsort(found["row"], kind="stable")]

    def decide(self, found: Array, meter: Ints) -> Array:
        """FINDING entries with what follows from each, by the set of its meter; what is off is left out.

        meter: of each row of the frame, its position in the list.
        """
        which = np.zeros(len(found), np.int64) if self.of is None else self.of[meter[found["row"]]]
        on = np.ones(len(found), np.bool_)
        for k, one in enumerate(self.sets):
            for check, decision in one.decisions.items():
                told = (which == k) & (found["check"] == check)
                if decision is None:
                    on &= ~told
                else:
                    found["decision"][told] = decision
        found["set"] = which
        return found[on]


class ParameterSets:
    """The sets in force, and what is packaged below them."""

    def __init__(self, sets: Iterable[ParameterSet] = ()) -> None:
        self._ranked = [PACKAGED]
        self.generation = 0  # grows whenever they change
        for one in sets:
            self.put(one)

    def put(self, one: ParameterSet) -> None:
        """Take a version of a set in, in the place of the one before it."""
        others = [s for s in self._ranked[1:] if s.name != one.name]
        self._ranked = [PACKAGED, *sorted([*others, *([one] if one.is_on else [])], key=lambda s: s.rank)]
        self.generation += 1

    def of_meter(self, carrier: int, register: bool, interval_ms: int) -> ParameterSet:
        """What judges one meter."""
        return [s for s in self._ranked if s.holds(carrier, register, interval_ms)][-1]

    def of_meters(self, known: Lookup) -> Chosen:
        """What judges the meters of a list; worked out once for each list and generation."""
        seen = known.plans.get(CHOSEN)
        if seen is not None and seen[0] == self.generation:
            chosen: Chosen = seen[1]
            return chosen
        master = known.master
        rank = np.zeros(len(known.slot), np.int64)
        for k, one in enumerate(self._ranked):
            rank[one.holds(master["carrier"], master["register"], master["interval_ms"])] = k
        used, of = np.unique(rank, return_inverse=True)
        sets = [self._ranked[k] for k in used.tolist()] or [PACKAGED]
        chosen = Chosen(sets, of if len(sets) > 1 else None)
        known.plans[CHOSEN] = self.generation, chosen
        return chosen
