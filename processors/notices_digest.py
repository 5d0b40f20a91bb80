"""The daily digest: when it is due, and what stands in it: what is open, and what was raised and cleared since.

A digest comes also when nothing happened: then it says that the channel works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from carbonstream.processors.notices import Change, Subscription, matches
from carbonstream.schemas.periods import SHANGHAI

KINDS: Final = ("open", "raised", "cleared")
LISTED: Final = 50  # of each kind, the latest first: what a person reads; the counts are of all


@dataclass(frozen=True, slots=True)
class Happened:
    """What a warning did (open, raised or cleared), at a time; whose its entity is, None: nobody's own."""

    what: str
    change: Change
    at: datetime
    enterprise: str | None
    since: datetime | None = None  # when it was raised


@dataclass(frozen=True, slots=True)
class Made:
    """The last digest of a subscription: when it was made, and the position in the history up to which it tells."""

    until: datetime
    seq: int


def last_day(at: time, now: datetime) -> date:
    """The local day of the newest digest time that has come."""
    local = now.astimezone(SHANGHAI)
    return local.date() if local.time() >= at else local.date() - timedelta(days=1)


def instant_on(day: date, at: time) -> datetime:
    """A digest time as an instant."""
    return datetime.combine(day, at, tzinfo=SHANGHAI)


def next_digest(at: time, last: Made, now: datetime, newest: int) -> Made | None:
    """The digest that is due at `now`, None where none is: it tells of all between `last` and it.

    newest: position in the history up to which everything is known. After an outage of days one digest is made. When
    the time of day is changed, the next one comes when the new time comes, and tells since the last one.
    """
    if instant_on(last_day(at, now), at) <= last.until:
        return None
    return Made(now, max(newest, last.seq))


def digest(
    subscription: Subscription, happened: Iterable[Happened], begin: datetime, end: datetime
) -> dict[str, Any]:
    """Counts and lists of what the subscription is told, as a notice's content."""
    told = [h for h in happened if matches(subscription, h.change, h.enterprise)]
    content: dict[str, Any] = {"from": _local(begin), "until": _local(end)}
    for what in KINDS:
        of_it = sorted(
            (h for h in told if h.what == what), key=lambda h: (h.at, h.change.warning), reverse=True
        )
        content[what] = {"count": len(of_it), "warnings": [_line(h) for h in of_it[:LISTED]]}
    return content


def with_records(
    content: Mapping[str, Any], records: Mapping[tuple[str, int], Mapping[str, Any]]
) -> dict[str, Any]:
    """A digest whose lines hold what their changes measured. records: by warning and version."""
    told = dict(content)
    for what in KINDS:
        lines = [line | records.get((line["id"], line["version"]), {}) for line in content[what]["warnings"]]
        told[what] = content[what] | {"warnings": lines}
    return told


def _line(one: Happened) -> dict[str, Any]:
    change = one.change
    return {
        "id": change.warning,
        "version": change.version,
        "rule": change.rule,
        "entity": change.entity,
        "severity": change.severity,
        "at": _local(one.at),
        "since": _local(one.since or one.at),
    }


def _local(at: datetime) -> str:
    return at.astimezone(SHANGHAI).isoformat(timespec="seconds")
