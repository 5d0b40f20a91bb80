"""Changes of warnings as carbon.warnings carries them, and a clock that a test turns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog

from carbonstream.connectors.sinks.notify.delivering import deliver_turn
from carbonstream.connectors.sinks.notify.enqueueing import enqueue_changes
from carbonstream.connectors.sinks.notify.sending import Send
from carbonstream.connectors.sinks.notify.subscriptions import subscribe
from carbonstream.processors.notices import Change
from carbonstream.schemas.notices import Subscription

START = datetime(2024, 3, 5, 2, 0, tzinfo=UTC)
NETWORKS = ["127.0.0.0/8"]  # where receivers of tests listen
LOG = structlog.get_logger()


@dataclass
class Clock:
    """Stands still unless it is turned."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


def record(warning: str = "w", version: int = 1, **other: Any) -> dict[str, Any]:
    return {
        "id": warning, "version": version, "rule": "target-level", "entity": "site:a-1", "indicator": "co2",
        "period": "2024-03-01", "level": "80", "severity": "alert", "state": "active",
        "bucket": "2024-03-05T09:00:00+08:00", "backfill": False,
        "snapshot": {"total": "812.5", "threshold": "800", "target": {"unit": "kg"}},
        "changed_at": "2024-03-05T10:00:00+08:00",
    } | other  # fmt: skip


def change(warning: str = "w", version: int = 1, **other: Any) -> Change:
    return Change.of(record(warning, version, **other))


def subscribed(connection: psycopg.Connection[Any], *addresses: str, **other: Any) -> dict[str, str]:
    """A subscription of enterprise A; address -> secret of the new webhooks."""
    given = {"id": "a", "enterprise": "enterprise:A", "channels": addresses} | other
    made = subscribe(connection, [Subscription.model_validate(given)], START, NETWORKS)
    return {one["address"]: one["secret"] for one in made}


def enqueued(connection: psycopg.Connection[Any], clock: Clock, *changes: Change) -> int:
    """How many notices the changes made."""
    return len(enqueue_changes(connection, changes, {0: ("t", 1)}, clock()).notices)


def delivered(connection: psycopg.Connection[Any], send: Send, clock: Clock) -> int:
    """Attempts until nothing is due now."""
    made = 0
    while turn := deliver_turn(connection, send, clock, LOG):
        made += turn
    return made
