"""What an operator's command does to one warning, and why it may be refused.

A refusal changes nothing and is told; the same command twice changes nothing the second time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from carbonstream.processors.alarm_states import OutOfService, Shelf, Standing
from carbonstream.schemas.periods import DAY_MS


class Kind(StrEnum):
    """What is done to warnings."""

    ACKNOWLEDGE = "acknowledge"
    CLAIM = "claim"
    UNCLAIM = "unclaim"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    OUT_OF_SERVICE = "out-of-service"
    RETURN_TO_SERVICE = "return-to-service"


# These concern an alarm with all its episodes, the others one warning.
OF_ALARM: Final = frozenset({Kind.SHELVE, Kind.UNSHELVE, Kind.OUT_OF_SERVICE, Kind.RETURN_TO_SERVICE})


class Refusal(StrEnum):
    """Why a command does not fit a warning."""

    UNKNOWN = "unknown"  # there is no such warning, or no such suppression
    RAISED_AGAIN = "raised-again"  # since the version that the operator saw
    NOTHING_TO_ACKNOWLEDGE = "nothing-to-acknowledge"
    NOTHING_TO_CLAIM = "nothing-to-claim"
    CLAIMED = "claimed"  # by somebody else
    EXPIRED = "expired"  # the time it was to last until is over
    TOO_LONG = "too-long"
    NOT_SHELVED = "not-shelved"
    NOT_OUT_OF_SERVICE = "not-out-of-service"
    # of an enterprise's answer
    NOT_ITS_OWN = "not-its-own"  # the warning, or the meter disputed, is not of the enterprise that answers
    NOTHING_TO_ANSWER = "nothing-to-answer"  # a review item, or nobody's own
    ANSWER_CLOSED = "answer-closed"
    CAUSE_FIRST = "cause-first"
    MEASURE_FIRST = "measure-first"
    UNDER_REVIEW = "under-review"
    NOT_DISPUTED = "not-disputed"


# A shelf hides a nuisance until somebody has looked into it (ISA-18.2 11.6: shelving is limited in time). The list of
# shelved warnings is gone through every week, so a week is the longest; what takes longer is out of service.
SHELF_LONGEST_MS: Final = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it concerns one warning. expected: the version the operator saw, None: any; times UTC ms."""

    kind: Kind
    by: str
    why: str = ""
    expected: int | None = None
    until: int | None = None
    remind_at: int | None = None


def obey(standing: Standing, order: Order, now: int) -> Standing | Refusal:
    """The standing after the order at `now` (UTC ms); equal to the one before where there is nothing to do."""
    if order.expected is not None and standing.raised_version > order.expected:
        return Refusal.RAISED_AGAIN
    match order.kind:
        case Kind.ACKNOWLEDGE:
            return _acknowledged(standing)
        case Kind.CLAIM:
            return _claimed(standing, order.by)
        case Kind.UNCLAIM:
            return replace(standing, claimed_by=None)
        case Kind.SHELVE:
            return _shelved(standing, order, now)
        case Kind.UNSHELVE:
            return Refusal.NOT_SHELVED if standing.shelf is None else replace(standing, shelf=None)
        case Kind.OUT_OF_SERVICE:
            return (
                replace(standing, out_of_service=OutOfService(order.by, order.why))
                if standing.out_of_service is None
                else standing
            )
        case Kind.RETURN_TO_SERVICE:
            if standing.out_of_service is None:
                return Refusal.NOT_OUT_OF_SERVICE
            return replace(standing, out_of_service=None)


def _acknowledged(standing: Standing) -> Standing | Refusal:
    if not standing.acked:
        # one about the past that somebody has taken note of is dealt with like any other from then on
        claimed_by = standing.claimed_by if standing.active else None
        return replace(standing, acked=True, quiet=None, claimed_by=claimed_by)
    return standing if standing.active else Refusal.NOTHING_TO_ACKNOWLEDGE


def _claimed(standing: Standing, by: str) -> Standing | Refusal:
    if not standing.active and standing.acked:
        return Refusal.NOTHING_TO_CLAIM
    if standing.claimed_by not in (None, by):
        return Refusal.CLAIMED
    return replace(standing, claimed_by=by)


def _shelved(standing: Standing, order: Order, now: int) -> Standing | Refusal:
    if order.until is None or order.until <= now:
        return Refusal.EXPIRED
    if order.until - now > SHELF_LONGEST_MS:
        return Refusal.TOO_LONG
    shelf = Shelf(order.by, order.why, order.until, order.remind_at)
    if standing.shelf is not None and replace(standing.shelf, reminded=False) == shelf:
        return standing
    return replace(standing, shelf=shelf)
