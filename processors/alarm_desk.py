"""The desk: takes conditions, commands and the time in their order, and writes down every change of how warnings stand.

One value a pass of warn: the standings that matter are put on it, it is told what happened, and what it has written
down is stored. The same events in any other cut into passes write the same, but for the time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from carbonstream.processors.alarm_commands import OF_ALARM, Kind, Order, Refusal, obey
from carbonstream.processors.alarm_grouping import COMMON_CAUSE, REVIEWS, review_of
from carbonstream.processors.alarm_keys import alarm_key
from carbonstream.processors.alarm_states import (
    Condition,
    OperatorState,
    Standing,
    expired,
    on_condition,
    reminded,
    state_of,
)
from carbonstream.processors.enterprise_answers import (
    RESPOND_S,
    REVIEWING,
    EnterpriseAnswer,
    Reply,
    asked,
    overdue,
    reply,
)
from carbonstream.processors.suppression import Suppression, suppressing


class Outcome(StrEnum):
    """Of a command, for one warning."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Card:
    """A warning on the desk. class_: 1 (alarm) to 3; priority: 1 (high) to 3.

    change: how many changes are written down; since: UTC ms, in this state.
    source: what it came through, where the rule tells; parent: the warning of the cause it shares with others.
    enterprise: whose the entity is, None: nobody's own; is_told: notices go to it; respond_s: of the rule.
    """

    id: str
    entity: str
    rule: str
    class_: int
    priority: int
    change: int = 0
    state: OperatorState = OperatorState.NORMAL
    since: int = 0
    suppressed_by: str | None = None
    source: str | None = None
    parent: str | None = None
    standing: Standing = field(default_factory=Standing)
    answer: EnterpriseAnswer | None = None
    enterprise: str | None = None
    is_told: bool = False
    respond_s: int | None = None

    @property
    def key(self) -> str:
        """The alarm whose episode it is."""
        return alarm_key(self.id, self.rule)

    @property
    def respond_ms(self) -> int | None:
        """Time to respond of an enterprise that is told; None: it answers without deadlines."""
        return (self.respond_s or RESPOND_S[self.class_]) * 1_000 if self.is_told else None


