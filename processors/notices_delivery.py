"""What an answer to a notice means: sent, tried again later, or dead; and when its channel is paused.

A delivery is tried for a day with growing pauses; a wait that the receiver itself names is obeyed for two. A channel
whose attempts fail in a row is paused as a whole (its circuit is open), so an outage costs one attempt a pause, not one
a notice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

FIRST_DELAY_S: Final = 5.0
LONGEST_DELAY_S: Final = 3_600.0
TRIED_FOR: Final = timedelta(hours=24)
# A receiver names a wait of a day at most, so one that is named within the first day is always obeyed.
OBEYED_FOR: Final = 2 * TRIED_FOR
FAILURES_TO_OPEN: Final = 3  # in a row
FIRST_PAUSE_S: Final = 30.0
LONGEST_PAUSE_S: Final = (
    900.0  # after an outage of hours all is sent a quarter of an hour later at the latest
)
GONE: Final = "gone"


class Outcome(StrEnum):
    """How an attempt ended."""

    ACCEPTED = "accepted"
    FAILED = "failed"  # may succeed later: no connection, time-out, any other answer
    LATER = "later"  # the receiver lives and says when: 429 or 503 with Retry-After, 429 without
    REFUSED = "refused"  # can never succeed as it is: an inward address, an unknown mailbox
    GONE = "gone"  # 410: the receiver wants no more


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an attempt."""

    outcome: Outcome
    code: int | None  # HTTP or SMTP
    detail: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What follows for the delivery and its channel."""

    state: str  # sent, waiting, dead
    next_at: datetime
    failures: int  # of the channel, in a row
    pause_until: datetime | None  # of the channel; None: not paused
    disable: str | None  # why the channel is switched off, None: it is not


def http_answer(code: int, retry_after: str | None, now: datetime) -> Answer:
    """What an HTTP status means. Redirects are not followed: a receiver must be subscribed where it is."""
    if 200 <= code < 300:
        return Answer(Outcome.ACCEPTED, code, "")
    if code == 410:
        return Answer(Outcome.GONE, code, "the receiver is gone")
    if code in (429, 503):
        at = retry_at(retry_after, now)
        if at is not None or code == 429:
            return Answer(Outcome.LATER, code, f"HTTP {code}", at)
    if 300 <= code < 400:
        return Answer(Outcome.FAILED, code, f"HTTP {code}: redirects are not followed")
    return Answer(Outcome.FAILED, code, f"HTTP {code}")


def retry_at(header: str | None, now: datetime) -> datetime | None:
    """When Retry-After (RFC 9110, 10.2.3: seconds or a date) allows the next attempt; a day ahead at most.

    None where the header is missing or unreadable.
    """
    if header is None:
        return None
    text = header.strip()
    try:
        if text.isascii() and text.isdigit():
            return now + min(timedelta(seconds=int(text[:9])), TRIED_FOR)
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(at, now), now + TRIED_FOR)


def delay(key: str, attempts: int) -> timedelta:
    """The pause after this many failed attempts (1 or more): doubled each time, between half of it and all of it.

    The jitter derives from `key` and the attempt, so the same history gives the same times.
    """
    whole = min(FIRST_DELAY_S * 2.0 ** min(attempts - 1, 20), LONGEST_DELAY_S)
    chance = int.from_bytes(sha256(f"{key}/{attempts}".encode()).digest()[:4]) / 2**32
    return timedelta(seconds=whole * (0.5 + chance / 2))


def pause(failures: int) -> timedelta | None:
    """How long a channel rests after this many failures in a row; None: its circuit stays closed."""
    if failures < FAILURES_TO_OPEN:
        return None
    doubled = FIRST_PAUSE_S * 2.0 ** min(failures - FAILURES_TO_OPEN, 20)
    return timedelta(seconds=min(doubled, LONGEST_PAUSE_S))


def step(answer: Answer, key: str, attempts: int, since: datetime, failures: int, now: datetime) -> Step:
    """What follows an attempt.

    attempts: begun so far, this one included. since: when the delivery was first due, or sent again by hand.
    failures: of its channel in a row before this attempt.
    """
    if answer.outcome is Outcome.ACCEPTED:
        return Step("sent", now, 0, None, None)
    if answer.outcome is Outcome.GONE:
        return Step("dead", now, failures + 1, None, GONE)
    if answer.outcome is Outcome.REFUSED:
        return Step("dead", now, failures, None, None)
    if answer.outcome is Outcome.LATER:
        return _later(answer, key, attempts, since, failures, now)
    rest = pause(failures + 1)
    at = now + delay(key, attempts)
    state = "waiting" if at <= since + TRIED_FOR else "dead"
    return Step(state, at, failures + 1, now + rest if rest else None, None)


def _later(answer: Answer, key: str, attempts: int, since: datetime, failures: int, now: datetime) -> Step:
    """The channel rests as long as the receiver says, but not less than after a first failure.

    For fail-over it counts as a failure; a rest longer than failures ever cause is an open circuit at once.
    """
    if answer.retry_at is None:
        at, until = now + delay(key, attempts), since + TRIED_FOR
    else:
        at, until = max(answer.retry_at, now + delay(key, 1)), since + OBEYED_FOR
    is_long = at - now > timedelta(seconds=LONGEST_PAUSE_S)
    counted = max(failures + 1, FAILURES_TO_OPEN) if is_long else failures + 1
    return Step("waiting" if at <= until else "dead", at, counted, at, None)
