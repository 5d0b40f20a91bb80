"""Episodes whose rule judges their subject no more: it was switched off, replaced, or the meter is out of its validity.

Such an episode ends at that instant, whatever its value: nothing else would end one of a limit that was wrong, or of a
meter that was taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from carbonstream.processors.instant.readings import FOREVER
from carbonstream.processors.warning_rules import Definition, RuleBook


class Reason(StrEnum):
    """Why an episode ended though its value may still be above the limit."""

    RULE_OFF = "rule-off"
    RULE_REPLACED = "rule-replaced"
    NOT_COVERED = "not-covered"  # no rule's scope holds it any more
    METER_ENDED = "meter-ended"  # the end of its validity


@dataclass(frozen=True, slots=True)
class Overruled:
    """From `at` (UTC ms) on the episode's rule does not judge it; by: the version that decides instead."""

    at: int
    reason: Reason
    by: str | None = None

    @property
    def facts(self) -> Mapping[str, Any]:
        """For the snapshot."""
        return {"ended": self.reason.value, "ended_by": self.by}


@dataclass(frozen=True, slots=True)
class UnderRule:
    """An episode begun under a rule; valid_to: end of its meters' validity. Times UTC ms."""

    rule: Definition
    subject: str
    begun: int
    valid_to: int


def overruled(episode: UnderRule, book: RuleBook, until: int) -> Overruled | None:
    """When and why an episode ends by `until`, None: its rule still judges it.

    A version dated back before the episode began takes it back as a whole.
    """
    rule = episode.rule
    for at in (episode.begun, *book.changes(episode.begun, until)):
        if at >= episode.valid_to:
            break
        deciding = book.deciding(rule.kind, episode.subject, at)
        if deciding is None:
            return Overruled(at, Reason.NOT_COVERED)
        if deciding.reference != rule.reference:
            reason = Reason.RULE_REPLACED if deciding.is_on else Reason.RULE_OFF
            return Overruled(at, reason, deciding.reference)
    return Overruled(episode.valid_to, Reason.METER_ENDED) if episode.valid_to <= until else None


def looked_at_next(episode: UnderRule, book: RuleBook, after: int) -> int:
    """The first instant behind `after` (UTC ms) that could end it; FOREVER where none is known."""
    following = next(iter(book.changes(after, FOREVER)), FOREVER)
    return min(following, episode.valid_to if episode.valid_to > after else FOREVER)