@dataclass(frozen=True, slots=True)
class Written:
    """A change: the card after it, where it came from, and who did it (None: warn itself)."""

    card: Card
    from_state: OperatorState
    operation: str
    by: str | None = None
    why: str = ""
    command: str | None = None
    until: int | None = None

    @property
    def annunciates(self) -> bool:
        """It became active and unacknowledged: an operator is to answer (ISA-18.2 3.1: annunciation)."""
        return (
            self.card.state is OperatorState.ACTIVE_UNACKED
            and self.from_state is not OperatorState.ACTIVE_UNACKED
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command for one warning."""

    warning: str
    outcome: Outcome
    reason: Refusal | None = None


class Desk:
    """Cards by id; `written` and `touched` (cards to store) grow. now: UTC ms, the same for the whole pass."""

    def __init__(self, now: int, in_force: Sequence[Suppression]) -> None:
        self.now = now
        self.in_force = list(in_force)
        self.cards: dict[str, Card] = {}
        self.episodes: defaultdict[str, list[str]] = defaultdict(
            list
        )  # by alarm, the ids on the desk in their order
        self.written: list[Written] = []
        self.touched: set[str] = set()
        self.left: set[str] = set()  # parents that a child has left

    def put(self, card: Card) -> None:
        """A card as it was stored."""
        if card.id not in self.cards:
            insort(self.episodes[card.key], card.id)
        self.cards[card.id] = card

    def condition(
        self, id_: str, told: Condition, source: str | None = None, parent: str | None = None
    ) -> None:
        """The rules told a change; `parent`, where its cause is known already."""
        card = self.cards[id_]
        if told.active and not card.change:
            card = self._take_over(card)
        standing = on_condition(card.standing, told, self._cause(card) is not None)
        if card.parent is not None and (not standing.active or standing.raised_version == told.version):
            self.left.add(card.parent)
            card = replace(card, parent=None)
        if standing.active and standing.raised_version == told.version:
            card = replace(card, source=source, parent=parent)
            if card.is_told and card.enterprise is not None and standing.quiet is None:
                card = replace(card, answer=asked(card.answer, told.at, card.respond_ms))
        operation = "review" if told.is_review else "raised" if told.active else "cleared"
        self._settle(card, standing, operation)

    def _take_over(self, card: Card) -> Card:
        """A new episode takes its alarm's shelf and removal from service over from the one before it.

        That one was put aside with them: once it has cleared nobody is asked about it again.
        """
        episodes = self.episodes[card.key]
        at = bisect_left(episodes, card.id)
        if not at:
            return card
        before = self.cards[episodes[at - 1]]
        old = expired(before.standing, self.now)
        if old.shelf is None and old.out_of_service is None:
            return card
        if not old.active:
            done = replace(old, shelf=None, out_of_service=None, acked=True, quiet=None, claimed_by=None)
            self._settle(before, done, "followed", why=card.id)
        standing = replace(card.standing, shelf=old.shelf, out_of_service=old.out_of_service)
        return replace(card, standing=standing)

    def adopt(self, id_: str, parent: str) -> None:
        """It turns out to be one of several of a common cause; one that has cleared or has a parent stays as it is."""
        card = self.cards[id_]
        if not card.standing.active or card.parent is not None:
            return
        card = replace(card, parent=parent)
        self._settle(card, card.standing, "folded", why=parent)

    def _cause(self, card: Card) -> str | None:
        """By what it is suppressed: a suppression in force, or the cause it shares."""
        return suppressing(self.in_force, card.entity, card.rule) or card.parent

    def look(self, id_: str) -> None:
        """What time and the calendar change: reminder, expiry of a shelf, begin and end of a suppression."""
        card = self.cards[id_]
        if (standing := expired(card.standing, self.now)) != card.standing:
            card = self._settle(card, standing, "shelf-expired")
        if (standing := reminded(card.standing, self.now)) != card.standing:
            shelf = card.standing.shelf
            card = self._settle(card, standing, "reminded", why="" if shelf is None else shelf.why)
        if (answer := overdue(card.answer, self.now)) != card.answer and answer is not None:
            why = answer.overdue or ""
            card = self._settle(replace(card, answer=answer), card.standing, "answer-overdue", why=why)
        cause = self._cause(card)
        self._settle(card, card.standing, "suppressed" if cause else "unsuppressed", why=cause or "")

    def order(self, id_: str, order: Order, command: str) -> Answer:
        """A command is carried out on one warning; what concerns its alarm, on the newest episode of that."""
        card = self.cards.get(id_)
        if card is None:
            return Answer(id_, Outcome.REFUSED, Refusal.UNKNOWN)
        newest = self.cards[self.episodes[card.key][-1]]
        if order.kind in OF_ALARM and newest is not card:
            card, order = newest, replace(order, expected=None)  # which the operator need not have seen
        found = obey(card.standing, order, self.now)
        if isinstance(found, Refusal):
            return Answer(id_, Outcome.REFUSED, found)
        if found == card.standing:
            return Answer(id_, Outcome.UNCHANGED)
        until = order.until if order.kind is Kind.SHELVE else None
        self._settle(card, found, order.kind.value, by=order.by, why=order.why, command=command, until=until)
        return Answer(id_, Outcome.APPLIED)

    def reply(self, id_: str, said: Reply, command: str, expected: int | None) -> Answer:
        """A step of the enterprise's answer, or what the operators decide of its dispute, on one warning.

        A decision is one on the review item too: nobody is asked about it again.
        """
        card = self.cards.get(id_)
        if card is None:
            return Answer(id_, Outcome.REFUSED, Refusal.UNKNOWN)
        if card.rule in (*REVIEWS, COMMON_CAUSE):
            return Answer(id_, Outcome.REFUSED, Refusal.NOTHING_TO_ANSWER)
        if expected is not None and card.standing.raised_version > expected:
            return Answer(id_, Outcome.REFUSED, Refusal.RAISED_AGAIN)
        before = asked(None, self.now, None) if card.answer is None else card.answer
        found = reply(before, card.enterprise, said, self.now, review_of(id_, command))
        if isinstance(found, Refusal):
            return Answer(id_, Outcome.REFUSED, found)
        if found == card.answer:
            return Answer(id_, Outcome.UNCHANGED)
        self._settle(
            replace(card, answer=found),
            card.standing,
            said.kind.value,
            by=said.by,
            why=said.text,
            command=command,
        )
        if found.dispute is not None and said.kind in REVIEWING and found.dispute.review in self.cards:
            self.order(found.dispute.review, Order(Kind.ACKNOWLEDGE, said.by, said.text), command)
        return Answer(id_, Outcome.APPLIED)

    def _settle(
        self,
        card: Card,
        standing: Standing,
        operation: str,
        *,
        by: str | None = None,
        why: str = "",
        command: str | None = None,
        until: int | None = None,
    ) -> Card:
        """The card with this standing; written down where anything but the version known differs."""
        before = self.cards[card.id]
        cause = self._cause(card)
        state = state_of(standing, self.now, cause is not None)
        if state is not OperatorState.SUPPRESSED:
            cause = None
        elif standing.quiet is not None and (cause is None or cause == card.parent):
            cause = standing.quiet.value
        if (card.source, card.parent, standing, card.answer) != (
            before.source, before.parent, before.standing, before.answer
        ):  # fmt: skip
            self.touched.add(card.id)
        told_before = replace(card.standing, version=standing.version)
        is_answered = card.answer != before.answer
        if not is_answered and standing == told_before and (state, cause) == (card.state, card.suppressed_by):
            self.cards[card.id] = card = replace(card, standing=standing)
            return card
        settled = replace(
            card,
            change=card.change + 1,
            state=state,
            since=card.since if state is card.state and card.change else self.now,
            suppressed_by=cause,
            standing=standing,
        )
        self.touched.add(card.id)
        self.cards[card.id] = settled
        self.written.append(Written(settled, card.state, operation, by, why, command, until))
        return settled


def verdict(answers: Sequence[Answer]) -> str:
    """Of a command as a whole: applied, partly or refused."""
    refused = sum(answer.outcome is Outcome.REFUSED for answer in answers)
    return "applied" if not refused else "refused" if refused == len(answers) else "partly"
