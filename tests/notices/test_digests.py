"""A digest once a day, and each change in exactly one."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from itertools import chain, pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors.sinks.notify.digests import make_digests
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.connectors.sinks.notify.subscriptions import subscribe
from carbonstream.processors import notices_second
from carbonstream.processors.notices import Subscription
from carbonstream.processors.notices_digest import (
    LISTED,
    Happened,
    Made,
    digest,
    instant_on,
    last_day,
    next_digest,
)
from carbonstream.schemas.notices import Subscription as Wanted
from carbonstream.schemas.settings import Settings

from .changes import NETWORKS, START, Clock, change, delivered, subscribed
from .conftest import Receiver

Connection = psycopg.Connection[Any]
HOOK = "https://a.example/hook"
WARNING = """
insert into warning (id, version, rule, entity, indicator, period, severity, state, bucket, snapshot, raised_at,
  changed_at)
values (%(id)s, 1, 'pace', %(entity)s, 'co2', '2024-03-01', 'alarm', %(state)s, %(at)s, '{}', %(at)s, %(at)s)
"""
HISTORY = """
insert into warning_history (id, version, state, bucket, changed_at, snapshot)
values (%(id)s, %(version)s, %(state)s, %(at)s, %(at)s, '{}')
"""


@pytest.fixture
def clock(connection: Connection) -> Clock:
    """10:00 local."""
    connection.execute("truncate warning, warning_history")
    return Clock()


def happens(
    connection: Connection, id_: str, at: datetime, *, version: int = 1, state: str = "active"
) -> None:
    """A warning of site a-1 is told; at: the tick it bears."""
    given = {"id": id_, "entity": "site:a-1", "state": state, "at": at, "version": version}
    if version == 1:
        connection.execute(WARNING, given)
    connection.execute(HISTORY, given)


def told(connection: Connection) -> list[list[str]]:
    """What was raised by each digest, in the order made."""
    rows = connection.execute(
        "select content from notice where kind = 'digest' order by opened_at"
    ).fetchall()
    return [sorted(w["id"] for w in content["raised"]["warnings"]) for (content,) in rows]


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
    (line,) = body["data"]["open"]["warnings"]
    assert (line["id"], line["entity_name"], line["since"]) == (
        "a", {"zh": "a-1", "en": "a-1"}, "2024-03-05T11:00:00+08:00"
    )  # fmt: skip
    assert (line["indicator"], line["state"], line["snapshot"]) == ("co2", "active", {})
    clock.turn(days=3)
    assert make_digests(connection, clock()) == 1, "days that were missed come in one"


def test_a_change_that_bears_a_time_before_the_last_digest_is_in_the_next(
    connection: Connection, clock: Clock
) -> None:
    subscribed(connection, HOOK, digest="08:00")
    make_digests(connection, clock())
    clock.turn(hours=22)  # 08:00
    happens(connection, "before", clock() - timedelta(seconds=3))
    assert make_digests(connection, clock()) == 1
    happens(connection, "lagging", clock() - timedelta(seconds=2))
    clock.turn(days=1)
    assert make_digests(connection, clock()) == 1
    assert told(connection) == [["before"], ["lagging"]]


def test_a_change_that_is_being_written_is_waited_for(
    connection: Connection, database: Settings, clock: Clock
) -> None:
    subscribed(connection, HOOK, digest="08:00")
    make_digests(connection, clock())
    clock.turn(hours=22)
    with psycopg.connect(database.database) as writing:
        happens(writing, "slow", clock() - timedelta(seconds=3))
        happens(connection, "quick", clock() - timedelta(seconds=3))
        assert make_digests(connection, clock()) == 0
    clock.turn(minutes=1)
    assert make_digests(connection, clock()) == 1
    assert told(connection) == [["quick", "slow"]]


def test_a_digest_whose_time_is_changed_neither_loses_nor_repeats(
    connection: Connection, clock: Clock
) -> None:
    subscribed(connection, HOOK, digest="08:00")
    make_digests(connection, clock())
    names = (f"w{n}" for n in range(99))
    for at, hours in (("08:00", 22), ("20:00", 24), ("09:00", 24)):
        subscribed(connection, HOOK, digest=at)
        for _ in range(hours):
            happens(connection, next(names), clock())
            clock.turn(hours=1)
            make_digests(connection, clock())
    digests = told(connection)
    assert [len(one) for one in digests] == [22, 12, 13], "at 08:00, at 20:00, at 09:00"
    assert sorted(chain.from_iterable(digests)) == sorted(f"w{n}" for n in range(22 + 12 + 13))


def test_the_end_of_an_alarm_is_counted_as_the_alarm_was(connection: Connection, clock: Clock) -> None:
    subscribed(connection, HOOK, digest="08:00", severity="alarm")
    make_digests(connection, clock())
    happens(connection, "w", clock())
    happens(connection, "w", clock(), version=2, state="cleared")
    connection.execute(
        """update warning_history set snapshot = '{"definition": {"class": "alarm"}}' where version = 1"""
    )
    connection.execute("update warning set severity = 'notice', state = 'cleared'")
    clock.turn(days=1)
    make_digests(connection, clock())
    row = connection.execute("select content from notice").fetchone()
    assert row is not None
    assert {what: row[0][what]["count"] for what in ("open", "raised", "cleared")} == {
        "open": 0, "raised": 1, "cleared": 1,
    }  # fmt: skip


def test_who_wants_digests_again_is_told_from_then_on(connection: Connection, clock: Clock) -> None:
    subscribed(connection, HOOK, digest="08:00")
    make_digests(connection, clock())
    subscribed(connection, HOOK)
    make_digests(connection, clock())
    happens(connection, "meanwhile", clock())
    clock.turn(days=9)
    again = {"id": "a", "enterprise": "enterprise:A", "channels": [HOOK], "digest": "08:00"}
    subscribe(connection, [Wanted.model_validate(again)], clock(), NETWORKS)
    make_digests(connection, clock())
    happens(connection, "then", clock())
    clock.turn(days=1)
    assert make_digests(connection, clock()) == 1
    assert told(connection) == [["then"]]


TIMES = st.times().map(lambda t: t.replace(microsecond=0))
STEPS = st.tuples(
    st.timedeltas(timedelta(seconds=1), timedelta(hours=30)), st.integers(0, 3), st.none() | TIMES
)


@given(TIMES, st.lists(STEPS, max_size=30))
def test_every_change_is_in_exactly_one_digest(
    at: time, steps: list[tuple[timedelta, int, time | None]]
) -> None:
    """Changes are inserted, time goes on, the time of day is set anew now and then; a look after each of these."""
    now, newest = START, 0
    spans = [Made(instant_on(last_day(at, now), at), 0)]
    for passed, inserted, other in steps:
        now, newest, at = now + passed, newest + inserted, other or at
        made = next_digest(at, spans[-1], now, newest)
        is_due = spans[-1].until < instant_on(last_day(at, now), at)
        assert (made is not None) == is_due
        if made is not None:
            assert next_digest(at, made, now, newest) is None
            spans.append(made)
        assert now - spans[-1].until < timedelta(hours=48), "a day, and another where its time was changed"
    in_digests = [seq for last, made in pairwise(spans) for seq in range(last.seq + 1, made.seq + 1)]
    assert in_digests == list(range(1, spans[-1].seq + 1))
    assert spans[-1].seq == newest or next_digest(at, spans[-1], now + timedelta(days=1), newest) is not None


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
