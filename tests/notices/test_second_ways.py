"""Backups of channels that fail, alarms that nobody acknowledged, and a digest once a day."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from typing import Any

import psycopg
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors.sinks.notify.digests import make_digests
from carbonstream.connectors.sinks.notify.second_ways import escalate, fail_over
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.connectors.sinks.notify.tending import tending
from carbonstream.processors import notices_second
from carbonstream.processors.notices import Subscription
from carbonstream.processors.notices_digest import LISTED, Happened, digest, due_day, span
from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.settings import Settings
from tests.running import eventually

from .changes import LOG, START, Clock, change, delivered, enqueued, record, subscribed
from .conftest import Received, Receiver

Connection = psycopg.Connection[Any]
WARNING = """
insert into warning (id, version, rule, entity, indicator, period, severity, state, bucket, snapshot, raised_at,
  changed_at)
values (%(id)s, 1, 'pace', %(entity)s, 'co2', '2024-03-01', 'alarm', %(state)s, %(at)s, '{}', %(at)s, %(at)s)
"""
HISTORY = """
insert into warning_history (id, version, state, bucket, changed_at, snapshot)
values (%(id)s, %(version)s, %(state)s, %(at)s, %(at)s, '{}')
"""
OPERATOR = """
insert into warning_operator (id, entity, rule, change, version, state, rank, priority, since, active, acked,
  raised_version, raised_at)
values (%(id)s, 'site:a-1', 'pace', 1, 1, %(state)s, 0, 1, %(at)s, true, %(acked)s, 1, %(at)s)
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


def test_a_digest_comes_once_a_day_with_what_is_the_subscribers_own(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)  # 10:00 local
    connection.execute("truncate warning, warning_history")
    for id_, entity, state in (
        ("a", "site:a-1", "active"),
        ("b", "site:b-1", "active"),
        ("r", "site:a-1", "cleared"),
    ):
        given = {"id": id_, "entity": entity, "state": state, "at": clock() + timedelta(hours=1)}
        connection.execute(WARNING, given)
        connection.execute(HISTORY, given | {"version": 1, "state": "active"})
        if state == "cleared":
            connection.execute(HISTORY, given | {"version": 2})
    subscribed(connection, receiver.url, digest="08:00", language="en")
    assert make_digests(connection, clock()) == 0, "today's was due before anybody wanted it"
    clock.turn(hours=22)
    assert make_digests(connection, clock()) == 1
    assert make_digests(connection, clock()) == 0
    delivered(connection, send, clock)
    (told,) = receiver.received
    body = json.loads(told.body)
    assert body["type"] == "carbonstream.digest"
    assert {what: body["data"][what]["count"] for what in ("open", "raised", "cleared")} == {
        "open": 1, "raised": 2, "cleared": 1,
    }  # fmt: skip
    assert [w["id"] for w in body["data"]["open"]["warnings"]] == ["a"]
    clock.turn(days=3)
    assert make_digests(connection, clock()) == 1, "days that were missed come in one"


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
    assert len(scheduler.get_jobs()) == 2
    scheduler.shutdown()


DAYS = st.dates(date(2024, 1, 1), date(2024, 12, 31))
LOCAL = st.times().map(lambda t: t.replace(tzinfo=None))
NOWS = st.timedeltas(timedelta(0), timedelta(days=300)).map(lambda since: START + since)


@given(LOCAL, st.none() | DAYS, NOWS)
def test_a_digest_is_due_when_its_time_has_come_and_not_again_that_day(
    at: time, last: date | None, now: datetime
) -> None:
    day = due_day(at, last, now)
    if day is None:
        assert last is not None
        assert now < datetime.combine(last + timedelta(days=1), at, tzinfo=SHANGHAI)
        return
    begin, end = span(at, day, last)
    assert end <= now < end + timedelta(days=1)
    assert begin < end
    assert due_day(at, day, now) is None


def test_a_digest_counts_all_and_lists_the_latest() -> None:
    everybody = Subscription("s", None, "control-room", (), (), "notice", None, "en", 0)
    happened = [
        Happened("open", change(f"w{n}"), START + timedelta(minutes=n), "enterprise:A")
        for n in range(LISTED + 7)
    ]
    content = digest(everybody, happened, START, START + timedelta(days=1))
    assert (content["open"]["count"], len(content["open"]["warnings"])) == (LISTED + 7, LISTED)
    assert content["open"]["warnings"][0]["id"] == f"w{LISTED + 6}"
    assert "and 7 more" in [one.text for one in notices_second.entries("digest", content, "en")]
    assert notices_second.subject("digest", content, "zh").startswith(
        "Carbonstream: 每日摘要 2024-03-06: 未解除 57"
    )
