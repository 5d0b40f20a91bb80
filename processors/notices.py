"""Who is told of a warning's change, when, and in which notice.

A notice is what is sent: one change, or several of one subscription that came within its grouping window. Its id
derives from its first change, so enqueueing the same change again makes the same notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from hashlib import sha256
from typing import Any, Final

from carbonstream.schemas.periods import SHANGHAI

RANK: Final = {"notice": 0, "alert": 1, "alarm": 2}
CHANGES_A_NOTICE: Final = 200  # of some 3 kB each with their snapshot: a body of 600 kB


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is told what. Exactly one of enterprise and operator_group is set."""

    id: str
    enterprise: str | None
    operator_group: str | None
    entities: tuple[str, ...]  # ids, or beginnings ending in *; none: all it may see
    rules: tuple[str, ...]  # none: all
    severity: str
    quiet: tuple[time, time] | None  # local, from and until
    language: str
    group_s: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a warning as carbon.warnings told it; (warning, version) is its identity."""

    warning: str
    version: int
    entity: str
    rule: str
    severity: str
    backfill: bool
    record: Mapping[str, Any]

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Change:
        """From a record of carbon.warnings. Raises KeyError or TypeError where it is none."""
        return cls(
            str(record["id"]),
            int(record["version"]),
            str(record["entity"]),
            str(record["rule"]),
            str(record["severity"]),
            bool(record["backfill"]),
            record,
        )

    @property
    def is_active(self) -> bool:
        """It says that the condition holds."""
        return self.record.get("state") == "active"


@dataclass(frozen=True, slots=True)
class Last:
    """The newest change of a warning that a subscription was told of."""

    version: int
    is_active: bool


@dataclass(frozen=True, slots=True)
class Open:
    """A notice that changes may still join."""

    id: str
    subscription: str
    closes_at: datetime
    changes: int = 0  # it holds already


@dataclass(frozen=True, slots=True)
class Joined:
    """A change and the notice it goes into."""

    subscription: str
    change: Change
    notice: str


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What a batch of changes adds to the queue."""

    notices: tuple[Open, ...]
    joined: tuple[Joined, ...]


def matches(subscription: Subscription, change: Change, enterprise: str | None) -> bool:
    """Whether the subscription is told of this change by what the change itself says.

    enterprise: the one the change's entity belongs to, None where it is nobody's own (a region, an industry). The
    past is not announced: a backfill warning never matches. A severity that is not known counts as an alarm.
    """
    return (
        not change.backfill
        and RANK.get(change.severity, 2) >= RANK[subscription.severity]
        and concerns(subscription, change, enterprise)
    )


def concerns(subscription: Subscription, change: Change, enterprise: str | None) -> bool:
    """Whether the change is of an entity that the subscriber may see, and of what it asked for; see `matches`."""
    return (
        (subscription.enterprise is None or subscription.enterprise == enterprise)
        and (not subscription.rules or change.rule in subscription.rules)
        and (not subscription.entities or any(names_entity(change.entity, e) for e in subscription.entities))
    )


def is_owed(change: Change, last: Last | None, *, is_quiet: bool) -> bool:
    """Whether a change follows a raise that was told (last: of what was told before), so that its end must be told too.

    Whatever its severity: a rule of another class may judge it now, or none. Of the past, and of what is quiet, only
    the end is told.
    """
    follows = last is not None and last.is_active and change.version > last.version
    return follows and not (change.is_active and (change.backfill or is_quiet))


def names_entity(entity: str, pattern: str) -> bool:
    """Whether a pattern, an id or the beginning of ids ending in *, names this entity."""
    return entity.startswith(pattern[:-1]) if pattern.endswith("*") else entity == pattern


def notice_id(subscription: str, warning: str, version: int) -> str:
    """The id of the notice that begins with this change."""
    return "ntc_" + sha256("\0".join((subscription, warning, str(version))).encode()).hexdigest()[:32]


def closes_at(subscription: Subscription, severity: str, now: datetime) -> datetime:
    """Until when a change that comes now is held for others: its grouping window, and quiet hours it ends in."""
    grouped = now + timedelta(seconds=subscription.group_s)
    return held_until(subscription, severity, grouped) or grouped


def held_until(subscription: Subscription, severity: str, at: datetime) -> datetime | None:
    """The end of the quiet hours that hold a change at `at`; None where nothing does: they never hold an alarm."""
    if subscription.quiet is None or RANK.get(severity, 2) == RANK["alarm"]:
        return None
    return quiet_until(subscription.quiet, at)


def quiet_until(quiet: tuple[time, time], now: datetime) -> datetime | None:
    """The end of the quiet hours that `now` lies in, None outside them. From after until: they span midnight."""
    begin, end = quiet
    local = now.astimezone(SHANGHAI)
    at = local.time()
    if begin <= end:
        is_quiet = begin <= at < end
    else:
        is_quiet = at >= begin or at < end
    if not is_quiet:
        return None
    last = datetime.combine(local.date(), end, tzinfo=SHANGHAI)
    return last if last > local else last + timedelta(days=1)


def enqueue(
    changes: Iterable[Change],
    subscriptions: Sequence[Subscription],
    enterprises: Mapping[str, str],
    open_: Iterable[Open],
    known: Collection[tuple[str, str, int]],
    told: Mapping[tuple[str, str], Last],
    quiet: Collection[tuple[str, int]],
    now: datetime,
) -> Enqueued:
    """The notices that changes make, and those they join. Changes of a warning come in the order of their versions.

    enterprises: entity -> the enterprise it belongs to. open_: notices nobody sends yet. known: (subscription,
    warning, version) that are in the queue already; told: (subscription, warning) -> the newest of them.
    quiet: (warning, version) that nobody is told of by themselves. A change joins an open notice only where that
    keeps it no longer than a notice of its own would, so an alarm never waits for the end of quiet hours, and where
    quiet hours do not hold it, so nothing less goes with an alarm within them.
    """
    waiting: dict[str, list[Open]] = {}
    for one in open_:
        waiting.setdefault(one.subscription, []).append(one)
    seen, lasts = set(known), dict(told)
    filled: Counter[str] = Counter()
    notices: list[Open] = []
    joined: list[Joined] = []
    for change in changes:
        enterprise = enterprises.get(change.entity)
        is_quiet = (change.warning, change.version) in quiet
        for subscription in subscriptions:
            key = (subscription.id, change.warning, change.version)
            of_it = key[:2]
            last = lasts.get(of_it)
            is_told = (not is_quiet and matches(subscription, change, enterprise)) or (
                is_owed(change, last, is_quiet=is_quiet) and concerns(subscription, change, enterprise)
            )
            if key in seen or not is_told:
                continue
            seen.add(key)
            if last is None or change.version > last.version:
                lasts[of_it] = Last(change.version, change.is_active)
            latest = closes_at(subscription, change.severity, now)
            candidates = waiting.setdefault(subscription.id, [])
            fitting = [
                one
                for one in candidates
                if now < one.closes_at <= latest
                and one.changes + filled[one.id] < CHANGES_A_NOTICE
                and held_until(subscription, change.severity, one.closes_at) is None
            ]
            notice = min(fitting, key=lambda one: (one.closes_at, one.id), default=None)
            if notice is None:
                notice = Open(notice_id(*key), subscription.id, latest)
                notices.append(notice)
                candidates.append(notice)
            filled[notice.id] += 1
            joined.append(Joined(subscription.id, change, notice.id))
    return Enqueued(tuple(notices), tuple(joined))
