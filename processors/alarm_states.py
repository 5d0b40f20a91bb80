"""The operator's state of a warning (ANSI/ISA-18.2 5.2, alarm state transition diagram): what the process says, what
operators did, and what inhibits it, as one value.

Judging says whether a condition holds; this layer says what an operator is to do about it. An inhibition (shelf,
suppression, out of service) lies over the state and changes nothing beneath it: when it ends, the warning is what it
would have been without.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class OperatorState(StrEnum):
    """States of ISA-18.2."""

    NORMAL = "normal"
    ACTIVE_UNACKED = "active-unacked"
    ACTIVE_ACKED = "active-acked"
    CLEARED_UNACKED = "cleared-unacked"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out-of-service"


class Quiet(StrEnum):
    """Why a condition that came true was never annunciated: suppressed by design, and shown as that."""

    PAST = "past"  # raised about a past period: start-up, replay, import
    RESTATEMENT = "restatement"  # a published factor changed what is closed, locked or already told


ANNUNCIATED: Final = frozenset({OperatorState.ACTIVE_UNACKED, OperatorState.CLEARED_UNACKED})
INHIBITED: Final = frozenset({OperatorState.SHELVED, OperatorState.SUPPRESSED, OperatorState.OUT_OF_SERVICE})
# The order of the operator's list: what wants an answer, what is being dealt with, what is inhibited, the rest.
RANK: Final = {
    OperatorState.ACTIVE_UNACKED: 0,
    OperatorState.CLEARED_UNACKED: 0,
    OperatorState.ACTIVE_ACKED: 1,
    OperatorState.SHELVED: 2,
    OperatorState.SUPPRESSED: 2,
    OperatorState.OUT_OF_SERVICE: 2,
    OperatorState.NORMAL: 3,
}
CLASS: Final = {"alarm": 1, "alert": 2, "notice": 3}
PRIORITY: Final = {"high": 1, "medium": 2, "low": 3}  # 1 is dealt with first
CLASS_NAMES: Final = {number: name for name, number in CLASS.items()}
PRIORITY_NAMES: Final = {number: name for name, number in PRIORITY.items()}


@dataclass(frozen=True, slots=True)
class Shelf:
    """Put aside by an operator until `until` (UTC ms); he is reminded once at `remind_at`."""

    by: str
    why: str
    until: int
    remind_at: int | None = None
    reminded: bool = False


@dataclass(frozen=True, slots=True)
class OutOfService:
    """Taken out of service, for repair, until somebody returns it."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A change the rules told: version of the warning, whether the condition holds, `at` UTC ms.

    is_review: something to look through once, no condition that holds.
    """

    version: int
    active: bool
    at: int
    quiet: Quiet | None = None
    is_review: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is remembered of a warning's dealing with operators.

    raised_version, raised_at: of the change with which it last became active. acked: that was acknowledged, or needs
    no acknowledgement.
    """

    version: int = 0
    active: bool = False
    acked: bool = True
    quiet: Quiet | None = None
    raised_version: int = 0
    raised_at: int = 0
    claimed_by: str | None = None
    shelf: Shelf | None = None
    out_of_service: OutOfService | None = None


def state_of(standing: Standing, now: int, suppressed: bool) -> OperatorState:
    """The state at `now` (UTC ms). suppressed: a maintenance window or a rule suppresses it now.

    A normal warning is not called suppressed: there is nothing to suppress.
    """
    if standing.out_of_service is not None:
        return OperatorState.OUT_OF_SERVICE
    if standing.shelf is not None and now < standing.shelf.until:
        return OperatorState.SHELVED
    if not standing.active and standing.acked:
        return OperatorState.NORMAL
    if suppressed or standing.quiet is not None:
        return OperatorState.SUPPRESSED
    if not standing.active:
        return OperatorState.CLEARED_UNACKED
    return OperatorState.ACTIVE_ACKED if standing.acked else OperatorState.ACTIVE_UNACKED


def on_condition(standing: Standing, told: Condition, suppressed: bool) -> Standing:
    """What the rules told is taken in. A version already known changes nothing.

    What becomes active again is unacknowledged again, whoever acknowledged it before. What clears while it is
    suppressed by design was never annunciated, so there is nothing left to acknowledge.
    """
    if told.version <= standing.version:
        return standing
    known = replace(standing, version=told.version)
    if told.is_review:
        return replace(known, acked=False, raised_version=told.version, raised_at=told.at)
    if told.active:
        is_news = not standing.active or (standing.quiet is not None and told.quiet is None)
        if not is_news:
            return known
        return replace(
            known,
            active=True,
            acked=False,
            quiet=told.quiet,
            raised_version=told.version,
            raised_at=told.at,
            claimed_by=None,
        )
    if not standing.active:
        return known
    acked = standing.acked or suppressed or standing.quiet is not None
    claimed_by = None if acked else standing.claimed_by
    return replace(known, active=False, acked=acked, quiet=None, claimed_by=claimed_by)


def expired(standing: Standing, now: int) -> Standing:
    """Without a shelf whose time is over at `now`."""
    if standing.shelf is None or now < standing.shelf.until:
        return standing
    return replace(standing, shelf=None)


def reminded(standing: Standing, now: int) -> Standing:
    """With the shelf's reminder given, where it is due at `now`."""
    shelf = standing.shelf
    if shelf is None or shelf.reminded or shelf.remind_at is None or now < shelf.remind_at:
        return standing
    return replace(standing, shelf=replace(shelf, reminded=True))


def priority_of(told: str | None, known: int | None, class_: int) -> int:
    """Priority of a warning, 1 to 3: what its rule says (`told`), else what it had (`known`), else that of its class,
    an alarm high, an alert medium, a notice low.
    """
    if told is not None:
        return PRIORITY[told]
    return class_ if known is None else known


def due_at(standing: Standing) -> int | None:
    """When the clock alone changes it next, UTC ms."""
    shelf = standing.shelf
    if shelf is None:
        return None
    return shelf.until if shelf.remind_at is None or shelf.reminded else min(shelf.remind_at, shelf.until)
