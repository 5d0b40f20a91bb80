"""A warning's states over event time, and how its append-only history is brought to what the totals say now.

A rule says in which buckets a warning's state changes: a function of the totals alone. The history is what
was told, in the order it was told. An entry of it reads: from this bucket on the state is this, whatever
was said of later buckets before. So the entries that are still to be told follow from the history and from
what the rule says, and as long as totals only grow at their end, the history is the rule's own list,
however it was cut into judgements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

RULE_VERSION: Final = 1
TARGET_LEVEL: Final = "target-level"
PLAN_TO_DATE: Final = "plan-to-date"
PACE: Final = "pace"
FOREVER: Final = 1 << 60


class State(StrEnum):
    """Whether the condition holds."""

    ACTIVE = "active"
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True)
class Transition:
    """From `bucket` (UTC ms, the start of a local hour or day) on, the state is `state`."""

    state: State
    bucket: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A transition to be told. `corrects`: it takes back what was told of this bucket or a later one."""

    transition: Transition
    corrects: bool


def in_force(history: Iterable[Transition]) -> tuple[Transition, ...]:
    """What a history says in the end: active and cleared by turns, buckets ascending, active first."""
    standing: list[Transition] = []
    for told in history:
        while standing and standing[-1].bucket >= told.bucket:
            standing.pop()
        if told.state is not state_after(standing):
            standing.append(told)
    return tuple(standing)


def state_after(transitions: Sequence[Transition]) -> State:
    """The state in the end; before the first transition a warning is cleared."""
    return transitions[-1].state if transitions else State.CLEARED


def entries(history: Iterable[Transition], wanted: Sequence[Transition], until: int = FOREVER) -> list[Entry]:
    """What must be told so that the history says `wanted` for all buckets before `until` (UTC ms).

    wanted: as in_force gives it, all before `until`. What was told of buckets from `until` on stands,
    unless an entry before it differs.
    """
    standing = in_force(history)
    compared = [t for t in standing if t.bucket < until]
    same = 0
    while same < min(len(compared), len(wanted)) and compared[same] == wanted[same]:
        same += 1
    missing = list(wanted[same:])
    if same < len(compared) and (not missing or compared[same].bucket < missing[0].bucket):
        missing.insert(0, Transition(state_after(wanted[:same]), compared[same].bucket))
    if not missing:
        return []
    first = missing[0].bucket
    taken_back = [t for t in standing if t.bucket >= first]
    return [Entry(t, corrects=bool(taken_back) and t.bucket == first) for t in missing]
