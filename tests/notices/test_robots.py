"""Group robots: what they refuse with HTTP 200 is not booked as sent, and what they are posted is as documented."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import apprise
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors.sinks.notify import subscriptions
from carbonstream.connectors.sinks.notify.robots import ANSWER_BYTES, post_text
from carbonstream.connectors.sinks.notify.sending import Channel, Message, Send, sender
from carbonstream.processors import notices_second
from carbonstream.processors.notices_delivery import Outcome
from carbonstream.processors.notices_robots import (
    BASES,
    MOST_BYTES,
    Robot,
    body,
    robot_answer,
    robot_of,
    room,
)
from carbonstream.processors.notices_text import Entry, entries, fitted, subject
from carbonstream.schemas.settings import Settings

from .changes import NETWORKS, START, Clock, change, delivered, enqueued, record, subscribed
from .conftest import Receiver
from .test_delivery import states

Connection = psycopg.Connection[Any]
ADDRESSES = {
    "wecombot": "wecombot://KEY-1",
    "dingtalk": "dingtalk://TOKEN",
    "feishu": "feishu://T-1",
    "lark": "lark://T-1",
}


def base(receiver: Receiver) -> str:
    return receiver.url.removesuffix("/hook")


def sending(database: Settings, receiver: Receiver) -> Send:
    return sender(database, dict.fromkeys(BASES, base(receiver)))


def answers(receiver: Receiver, **content: Any) -> None:
    receiver.answer = lambda _: (200, {"content-type": "application/json"})
    receiver.says = json.dumps(content).encode()


def posted(receiver: Receiver, address: str, message: Message | None = None) -> Outcome:
    told = message or Message("ntc_1", START, "zh", [record()])
    return post_text(
        Channel(1, "service", address, ()), told, START, NETWORKS, dict.fromkeys(BASES, base(receiver))
    ).outcome


@pytest.mark.parametrize("kind", BASES)
def test_what_a_robot_takes_is_sent(
    connection: Connection, database: Settings, receiver: Receiver, kind: str
) -> None:
    answers(receiver, errcode=0, errmsg="ok", code=0, msg="success")
    subscribed(connection, ADDRESSES[kind])
    enqueued(connection, Clock(), change())
    assert delivered(connection, sending(database, receiver), Clock()) == 1
    assert states(connection) == {"sent": 1}


@pytest.mark.parametrize(
    ("kind", "content"),
    [("wecombot", {"errcode": 45009, "errmsg": "api freq out of limit"}),
     ("dingtalk", {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}),
     ("dingtalk", {"errcode": 660026, "errmsg": "limited"}),
     ("feishu", {"code": 11232, "msg": "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]"}),
     ("lark", {"code": 9499, "msg": "too many request", "StatusCode": 0})],
)  # fmt: skip
def test_what_comes_too_fast_for_a_robot_waits_and_is_sent(
    connection: Connection, database: Settings, receiver: Receiver, kind: str, content: dict[str, Any]
) -> None:
    clock, send = Clock(), sending(database, receiver)
    answers(receiver, **content)
    subscribed(connection, ADDRESSES[kind])
    enqueued(connection, clock, change("w1"), change("w2"))
    assert delivered(connection, send, clock) == 1
    assert states(connection) == {"waiting": 2}
    answers(receiver, errcode=0, code=0)
    clock.turn(seconds=59)
    assert delivered(connection, send, clock) == 0
    clock.turn(minutes=10)
    assert delivered(connection, send, clock) == 2


@pytest.mark.parametrize(
    ("kind", "content"),
    [("wecombot", {"errcode": 93000, "errmsg": "invalid webhook url, hint: [1], from ip: 1.1.1.1"}),
     ("dingtalk", {"errcode": 300005, "errmsg": "token is not exist"}),
     ("feishu", {"code": 19001, "msg": "param invalid: incoming webhook access token invalid"})],
)  # fmt: skip
def test_a_robot_that_is_gone_is_switched_off(
    connection: Connection, database: Settings, receiver: Receiver, kind: str, content: dict[str, Any]
) -> None:
    answers(receiver, **content)
    subscribed(connection, ADDRESSES[kind])
    enqueued(connection, Clock(), change("w1"), change("w2"))
    assert delivered(connection, sending(database, receiver), Clock()) == 1
    assert states(connection) == {"dead": 2}
    assert subscriptions.listed(connection, START)[0]["disabled"] == "gone"


@pytest.mark.parametrize(
    ("kind", "content"),
    [("dingtalk", {"errcode": 310000, "errmsg": "sign not match"}),
     ("lark", {"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"}),
     ("feishu", {"code": 19024, "msg": "Key Words Not Found"})],
)  # fmt: skip
def test_what_a_robots_settings_refuse_is_dead_with_the_reason_and_the_robot_stays_on(
    connection: Connection, database: Settings, receiver: Receiver, kind: str, content: dict[str, Any]
) -> None:
    answers(receiver, **content)
    subscribed(connection, ADDRESSES[kind])
    enqueued(connection, Clock(), change("w1"))
    assert delivered(connection, sending(database, receiver), Clock()) == 1
    (dead,) = subscriptions.dead(connection)
    assert dead["reason"] == "code {}: {}".format(*content.values())
    assert subscriptions.listed(connection, START)[0]["disabled"] is None


@pytest.mark.parametrize(
    ("kind", "said"),
    [("wecombot", b'{"errcode": -1, "errmsg": "system busy"}'),
     ("wecombot", b'{"errcode": 93000, "errmsg": "Invalid input: content exceed max length"}'),
     ("feishu", b'{"code": 9499, "msg": "Bad Request"}'), ("dingtalk", b""), ("dingtalk", b"[]"), ("lark", b"{}"),
     ("lark", b'{"code": true}'), ("lark", b'{"code": "0"}'), ("wecombot", b'{"errcode": 99999999999}'),
     ("feishu", b"\xff"), ("wecombot", b'{"code": 0}')],
)  # fmt: skip
def test_any_other_answer_is_a_failure(kind: str, said: bytes) -> None:
    assert robot_answer(Robot(kind, "t"), 200, said, None, START).outcome is Outcome.FAILED


@given(
    st.sampled_from(list(BASES)), st.integers(100, 599), st.integers(-(2**40), 2**40) | st.just(0),
    st.text(max_size=300),
)  # fmt: skip
def test_only_code_0_and_a_status_of_success_are_taken(kind: str, status: int, code: int, words: str) -> None:
    names = ("code", "msg") if kind in ("feishu", "lark") else ("errcode", "errmsg")
    said = json.dumps(dict(zip(names, (code, words), strict=True))).encode()
    answer = robot_answer(Robot(kind, "t"), status, said, None, START)
    assert (answer.outcome is Outcome.ACCEPTED) == (code == 0 and 200 <= status < 300)
    assert answer.retry_at is None or START < answer.retry_at <= START + timedelta(minutes=10)


def test_older_answers_of_feishu_are_understood() -> None:
    said = b'{"StatusCode": 0, "StatusMessage": "success"}'
    assert robot_answer(Robot("feishu", "t"), 200, said, None, START).outcome is Outcome.ACCEPTED


def test_wecom_is_posted_what_it_documents(receiver: Receiver) -> None:
    answers(receiver, errcode=0)
    assert posted(receiver, "wecombot://Key_1-b") is Outcome.ACCEPTED
    (one,) = receiver.received
    assert one.path == "/cgi-bin/webhook/send?key=Key_1-b"
    content = json.loads(one.body)
    assert content == {"msgtype": "text", "text": {"content": content["text"]["content"]}}
    lines = content["text"]["content"].split("\n")
    assert (lines[0], lines[-1]) == (
        "Carbonstream: [预警] site:a-1 目标用量达到水平（2024-03-01），触发",
        "ntc_1",
    )


def test_dingtalk_is_posted_what_it_documents_with_its_signature(receiver: Receiver) -> None:
    answers(receiver, errcode=0)
    assert posted(receiver, "dingtalk://SECabc@Token/+86-13800000000") is Outcome.ACCEPTED
    (one,) = receiver.received
    stamp = str(int(START.timestamp()) * 1_000)
    sign = b64encode(hmac.digest(b"SECabc", f"{stamp}\nSECabc".encode(), "sha256")).decode()
    assert urlsplit(one.path).path == "/robot/send"
    assert parse_qs(urlsplit(one.path).query) == {
        "access_token": ["Token"],
        "timestamp": [stamp],
        "sign": [sign],
    }
    content = json.loads(one.body)
    assert (content["msgtype"], content["at"]) == ("text", {"atMobiles": ["8613800000000"], "isAtAll": False})


@pytest.mark.parametrize("kind", ["feishu", "lark"])
def test_feishu_and_lark_are_posted_what_they_document(receiver: Receiver, kind: str) -> None:
    answers(receiver, code=0)
    assert posted(receiver, f"{kind}://Token-1") is Outcome.ACCEPTED
    (one,) = receiver.received
    assert one.path == "/open-apis/bot/v2/hook/Token-1"
    content = json.loads(one.body)
    assert content == {"msg_type": "text", "content": {"text": content["content"]["text"]}}


@pytest.mark.parametrize(
    "address",
    ["wecombot://Key_1-b", "wecombot://x/?key=Key", "dingtalk://Token/", "dingtalk://SECa@Token",
     "dingtalk://Token/13800000000/8613800000001?secret=SECb", "dingtalk://Token/12?to=13800000000,13800000001",
     "feishu://T-1_a", "feishu://x?token=T", "lark://T-1", "lark://x?token=T"],
)  # fmt: skip
def test_an_address_means_what_it_means_to_apprise(address: str) -> None:
    theirs, ours = apprise.Apprise.instantiate(address), robot_of(address)
    assert ours.token == (theirs.key if ours.kind == "wecombot" else theirs.token)
    assert ours.secret == getattr(theirs, "secret", None)
    assert list(ours.mobiles) == getattr(theirs, "targets", [])


def test_no_robot_is_turned_inwards(receiver: Receiver) -> None:
    channel, message = Channel(1, "service", "feishu://T", ()), Message("ntc_1", START, "zh", [record()])
    answer = post_text(channel, message, START, [], {"feishu": base(receiver)})
    assert (answer.outcome, receiver.received) == (Outcome.REFUSED, [])


def test_no_more_of_an_answer_is_read_than_a_robot_says(receiver: Receiver) -> None:
    receiver.answer = lambda _: (200, {})
    receiver.says = b'{"code": 0}' + b" " * (ANSWER_BYTES - 11)
    assert posted(receiver, "feishu://T") is Outcome.ACCEPTED
    receiver.says = b" " * ANSWER_BYTES + b'{"code": 0}'
    assert posted(receiver, "feishu://T") is Outcome.FAILED


def test_a_robot_that_redirects_is_not_followed(receiver: Receiver) -> None:
    receiver.answer = lambda _: (307, {"Location": f"{receiver.url}/elsewhere"})
    assert posted(receiver, "feishu://T") is Outcome.FAILED
    assert len(receiver.received) == 1


@pytest.mark.parametrize("kind", BASES)
def test_two_hundred_changes_are_cut_to_what_the_service_takes(receiver: Receiver, kind: str) -> None:
    answers(receiver, errcode=0, code=0)
    message = Message("ntc_1", START, "zh", [record(f"w{n}") for n in range(200)])
    posted(receiver, ADDRESSES[kind], message)
    (one,) = receiver.received
    assert len(one.body) <= MOST_BYTES[kind]
    content = json.loads(one.body)
    lines = (content.get("text") or content["content"]).popitem()[1].split("\n")
    shown = sum(line.endswith(" v1") for line in lines)
    assert shown > 0
    assert lines[-1] == f"未显示的变化：{200 - shown} 条"


def test_a_digest_that_is_cut_counts_the_warnings_it_does_not_list() -> None:
    line = {"severity": "alert", "rule": "pace", "entity": "site:a-1", "at": "2024-03-05T08:00:00+08:00"}
    listed = [line | {"id": f"w{n}"} for n in range(50)]
    none: dict[str, Any] = {"count": 0, "warnings": []}
    content = {
        "from": "a",
        "until": "b",
        "open": {"count": 57, "warnings": listed},
        "raised": none,
        "cleared": none,
    }
    told = notices_second.entries("digest", content, "en")
    lines = fitted("digest", told, "ntc_1", "en", room(Robot("wecombot", "KEY"))).split("\n")
    assert lines[-1] == f"changes not shown: {57 - sum(line.startswith('- ') for line in lines)}"


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(
    WORDS,
    st.lists(st.builds(Entry, WORDS, st.integers(0, 3)), min_size=1, max_size=30),
    st.integers(100, 3_000),
)
def test_a_text_is_cut_between_entries_and_says_what_is_missing(
    line: str, told: list[Entry], most_bytes: int
) -> None:
    cut = fitted(line, told, "ntc_1", "en", most_bytes)
    assert len(json.dumps(cut, ensure_ascii=False).encode()) - 2 <= most_bytes
    whole = "\n".join([line, *(one.text for one in told), "ntc_1"])
    if cut != whole:
        before, missing = cut.rsplit("\nntc_1\nchanges not shown: ", 1)
        shown = [n for n in range(len(told)) if before == "\n".join([line, *(one.text for one in told[:n])])]
        assert sum(one.changes for one in told) - int(missing) in {
            sum(one.changes for one in told[:n]) for n in shown or [0]
        }


@pytest.mark.parametrize("kind", BASES)
def test_a_single_change_whose_words_are_too_long_fits_too(kind: str) -> None:
    robot = robot_of(ADDRESSES[kind])
    records = [record(entity="x" * 30_000)]
    text = fitted(subject(records, "zh"), entries(records, "zh"), "ntc_1", "zh", room(robot))
    assert MOST_BYTES[kind] - 2 <= len(body(robot, text)) <= MOST_BYTES[kind]
