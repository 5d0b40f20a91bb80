"""One cause, one thing to answer: what a restated factor told is one review item, what a dead source told one alarm.

Children are suppressed by design and carry the id of their parent (ANSI/ISA-18.2 12: suppression by a common cause).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carbonstream.processors.alarm_states import Quiet
from carbonstream.schemas.periods import HOUR_MS, MINUTE_MS, to_ms

RESTATEMENT: Final = "restatement"  # rule of review items
DISPUTE: Final = "dispute"  # the same, of what an enterprise disputes
REVIEWS: Final = (RESTATEMENT, DISPUTE)
COMMON_CAUSE: Final = "common-cause"  # rule of alarms with children
# warn judges every target right after a publication, 500 a pass: 10,000 take minutes. What is told of an earlier time
# with that factor but later than this was told because a reading came late.
RESTATED_WITHIN_MS: Final = HOUR_MS
# A gateway's meters report at least every 15 minutes each at its own time, and are found silent by ticks: those of one
# outage within one cadence.
TOGETHER_MS: Final = 15 * MINUTE_MS
LEAST_CHILDREN: Final = 3  # two are sooner read than looked for behind a third
Key = tuple[str, str]  # rule and source


@dataclass(frozen=True, slots=True)
class Told:
    """A change as it bears on restatement. Times UTC ms; until: end of what was judged, None where unknown.

    published_at: when the newest coefficient in it was published; locked: it is about a month locked as reported.
    """

    at: int
    until: int | None
    published_at: int | None
    backfill: bool
    locked: bool


def instant_of(text: object) -> int | None:
    """UTC ms of a snapshot's time; None where it tells none."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return None if at is None or at.tzinfo is None else to_ms(at)


def review_of(warning: str, command: str) -> str:
    """Id of the review item that a command opens which disputes a warning."""
    return f"{DISPUTE}:{warning}:{command}"


def is_restated(told: Told) -> bool:
    """Whether a published factor is why it was told: it is about a time that was over when the factor came."""
    if told.published_at is None or told.until is None:
        return False
    soon = (
        abs(told.at - told.published_at) <= RESTATED_WITHIN_MS
    )  # ticks may be behind the clock of the publishing
    return soon and told.until <= told.published_at


def quiet_of(told: Told) -> Quiet | None:
    """Why a change is not annunciated, None where it is."""
    if told.backfill:
        return Quiet.PAST
    return Quiet.RESTATEMENT if told.locked or is_restated(told) else None


@dataclass(frozen=True, slots=True)
class Member:
    """An active warning that names its source (gateway, broker, clock); raised_at UTC ms, class_, priority 1 to 3."""

    id: str
    rule: str
    source: str
    entity: str
    raised_at: int
    class_: int
    priority: int


@dataclass(frozen=True, slots=True)
class Parent:
    """A common cause that is told from now on, of the gravest class and the highest priority among its children."""

    id: str
    rule: str
    source: str
    entity: str | None  # of all its children, None where they differ
    class_: int
    priority: int
    children: int


@dataclass(frozen=True, slots=True)
class Folded:
    """Child -> parent, and the parents that are new."""

    parents: Mapping[str, str]
    new: tuple[Parent, ...]


def fold(members: Iterable[Member], known: Mapping[Key, str]) -> Folded:
    """Fold active warnings without a parent: into a parent that is active (`known`), else into a new one where at least
    LEAST_CHILDREN of one rule and source were raised within TOGETHER_MS.

    A new parent is named after the rule, the source and the first child's time, so it is the same however often it is
    worked out.
    """
    by_key: defaultdict[Key, list[Member]] = defaultdict(list)
    for member in members:
        by_key[member.rule, member.source].append(member)
    parents: dict[str, str] = {}
    new: list[Parent] = []
    for key, found in sorted(by_key.items()):
        if key in known:
            parents |= dict.fromkeys((m.id for m in found), known[key])
            continue
        found.sort(key=lambda m: (m.raised_at, m.id))
        first = next(
            (
                n
                for n in range(len(found) - LEAST_CHILDREN + 1)
                if found[n + LEAST_CHILDREN - 1].raised_at - found[n].raised_at <= TOGETHER_MS
            ),
            None,
        )
        if first is None:
            continue
        children = found[first:]  # also what came later: the cause stands
        rule, source = key
        id_ = f"{COMMON_CAUSE}:{rule}:{source}:{children[0].raised_at}"
        entities = {m.entity for m in children}
        entity = entities.pop() if len(entities) == 1 else None
        class_, priority = min(m.class_ for m in children), min(m.priority for m in children)
        new.append(Parent(id_, rule, source, entity, class_, priority, len(children)))
        parents |= dict.fromkeys((m.id for m in children), id_)
    return Folded(parents, tuple(new))
