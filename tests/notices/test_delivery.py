"""What real receivers get: everything, with the same ids, signed, and nothing that is not theirs."""

from __future__ import annotations

import json
import socket
import threading
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook

from carbonstream.connectors.retention import drop_old
from carbonstream.connectors.sinks.notify import subscriptions, webhook
from carbonstream.connectors.sinks.notify.queue import begin_attempt, lease_channel
from carbonstream.connectors.sinks.notify.sending import Channel, Message, sender
from carbonstream.processors.notices_delivery import Outcome
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.settings import Settings
from tests.running import eventually

from .changes import START, Clock, change, delivered, enqueued, subscribed
from .conftest import Receiver

Connection = psycopg.Connection[Any]


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


def message(clock: Clock) -> Message:
    return Message("ntc_1", clock(), "zh", [change().record])


def test_a_receiver_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TOTAL_S", 0.3)
    monkeypatch.setattr(webhook, "CONNECT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        channel = Channel(1, "webhook", address, (subscriptions.new_secret(),))
        answer = webhook.post(channel, message(Clock()), START, ["127.0.0.1/32"])
    assert answer.outcome is Outcome.FAILED


def test_a_receiver_that_trickles_is_cut_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TOTAL_S", 0.4)
    monkeypatch.setattr(webhook, "CONNECT_S", 0.1)
    ended = threading.Event()

    def trickle(listening: socket.socket) -> None:
        line, _ = listening.accept()
        with line:
            line.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while not ended.wait(0.05):
                try:
                    line.sendall(b"x")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=trickle, args=(listening,))
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        channel = Channel(1, "webhook", address, (subscriptions.new_secret(),))
        answer = webhook.post(channel, message(Clock()), START, ["127.0.0.1/32"])
        ended.set()
        thread.join()
    assert answer.outcome is Outcome.FAILED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::]", "169.254.169.254", "10.0.0.1"])
def test_no_webhook_is_turned_inwards(host: str, receiver: Receiver) -> None:
    port = receiver.url.rpartition(":")[2]
    channel = Channel(1, "webhook", f"https://{host}:{port}", (subscriptions.new_secret(),))
    assert webhook.post(channel, message(Clock()), START, []).outcome is Outcome.REFUSED
    assert receiver.received == []


def test_a_name_that_changes_its_address_is_judged_by_the_one_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers = iter(["93.184.215.14", "127.0.0.1"])

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    connected: list[str] = []

    def refuse(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(socket, "create_connection", refuse)
    channel = Channel(1, "webhook", "https://rebinding.example/", (subscriptions.new_secret(),))
    webhook.post(channel, message(Clock()), START, [])
    assert (asked, connected) == (["rebinding.example"], ["93.184.215.14"])
    assert webhook.post(channel, message(Clock()), START, []).outcome is Outcome.REFUSED
    assert connected == ["93.184.215.14"]


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer = lambda _: (307, {"Location": f"{receiver.url}/elsewhere"})
    channel = Channel(1, "webhook", receiver.url, (subscriptions.new_secret(),))
    answer = webhook.post(channel, message(Clock()), START, ["127.0.0.0/8"])
    assert (answer.outcome, answer.code) == (Outcome.FAILED, 307)
    assert [one.path for one in receiver.received] == ["/hook"]


class Mailboxes:
    """What a mail server's users get; one mailbox does not exist."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def test_mail_arrives_and_an_unknown_mailbox_is_dead_at_once(
    connection: Connection, database: Settings
) -> None:
    clock, boxes = Clock(), Mailboxes()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(boxes, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        config = database.model_copy(
            update={"smtp": f"smtp://127.0.0.1:{port}", "smtp_from": "carbon@park.example"}
        )
        subscribed(connection, "mailto:energy@a.example", "mailto:nobody@a.example")
        enqueued(connection, clock, change())
        delivered(connection, sender(config), clock)
    finally:
        controller.stop()
    (mail,) = boxes.taken
    (dead,) = subscriptions.dead(connection)
    assert mail["Message-ID"] == f"<{dead['notice']}@park.example>"
    assert mail["To"] == "energy@a.example"
    assert "site:a-1" in mail["Subject"]
    assert "812.5 kg" in mail.get_content()
    assert (dead["address"], dead["reason"]) == ("mailto:nobody@a.example", "the mailbox is refused")


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
