"""Rule plan-to-date: at the end of each closed local day, what was used so far against the plan so far.

The plan is the target in equal parts by day, or as its owner phased it (T/ZJSEE 6.3.2.2 b; processors.phasing). The
warning becomes active above 100 % of it and clears below 98 %: a deadband (ISA-18.2), so that a total that runs along
its plan does not come and go every day.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from carbonstream.processors.phasing import Part, planned_by
from carbonstream.processors.total_records import EXACT
from carbonstream.processors.warnings import State, Transition
from carbonstream.schemas.periods import DAY_MS

LEVEL: Final = Decimal(100)  # active above this per cent of the plan to date
CLEAR_BELOW: Final = Decimal(98)


def plan_transitions(
    daily: Sequence[Decimal],
    parts: Sequence[Part],
    start_ms: int,
    active_above: Decimal = LEVEL,
    clear_below: Decimal = CLEAR_BELOW,
) -> tuple[Transition, ...]:
    """Transitions of the first len(daily) days of a period that begins at `start_ms` (UTC ms).

    parts: the plan; active_above, clear_below: per cent of it. A day's transition depends on it and on days before
    it only. Exact: no quotient is formed.
    """
    found: list[Transition] = []
    state, total = State.CLEARED, Decimal(0)
    for day, amount in enumerate(daily):
        total = EXACT.add(total, amount)
        plan, of = planned_by(parts, day)
        actual = EXACT.multiply(total, Decimal(100 * of))
        if state is State.CLEARED and actual > EXACT.multiply(plan, active_above):
            state = State.ACTIVE
        elif state is State.ACTIVE and actual < EXACT.multiply(plan, clear_below):
            state = State.CLEARED
        else:
            continue
        found.append(Transition(state, start_ms + day * DAY_MS))
    return tuple(found)


def plan_by(parts: Sequence[Part], day: int) -> Decimal:
    """The plan at the end of day `day` (from 0), rounded half-even to 6 decimals: never to decide."""
    plan, of = planned_by(parts, day)
    return EXACT.quantize(EXACT.divide(plan, Decimal(of)), Decimal("0.000001"))
