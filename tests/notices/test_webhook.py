"""One call of a webhook: cut in time, never turned inwards, never redirected."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from carbonstream.connectors.sinks.notify import outward, subscriptions, webhook
from carbonstream.connectors.sinks.notify.sending import Channel, Message
from carbonstream.processors.notices_delivery import Outcome

from .changes import START, Clock, change
from .conftest import Receiver


def message(clock: Clock) -> Message:
    return Message("ntc_1", clock(), "zh", [change().record])


def test_a_receiver_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "TOTAL_S", 0.3)
    monkeypatch.setattr(outward, "CONNECT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        channel = Channel(1, "webhook", address, (subscriptions.new_secret(),))
        answer = webhook.post(channel, message(Clock()), START, ["127.0.0.1/32"])
    assert answer.outcome is Outcome.FAILED


def test_a_receiver_that_trickles_is_cut_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "TOTAL_S", 0.4)
    monkeypatch.setattr(outward, "CONNECT_S", 0.1)
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
