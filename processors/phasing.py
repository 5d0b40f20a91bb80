"""A target phased over its period: by its owner or the regulator (T/ZJSEE 6.3.2.2 b), else in equal parts by day.

A plan is a list of parts, one after the other, which add up to the target. Within a part each day has the same share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from carbonstream.processors.total_records import EXACT


@dataclass(frozen=True, slots=True)
class Part:
    """Some days of a period and their share of the target, in its unit."""

    days: int
    value: Decimal


def equal_parts(target: Decimal, days: int) -> tuple[Part, ...]:
    """The target in equal parts by day."""
    return (Part(days, target),)


def planned_by(parts: Sequence[Part], day: int) -> tuple[Decimal, int]:
    """The plan at the end of day `day` (from 0) as numerator and denominator: no quotient is formed."""
    before, left = Decimal(0), day + 1
    for part in parts:
        if left <= part.days:
            share = EXACT.multiply(part.value, Decimal(left))
            return EXACT.add(EXACT.multiply(before, Decimal(part.days)), share), part.days
        before, left = EXACT.add(before, part.value), left - part.days
    return before, 1
