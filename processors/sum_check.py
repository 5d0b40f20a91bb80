"""The sum check: a parent meter against its children, in integers, over one closed day.

What comes in is the parent's supply and its children's own generation; what is accounted for is what the other children
measured, export included. The rest is losses or not metered (short), or meters disagree (over).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from carbonstream.schemas.codes import MeterRole

# Per cent of the supply: sums over space are precise to at least 98 % (T/CES 6.4.2); meters of class 1 are closer.
TOLERANCE: Final = Decimal(2)


class Verdict(StrEnum):
    """What a sum check found."""

    WITHIN = "within"
    SHORT = "short"  # the children account for too little
    OVER = "over"  # they account for more than came in
    INCOMPLETE = "incomplete"  # readings are missing or estimated: nothing can be said


@dataclass(frozen=True, slots=True)
class Metered:
    """What a meter measured in the day: thousandths of the base unit, and whether all that was due was measured."""

    quantity: int
    complete: bool


@dataclass(frozen=True, slots=True)
class SumCheck:
    """A parent's day."""

    supplied: int
    accounted: int
    children: int
    verdict: Verdict


def sum_check(
    parent: Metered, children: Sequence[tuple[MeterRole, Metered]], tolerance: Decimal = TOLERANCE
) -> SumCheck:
    """Check a parent that has had the same children all day."""
    generated = sum(m.quantity for role, m in children if role is MeterRole.GENERATION)
    accounted = sum(m.quantity for role, m in children if role is not MeterRole.GENERATION)
    supplied = parent.quantity + generated
    return SumCheck(
        supplied, accounted, len(children), _verdict(supplied, accounted, parent, children, tolerance)
    )


def _verdict(
    supplied: int,
    accounted: int,
    parent: Metered,
    children: Sequence[tuple[MeterRole, Metered]],
    tolerance: Decimal,
) -> Verdict:
    if not parent.complete or not all(m.complete for _, m in children):
        return Verdict.INCOMPLETE
    if abs(supplied - accounted) * 100 <= tolerance * supplied:
        return Verdict.WITHIN
    return Verdict.SHORT if accounted < supplied else Verdict.OVER
