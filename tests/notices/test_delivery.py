"""What real receivers get: everything, with the same ids, signed, and nothing that is not theirs."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from carbonstream.connectors.retention import drop_old
from carbonstream.connectors.sinks.notify import subscriptions
from carbonstream.connectors.sinks.notify.queue import begin_attempt, lease_channel
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.settings import Settings
from tests.running import eventually

from .changes import START, Clock, change, delivered, enqueued, subscribed
from .conftest import Received, Receiver

Connection = psycopg.Connection[Any]


TOLD = """
select c.warning from notice_change c join notice_delivery d using (notice)
join notice_private.channel on channel.id = d.channel where channel.address = %s
"""


def disabled(connection: Connection, address: str) -> str | None:
    (found,) = connection.execute(
        "select disabled from notice_private.channel where address = %s", (address,)
    ).fetchall()
    reason: str | None = found[0]
    return reason


def states(connection: Connection) -> dict[str, int]:
    return dict(connection.execute("select state, count(*)::int from notice_delivery group by 1").fetchall())


def checked(secret: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Any:
    """The last request as the far side's own library accepts it."""
    last = receiver.received[-1]
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", _At(clock))
    return Webhook(secret).verify(last.body.decode(), last.headers)


class _At:
    """The far side's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self, tz: Any = None) -> Any:
        return self._clock().astimezone(tz)

    def __getattr__(self, name: str) -> Any:
        import datetime as real

        return getattr(real.datetime, name)


def test_a_webhook_is_signed_so_that_the_far_side_accepts_it(
    connection: Connection, database: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    (secret,) = subscribed(connection, receiver.url).values()
    enqueued(connection, clock, change())
    assert delivered(connection, sender(database), clock) == 1
    body = checked(secret, receiver, monkeypatch, clock)
    assert body["type"] == "carbonstream.warning.changed"
    assert body["data"]["notice"] == receiver.received[0].id
    assert [w["id"] for w in body["data"]["warnings"]] == ["w"]
    receiver.received[0].headers["webhook-timestamp"] = str(int(START.timestamp()) + 1)
    with pytest.raises(Exception, match="signature"):
        checked(secret, receiver, monkeypatch, clock)


def test_both_secrets_sign_for_a_day_of_rotation(
    connection: Connection, database: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    (old,) = subscribed(connection, receiver.url).values()
    new = subscriptions.rotate(connection, "a", clock())[0]["secret"]
    enqueued(connection, clock, change())
    delivered(connection, sender(database), clock)
    checked(old, receiver, monkeypatch, clock)
    checked(new, receiver, monkeypatch, clock)
    clock.turn(hours=25)
    enqueued(connection, clock, change(version=2))
    delivered(connection, sender(database), clock)
    checked(new, receiver, monkeypatch, clock)
    with pytest.raises(Exception, match="signature"):
        checked(old, receiver, monkeypatch, clock)


def test_after_an_outage_of_two_hours_all_have_arrived_with_the_same_ids(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    receiver.answer = lambda _: (500, {})
    for minute in range(120):
        enqueued(connection, clock, change(f"w{minute}"))
        delivered(connection, send, clock)
        clock.turn(minutes=1)
    tried = len(receiver.received)
    assert tried < 60, "the open circuit spares the receiver"
    failed = {one.id: one.body for one in receiver.received}
    assert states(connection) == {"waiting": 120}
    receiver.received.clear()
    receiver.answer = lambda _: (200, {})
    clock.turn(minutes=15)
    delivered(connection, send, clock)
    assert states(connection) == {"sent": 120}
    arrived = {one.id: one.body for one in receiver.received}
    assert len(receiver.received) == len(arrived) == 120
    assert failed.items() <= arrived.items()


def test_retry_after_pauses_the_whole_channel(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    receiver.answer = lambda _: (429, {"Retry-After": "600"})
    enqueued(connection, clock, change("w1"), change("w2"))
    assert delivered(connection, send, clock) == 1
    receiver.answer = lambda _: (200, {})
    clock.turn(seconds=599)
    assert delivered(connection, send, clock) == 0
    clock.turn(seconds=1)
    assert delivered(connection, send, clock) == 2
    assert states(connection) == {"sent": 2}


def test_what_a_receiver_puts_off_past_a_day_is_sent_when_it_says(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    receiver.answer = lambda _: (500, {})
    enqueued(connection, clock, change("w1"), change("w2"))
    for _ in range(20):
        delivered(connection, send, clock)
        clock.turn(hours=1)
    receiver.answer = lambda _: (429, {"Retry-After": "36000"})
    delivered(connection, send, clock)
    receiver.answer = lambda _: (200, {})
    clock.turn(hours=10)
    assert delivered(connection, send, clock) == 2
    assert states(connection) == {"sent": 2}


def test_what_waits_behind_a_receiver_that_puts_off_for_two_days_is_dead(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    receiver.answer = lambda _: (429, {"Retry-After": "3600"})
    enqueued(connection, clock, *(change(f"w{n}") for n in range(100)))
    for _ in range(50):
        delivered(connection, send, clock)
        clock.turn(hours=1)
    assert states(connection) == {"dead": 100}


def test_a_receiver_that_is_gone_is_told_nothing_more_until_it_subscribes_again(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    receiver.answer = lambda _: (410, {})
    enqueued(connection, clock, change("w1"), change("w2"))
    assert delivered(connection, send, clock) == 1
    assert states(connection) == {"dead": 2}
    assert subscriptions.listed(connection, clock())[0]["disabled"] == "gone"
    assert enqueued(connection, clock, change("w3")) == 0
    assert subscriptions.resend(connection, clock()) == 0
    receiver.answer = lambda _: (200, {})
    subscribed(connection, receiver.url)
    assert subscriptions.resend(connection, clock()) == 2
    assert delivered(connection, send, clock) == 2
    assert len({one.id for one in receiver.received}) == 2


def test_what_failed_for_a_day_is_dead_kept_and_sent_again_with_its_id(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    receiver.answer = lambda _: (500, {})
    enqueued(connection, clock, change())
    for _ in range(26 * 6):
        delivered(connection, send, clock)
        clock.turn(minutes=10)
    (dead,) = subscriptions.dead(connection)
    assert dead["reason"] == "HTTP 500"
    assert dead["notice"] == receiver.received[0].id
    receipts = connection.execute("select count(*), min(code), max(code) from notice_receipt").fetchone()
    assert receipts == (len(receiver.received), 500, 500)
    receiver.answer = lambda _: (200, {})
    assert subscriptions.resend(connection, clock(), notices=[dead["notice"]]) == 1
    assert delivered(connection, send, clock) == 1
    assert len({one.id for one in receiver.received}) == 1
    assert subscriptions.dead(connection) == []


def test_what_was_never_tried_while_the_circuit_was_open_is_dead_after_a_day_too(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    receiver.answer = lambda _: (500, {})
    enqueued(connection, clock, *(change(f"w{n}") for n in range(400)))
    for _ in range(25 * 4):
        delivered(connection, send, clock)
        clock.turn(minutes=15)
    assert states(connection) == {"dead": 400}
    assert len({one.id for one in receiver.received}) < 400


def test_once_a_receiver_is_back_what_waits_for_its_next_attempt_goes_at_once(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    receiver.answer = lambda _: (500, {})
    enqueued(connection, clock, change("old"))
    for _ in range(12):  # the pause after so many attempts is half an hour at least
        assert delivered(connection, send, clock) == 1
        clock.turn(hours=1)
    assert delivered(connection, send, clock) == 1
    receiver.answer = lambda _: (200, {})
    clock.turn(minutes=16)
    assert delivered(connection, send, clock) == 0
    enqueued(connection, clock, change("new"))
    assert delivered(connection, send, clock) == 2
    assert states(connection) == {"sent": 2}


@pytest.mark.parametrize("hangs", [False, True])
def test_a_worker_that_ends_before_recording_leaves_the_same_notice_to_the_next(
    connection: Connection, database: Settings, receiver: Receiver, hangs: bool
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    enqueued(connection, clock, change())
    with psycopg.connect(database.database, autocommit=True) as lost:
        lease = lease_channel(lost, clock())
        assert lease is not None
        attempt = begin_attempt(lost, lease, clock())
        assert attempt is not None
        send(lease.channel, attempt.message, clock())
        assert delivered(connection, send, clock) == 0, "the lease still runs"
        if hangs:
            clock.turn(seconds=121)
            assert delivered(connection, send, clock) == 1
    if not hangs:  # its session's end is enough
        eventually(lambda: delivered(connection, send, clock), "the lease is over", 10)
    assert [one.id for one in receiver.received] == [attempt.message.id] * 2
    assert receiver.received[0].body == receiver.received[1].body
    assert states(connection) == {"sent": 1}


def test_workers_at_once_send_each_notice_once(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    for name in "abcd":
        subscribed(connection, receiver.url, id=name)
    enqueued(connection, clock, *(change(f"w{n}") for n in range(25)))

    def work() -> None:
        with psycopg.connect(database.database, autocommit=True) as own:
            delivered(own, send, clock)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    delivered(connection, send, clock)
    assert len(receiver.received) == len({one.id for one in receiver.received}) == 100


@pytest.mark.parametrize("again", [None, ["https://other.example/"]])
def test_an_address_removed_during_an_attempt_stays_removed(
    connection: Connection, database: Settings, receiver: Receiver, again: list[str] | None
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)

    def remove(_: Received) -> tuple[int, dict[str, str]]:
        with psycopg.connect(database.database, autocommit=True) as other:
            if again is None:
                subscriptions.unsubscribe(other, "a", clock())
            else:
                subscribed(other, *again)
        return 500, {}

    receiver.answer = remove
    enqueued(connection, clock, change("w1"))
    assert delivered(connection, send, clock) == 1
    assert disabled(connection, receiver.url) == "removed"
    assert states(connection) == {"dead": 1}
    enqueued(connection, clock, change("w2"))
    (told,) = connection.execute(TOLD, (receiver.url,)).fetchall()
    assert told == ("w1",)


def test_what_arrives_at_an_address_that_was_removed_meanwhile_is_sent(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)

    def remove(_: Received) -> tuple[int, dict[str, str]]:
        with psycopg.connect(database.database, autocommit=True) as other:
            subscribed(other, "https://other.example/")
        return 200, {}

    receiver.answer = remove
    enqueued(connection, clock, change())
    assert delivered(connection, send, clock) == 1
    assert disabled(connection, receiver.url) == "removed"
    assert states(connection) == {"sent": 1}


def test_an_attempt_says_nothing_of_an_address_that_was_removed_and_came_back_meanwhile(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)

    def remove_and_add(_: Received) -> tuple[int, dict[str, str]]:
        with psycopg.connect(database.database, autocommit=True) as other:
            subscribed(other, "https://other.example/")
            subscribed(other, receiver.url)
        return 410, {}

    receiver.answer = remove_and_add
    enqueued(connection, clock, change())
    assert delivered(connection, send, clock) == 1
    assert disabled(connection, receiver.url) is None


def test_a_second_copy_of_a_change_makes_no_second_notice(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock = Clock()
    subscribed(connection, receiver.url)
    assert enqueued(connection, clock, change(), change()) == 1
    clock.turn(hours=1)
    assert enqueued(connection, clock, change()) == 0
    assert delivered(connection, sender(database), clock) == 1


def test_no_enterprise_is_told_of_anothers_entities(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock = Clock()
    subscribed(connection, f"{receiver.url}/a")
    subscribed(connection, f"{receiver.url}/b", id="b", enterprise="enterprise:B", entities=["*"])
    subscribed(connection, f"{receiver.url}/ops", id="ops", enterprise=None, operator_group="shift")
    entities = ["site:a-1", "enterprise:A", "site:b-1", "region:330502", "enterprise:NOBODY"]
    enqueued(connection, clock, *(change(f"w {entity}", entity=entity) for entity in entities))
    delivered(connection, sender(database), clock)
    told: dict[str, set[str]] = {}
    for one in receiver.received:
        told.setdefault(one.path.rpartition("/")[2], set()).update(
            warning["entity"] for warning in json.loads(one.body)["data"]["warnings"]
        )
    assert told == {"a": {"site:a-1", "enterprise:A"}, "b": {"site:b-1"}, "ops": set(entities)}
    with pytest.raises(LoadRefused, match="belongs to enterprise:A"):
        subscribed(connection, receiver.url, enterprise="enterprise:B")


def test_changes_within_the_window_come_as_one_notice(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url, group_s=60)
    enqueued(connection, clock, change("w1"))
    clock.turn(seconds=30)
    enqueued(connection, clock, change("w2"))
    assert delivered(connection, send, clock) == 0
    clock.turn(seconds=30)
    assert delivered(connection, send, clock) == 1
    assert [w["id"] for w in json.loads(receiver.received[0].body)["data"]["warnings"]] == ["w1", "w2"]
    enqueued(connection, clock, change("w3"))
    clock.turn(seconds=60)
    assert delivered(connection, send, clock) == 1


def test_readers_of_the_database_see_no_secret(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    (secret,) = subscribed(connection, receiver.url).values()
    assert secret not in json.dumps(subscriptions.listed(connection, START), default=str)
    with psycopg.connect(database.database, autocommit=True) as reading:
        reading.execute("set role carbonstream_read")
        reading.execute("select * from notice_delivery")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reading.execute("select secret from notice_private.channel")


def test_old_notices_go_once_they_are_sent(
    connection: Connection, database: Settings, receiver: Receiver
) -> None:
    clock, send = Clock(), sender(database)
    subscribed(connection, receiver.url)
    enqueued(connection, clock, change("sent"))
    delivered(connection, send, clock)
    enqueued(connection, clock, change("waits"))
    with psycopg.connect(database.database) as dropping:
        assert drop_old(dropping, database)["notices_days"] == 1  # the clock stands in 2024
    assert connection.execute("select warning from notice_change").fetchall() == [("waits",)]


def test_a_file_with_an_error_changes_nothing(connection: Connection) -> None:
    with pytest.raises(LoadRefused, match="NOBODY is not a known enterprise"):
        subscribed(connection, "https://a.example/hook", enterprise="enterprise:NOBODY")
    with pytest.raises(LoadRefused, match="unknown kind of address"):
        subscribed(connection, "json://127.0.0.1/")
    assert subscriptions.listed(connection, START + timedelta(days=1)) == []
