"""Backups of channels that fail, and alarms that nobody acknowledged."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import psycopg

from carbonstream.connectors.sinks.notify.second_ways import escalate, fail_over
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.connectors.sinks.notify.tending import tending
from carbonstream.schemas.settings import Settings
from tests.running import eventually

from .changes import LOG, Clock, change, delivered, enqueued, record, subscribed
from .conftest import Received, Receiver

Connection = psycopg.Connection[Any]
OPERATOR = """
insert into warning_operator (id, key, entity, rule, change, version, state, rank, priority, class, since, active,
  acked, raised_version, raised_at)
values (%(id)s, %(id)s, 'site:a-1', 'pace', 1, 1, %(state)s, 0, 3, 1, %(at)s, true, %(acked)s, 1, %(at)s)
"""


def at(receiver: Receiver, path: str) -> str:
    return receiver.url.replace("/hook", path)


def came(receiver: Receiver, path: str) -> list[Received]:
    return [one for one in receiver.received if one.path == path]


def failing(*paths: str) -> Any:
    return lambda one: (500, {}) if one.path in paths else (204, {})


def test_what_an_open_circuit_holds_up_comes_through_the_backup_with_the_same_ids(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, at(receiver, "/first"), backup=[at(receiver, "/second"), at(receiver, "/third")])
    enqueued(connection, clock, change("quiet"))
    delivered(connection, send, clock)
    assert fail_over(connection, clock()) == 0
    assert came(receiver, "/second") == [], "a backup is not told while the channel works"
    receiver.answer = failing("/first")
    for n in range(3):
        enqueued(connection, clock, change(f"w{n}"))
        delivered(connection, send, clock)
    assert fail_over(connection, clock()) == 3
    assert fail_over(connection, clock()) == 0
    enqueued(connection, clock, change("while it is open"))
    assert fail_over(connection, clock()) == 1
    delivered(connection, send, clock)
    second = {one.id for one in came(receiver, "/second")}
    assert len(second) == 4
    assert came(receiver, "/third") == []
    receiver.answer = failing()
    clock.turn(hours=1)
    delivered(connection, send, clock)
    assert second <= {one.id for one in came(receiver, "/first")}, "the channel has all when it is back"


def test_where_the_backup_fails_too_the_next_one_is_told(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, at(receiver, "/first"), backup=[at(receiver, "/second"), at(receiver, "/third")])
    receiver.answer = failing("/first", "/second")
    for n in range(3):
        enqueued(connection, clock, change(f"w{n}"))
        delivered(connection, send, clock)
    for _ in range(4):
        fail_over(connection, clock())
        delivered(connection, send, clock)
        clock.turn(minutes=1)
    assert len({one.id for one in came(receiver, "/third")}) == 3
    assert len(came(receiver, "/third")) == 3


def test_a_channel_that_puts_off_for_long_is_stood_in_for_by_its_backup(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, at(receiver, "/first"), backup=[at(receiver, "/second")])
    later = (429, {"Retry-After": "86400"})
    receiver.answer = lambda one: later if one.path == "/first" else (204, {})
    enqueued(connection, clock, change("w0"), change("w1"))
    assert delivered(connection, send, clock) == 1
    assert fail_over(connection, clock()) == 2
    delivered(connection, send, clock)
    assert len(came(receiver, "/second")) == 2


def test_a_receiver_that_is_gone_is_followed_by_its_backup(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, at(receiver, "/first"), backup=[at(receiver, "/second")])
    receiver.answer = lambda one: (410, {}) if one.path == "/first" else (204, {})
    enqueued(connection, clock, change("w0"))
    delivered(connection, send, clock)
    assert fail_over(connection, clock()) == 1
    enqueued(connection, clock, change("w1"))
    delivered(connection, send, clock)
    assert len(came(receiver, "/second")) == 2, "it is the only channel now"


def test_an_alarm_nobody_acknowledges_in_its_time_is_escalated_once(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    connection.execute("truncate warning_operator")
    subscribed(connection, at(receiver, "/first"), backup=[at(receiver, "/second")])
    hour = {"definition": {"respond_s": 3_600}}
    seen, unseen = (
        record("seen", severity="alarm", snapshot=hour),
        record("unseen", severity="alarm", snapshot=hour),
    )
    for one, state in ((seen, "active-acked"), (unseen, "active-unacked")):
        given = {"id": one["id"], "at": clock(), "state": state, "acked": state == "active-acked"}
        connection.execute(OPERATOR, given)
        enqueued(connection, clock, change(one["id"], severity="alarm", snapshot=hour))
    clock.turn(minutes=59)
    assert escalate(connection, clock()) == 0
    clock.turn(minutes=1)
    assert escalate(connection, clock()) == 1
    assert escalate(connection, clock()) == 0
    delivered(connection, send, clock)
    (told,) = came(receiver, "/second")
    body = json.loads(told.body)
    assert body["type"] == "carbonstream.warning.escalated"
    assert [w["id"] for w in body["data"]["warnings"]] == ["unseen"]
    assert datetime.fromisoformat(body["data"]["respond_by"]) == clock()
    assert told.id not in {one.id for one in came(receiver, "/first")}


def test_the_scheduler_sees_to_all_of_it(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock = Clock()
    subscribed(connection, at(receiver, "/first"), backup=[at(receiver, "/second")], digest="09:00")
    receiver.answer = failing("/first")
    for n in range(3):
        enqueued(connection, clock, change(f"w{n}"))
        delivered(connection, sender(database), clock)
    scheduler = tending(database, clock, LOG)
    scheduler.start()
    handed = "select count(*) from notice_delivery where handed_over"
    eventually(lambda: connection.execute(handed).fetchone() == (3,), "the backup has them")
    assert len(scheduler.get_jobs()) == 3
    scheduler.shutdown()
