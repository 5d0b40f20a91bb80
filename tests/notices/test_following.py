"""What follows a raise that was told is told, whatever its severity, as the queue in the database knows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from carbonstream.connectors.retention import drop_old
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.schemas.settings import Settings

from .changes import Clock, change, delivered, enqueued, subscribed
from .conftest import Receiver

Connection = psycopg.Connection[Any]
HOOK = "https://a.example/hook"
STANDING = """
insert into warning (id, version, rule, entity, indicator, period, severity, state, bucket, snapshot, raised_at,
  changed_at)
values ('w', 1, 'pace', 'site:a-1', 'co2', '2024-03-01', 'alarm', %(state)s, %(at)s, '{}', %(at)s, %(at)s)
"""


def told(connection: Connection) -> list[tuple[Any, ...]]:
    rows = connection.execute("select subscription, warning, version from notice_change order by 1, 2, 3")
    return rows.fetchall()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_clear_of_an_alarm_is_told_though_it_is_a_notice(connection: Connection, clock: Clock) -> None:
    subscribed(connection, HOOK, severity="alarm")
    enqueued(connection, clock, change("w", 1, severity="alarm"), change("v", 1, severity="alert"))
    clock.turn(hours=1)
    enqueued(connection, clock, change("w", 2, severity="notice", state="cleared"))
    enqueued(connection, clock, change("v", 2, severity="notice", state="cleared"))
    assert told(connection) == [("a", "w", 1), ("a", "w", 2)]


def test_a_raise_and_its_clear_of_one_batch_are_both_told(connection: Connection, clock: Clock) -> None:
    subscribed(connection, HOOK, severity="alarm")
    enqueued(
        connection,
        clock,
        change("w", 1, severity="alarm"),
        change("w", 2, severity="notice", state="cleared"),
    )
    assert told(connection) == [("a", "w", 1), ("a", "w", 2)]


def test_what_is_raised_again_below_the_severity_is_not_told(connection: Connection, clock: Clock) -> None:
    subscribed(connection, HOOK, severity="alarm")
    enqueued(connection, clock, change("w", 1, severity="alarm"))
    enqueued(connection, clock, change("w", 2, severity="alarm", state="cleared"))
    enqueued(connection, clock, change("w", 3, severity="alert"))
    enqueued(connection, clock, change("w", 4, severity="alert", state="cleared"))
    assert told(connection) == [("a", "w", 1), ("a", "w", 2)]


def test_the_end_of_a_raise_is_told_though_it_is_of_the_past(connection: Connection, clock: Clock) -> None:
    subscribed(connection, HOOK)
    enqueued(connection, clock, change("w", 1))
    enqueued(connection, clock, change("w", 2, backfill=True))
    enqueued(connection, clock, change("w", 3, backfill=True, state="cleared"))
    enqueued(connection, clock, change("v", 1, backfill=True))
    enqueued(connection, clock, change("v", 2, backfill=True, state="cleared"))
    assert told(connection) == [("a", "w", 1), ("a", "w", 3)]


def test_another_subscription_is_told_only_of_what_it_was_told(connection: Connection, clock: Clock) -> None:
    subscribed(connection, HOOK, severity="alert")
    subscribed(connection, HOOK, id="grave", severity="alarm")
    enqueued(connection, clock, change("w", 1, severity="alert"))
    enqueued(connection, clock, change("w", 2, severity="notice", state="cleared"))
    assert told(connection) == [("a", "w", 1), ("a", "w", 2)]


@pytest.mark.parametrize(("state", "kept"), [("active", 1), ("cleared", 0)])
def test_a_notice_is_kept_until_the_end_of_its_warning_is_told(
    connection: Connection, database: Settings, receiver: Receiver, clock: Clock, state: str, kept: int
) -> None:
    connection.execute("truncate warning")
    connection.execute(STANDING, {"state": state, "at": datetime.now(UTC) - timedelta(days=400)})
    subscribed(connection, receiver.url)
    enqueued(connection, clock, change("w", 1))
    delivered(connection, sender(database), clock)
    with psycopg.connect(database.database) as dropping:
        drop_old(dropping, database)  # the clock stands in 2024
    assert len(told(connection)) == kept
