"""Rule plan-to-date: at the end of each closed local day, what was used so far against the plan so far.

The plan is the target phased linearly over the days of its period (T/ZJSEE 6.3.2.2 b lets an enterprise
phase its own; that is not here yet). The warning becomes active above 100 % of it and clears below 98 %: a
deadband (ISA-18.2), so that a total that runs along its plan does not come and go every day.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from carbonstream.processors.total_records import EXACT
from carbonstream.processors.warnings import State, Transition
from carbonstream.schemas.periods import DAY_MS

LEVEL: Final = Decimal(100)  # active above this per cent of the plan to date
CLEAR_BELOW: Final = Decimal(98)


def plan_transitions(
    daily: Sequence[Decimal], target: Decimal, days: int, start_ms: int
) -> tuple[Transition, ...]:
    """Transitions of the first len(daily) days of a period of `days` days that begins at `start_ms` (UTC ms).

    A day's transition depends on it and on days before it only. Exact: no quotient is formed.
    """
    found: list[Transition] = []
    state, total = State.CLEARED, Decimal(0)
    for day, amount in enumerate(daily):
        total = EXACT.add(total, amount)
        actual, plan = EXACT.multiply(total, Decimal(100 * days)), EXACT.multiply(target, Decimal(day + 1))
        if state is State.CLEARED and actual > EXACT.multiply(plan, LEVEL):
            state = State.ACTIVE
        elif state is State.ACTIVE and actual < EXACT.multiply(plan, CLEAR_BELOW):
            state = State.CLEARED
        else:
            continue
        found.append(Transition(state, start_ms + day * DAY_MS))
    return tuple(found)


def plan_by(target: Decimal, day: int, days: int) -> Decimal:
    """The plan at the end of day `day` (from 0), rounded half-even to 6 decimals: never to decide."""
    plan = EXACT.divide(EXACT.multiply(target, Decimal(day + 1)), Decimal(days))
    return EXACT.quantize(plan, Decimal("0.000001"))
