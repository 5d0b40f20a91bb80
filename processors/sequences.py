"""Which of a source's frame numbers were seen: one that was is a copy, one between two that were is not.

A number is given out once (connectors.sources.sequence), but a source may begin anew above all it ever sent (a lost
state folder), and two processes with folders of their own may go on beside each other. So what was seen is kept as runs
of consecutive numbers, not as the highest alone.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final

Runs = list[list[int]]  # [first, last], ascending, none next to another
KEPT: Final = 16  # runs; of more the two lowest become one, and what lies between counts as seen
# A source that has lost its folder begins at its clock, 1,024 numbers a millisecond: a second's worth is no gap.
ANEW: Final = 1 << 20


def take(runs: Runs, number: int) -> bool:
    """Note a number; False where it was seen before."""
    i = bisect_right(runs, number, key=lambda run: run[0])  # the runs before i begin at or below it
    if i and number <= runs[i - 1][1]:
        return False
    follows, precedes = i > 0 and number == runs[i - 1][1] + 1, i < len(runs) and number == runs[i][0] - 1
    if follows and precedes:
        runs[i - 1][1] = runs.pop(i)[1]
    elif follows:
        runs[i - 1][1] = number
    elif precedes:
        runs[i][0] = number
    else:
        runs.insert(i, [number, number])
        if len(runs) > KEPT:
            runs[0][1] = runs.pop(1)[1]
    return True


def skipped(runs: Runs, number: int) -> tuple[int, int] | None:
    """First and last number that a source has left out before `number`, which is not taken yet; None: none, or it
    begins anew."""
    if not runs or not 1 < number - runs[-1][1] <= ANEW:
        return None
    return runs[-1][1] + 1, number - 1


def runs_of(kept: Any) -> Runs:
    """Runs as they were kept; a number alone, as older versions kept the highest: all up to it were seen."""
    return [[0, kept]] if isinstance(kept, int) else [[int(first), int(last)] for first, last in kept]
