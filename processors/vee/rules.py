"""Checks that a user adds as data (ZJ 6.4.1.3a: not null, value range, comparison, length), by carrier, kind or meter.

A rule says what is sound; a reading it does not hold for is questionable or, of an interval meter, rejected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.frames import MISSING, UNIT_OF_METER, Frame
from carbonstream.processors.judged import Judged
from carbonstream.processors.meters import NEVER, Lookup
from carbonstream.processors.vee.findings import FINDING, NOTHING
from carbonstream.schemas.codes import Check, Decision, Outcome, Quality, RuleTest
from carbonstream.schemas.periods import HOUR_MS

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
COMPILED: Final = -1  # key of Lookup.plans; months are not negative


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. None: any carrier, kind, meter; no lower or upper bound.

    field: start or unit (not_null); quantity, in base units, or rate, base units an hour (range); rate against the
    reading directly before, a ratio (comparison); interval, seconds (length).
    """

    name: str
    version: int
    number: int
    carrier: int | None
    register: bool | None
    meter: str | None
    test: RuleTest
    field: str
    low: float | None
    high: float | None
    decision: Decision

    @property
    def reference(self) -> str:
        """NAME@VERSION, as a finding names it."""
        return f"{self.name}@{self.version}"


def apply_rules(
    rules: dict[int, Rule], generation: int, frame: Frame, known: Lookup, judged: Judged, newest: Array
) -> Array:
    """FINDING entries (check RULE, size the rule's number); codes and qualities of `judged` are set by them.

    newest: STATE entries by slot as they were before this frame. generation: of `rules`.
    """
    compiled = _compiled(rules, generation, known)
    if not compiled:
        return NOTHING
    taken = judged.code == Outcome.STORED
    length = np.maximum(judged.end - judged.start, 1)
    rate = judged.quantity / 1_000 * HOUR_MS / length
    found: list[Array] = []
    for rule, applies in compiled:
        where = taken & applies[frame.meter]
        if where.any():
            broken = where & ~_holds(rule, frame, known, judged, rate, length, newest)
            if broken.any():
                found.append(_findings(rule, broken, judged))
                register = known.master["register"][frame.meter]
                rejected = broken & ~register if rule.decision is Decision.REJECT else np.zeros_like(broken)
                judged.code[rejected] = Outcome.RULE
                judged.quality[rejected] = Quality.RAW
                judged.quality[broken & ~rejected] = Quality.QUESTIONABLE
                taken &= ~rejected
    return np.concatenate(found) if found else NOTHING


def _compiled(rules: dict[int, Rule], generation: int, known: Lookup) -> list[tuple[Rule, Mask]]:
    """The rules that apply to some of these ids, and to which; worked out once for a list of meters."""
    seen = known.plans.get(COMPILED)
    if seen is not None and seen[0] == generation:
        compiled: list[tuple[Rule, Mask]] = seen[1]
        return compiled
    compiled = []
    for _, rule in sorted(rules.items()):
        applies = known.slot >= 0
        if rule.carrier is not None:
            applies &= known.master["carrier"] == rule.carrier
        if rule.register is not None:
            applies &= known.master["register"] == rule.register
        if rule.meter is not None:
            applies &= np.array([id_ == rule.meter for id_ in known.ids], np.bool_)
        if applies.any():
            compiled.append((rule, applies))
    known.plans[COMPILED] = generation, compiled
    return compiled


def _holds(
    rule: Rule, frame: Frame, known: Lookup, judged: Judged, rate: Floats, length: Array, newest: Array
) -> Mask:
    if rule.test is RuleTest.NOT_NULL:
        return np.asarray(
            frame.start != MISSING if rule.field == "start" else frame.unit != UNIT_OF_METER, np.bool_
        )
    if rule.test is RuleTest.LENGTH:
        return _within(rule, length / 1_000)
    if rule.test is RuleTest.RANGE:
        return _within(rule, rate if rule.field == "rate" else judged.quantity / 1_000)
    slot = known.slot[frame.meter]
    reach = (slot >= 0) & (slot < len(newest))
    before = newest[np.where(reach, slot, 0)]
    milli = known.master["multiplier_milli"][frame.meter]
    span = np.maximum(before["end"] - before["start"], 1)
    rate_before = before["raw"] * (milli / 1_000) / 1_000 * HOUR_MS / span
    follows = reach & (before["end"] != NEVER) & (before["end"] == judged.start) & (rate_before > 0)
    follows &= ~known.master["register"][frame.meter]  # of a register only the index is remembered
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = rate / rate_before
    holds: Mask = ~follows | _within(rule, ratio)
    return holds


def _within(rule: Rule, value: Floats) -> Mask:
    within: Mask = np.ones(len(value), np.bool_)
    if rule.low is not None:
        within &= value >= rule.low
    if rule.high is not None:
        within &= value <= rule.high
    return within


def _findings(rule: Rule, broken: Mask, judged: Judged) -> Array:
    rows = np.flatnonzero(broken)
    found = np.zeros(len(rows), FINDING)
    found["row"], found["check"], found["decision"] = rows, Check.RULE, rule.decision
    found["of"], found["size"] = judged.end[rows], rule.number
    return found
