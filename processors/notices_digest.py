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

LISTED: Final = 50  # of each kind, the latest first: what a person reads; the counts are of all


@dataclass(frozen=True, slots=True)
class Happened:
    """What a warning did (open, raised or cleared), at a time; whose its entity is, None: nobody's own."""

    what: str
    change: Change
    at: datetime
    enterprise: str | None


def due_day(at: time, last: date | None, now: datetime) -> date | None:
    """The local day whose digest is to be made at `now`; None where it is not time yet, or it is made.

    After an outage of days one digest is made, for the last of them.
    """
    local = now.astimezone(SHANGHAI)
    day = local.date() if local.time() >= at else local.date() - timedelta(days=1)
    return None if last is not None and day <= last else day


def span(at: time, day: date, last: date | None) -> tuple[datetime, datetime]:
    """What the digest of `day` tells of: since the one before, or of a day where there is none."""
    until = datetime.combine(day, at, tzinfo=SHANGHAI)
    return datetime.combine(last, at, tzinfo=SHANGHAI) if last else until - timedelta(days=1), until


def digest(
    subscription: Subscription, happened: Iterable[Happened], begin: datetime, end: datetime
) -> dict[str, Any]:
    """Counts and lists of what the subscription is told, as a notice's content."""
    told = [h for h in happened if matches(subscription, h.change, h.enterprise)]
    content: dict[str, Any] = {"from": _local(begin), "until": _local(end)}
    for what in ("open", "raised", "cleared"):
        of_it = sorted(
            (h for h in told if h.what == what), key=lambda h: (h.at, h.change.warning), reverse=True
        )
        content[what] = {"count": len(of_it), "warnings": [_line(h) for h in of_it[:LISTED]]}
    return content


def _line(one: Happened) -> Mapping[str, Any]:
    change = one.change
    return {
        "id": change.warning,
        "rule": change.rule,
        "entity": change.entity,
        "severity": change.severity,
        "at": _local(one.at),
    }


def _local(at: datetime) -> str:
    return at.astimezone(SHANGHAI).isoformat(timespec="seconds")
