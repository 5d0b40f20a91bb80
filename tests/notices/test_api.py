"""/v1/notices over a real database: subscribe, test, look, end, send again; and no secret is told twice."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from carbonstream.api import auth
from carbonstream.connectors.database import command_connection
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.ops.local import Addresses
from carbonstream.schemas.settings import Settings
from tests.api.conftest import TOKEN, Served, served

from .changes import START, Clock, change, delivered, enqueued
from .conftest import Receiver

Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def api(servers: Addresses, database: Settings) -> Iterator[Served]:
    update = {"kafka": servers.kafka, "api_token": TOKEN, "topic_prefix": "no-such."}
    with served(database.model_copy(update=update), now=lambda: START) as running:
        yield running


@pytest.fixture
def client(api: Served, connection: Connection) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def test_every_route_stands_on_the_page_and_every_one_there_exists(api: Served) -> None:
    page = (Path(__file__).parents[2] / "docs" / "notices.md").read_text(encoding="utf-8")
    named = {(method.lower(), path) for method, path in re.findall(r"`(GET|POST) (/v1/notices[^`?]*)`", page)}
    paths = api.app.openapi()["paths"]
    there = {
        (method, re.sub(r"{\w+}", "ID", path))
        for path in paths
        if "/notices" in path
        for method in paths[path]
    }
    assert named == there


def wanted(receiver: Receiver, **other: Any) -> dict[str, Any]:
    return {"id": "a", "enterprise": "enterprise:A", "channels": [receiver.url]} | other


def test_a_subscription_is_made_tested_listed_and_ended(
    client: httpx.Client, connection: Connection, database: Settings, receiver: Receiver
) -> None:
    made = client.post(
        "/v1/notices/subscriptions", json=wanted(receiver, digest="08:00", backup=["mailto:x@b.example"])
    )
    assert made.status_code == 201, made.text
    (secret,) = made.json()["secrets"]
    again = client.post("/v1/notices/subscriptions", json=wanted(receiver)).json()
    assert again["secrets"] == [], "a secret is told once"
    tested = client.post("/v1/notices/subscriptions/a/test")
    assert tested.status_code == 202, tested.text
    assert delivered(connection, sender(database), Clock()) == 1
    (one,) = client.get(f"/v1/notices/{tested.json()['notice']}").json()["notices"]
    assert (one["kind"], one["state"]) == ("test", "sent")
    (sent,) = receiver.received
    assert json.loads(sent.body)["type"] == "carbonstream.notice.test"
    signature = Webhook(secret["secret"]).sign(sent.id, START, sent.body.decode())
    assert sent.headers["webhook-signature"] == signature, "with the secret that was told"
    listed = client.get("/v1/notices/subscriptions").json()["subscriptions"]
    assert [(s["id"], [c["sent"] for c in s["channels"]]) for s in listed] == [("a", [1, 0])]
    assert secret["secret"] not in json.dumps(listed)
    assert "/hook" not in json.dumps(listed)
    assert client.post("/v1/notices/subscriptions/a/end").json() == {"id": "a"}
    assert client.post("/v1/notices/subscriptions/a/test").status_code == 404
    assert client.post("/v1/notices/subscriptions/b/end").status_code == 404


def test_dead_letters_are_listed_and_sent_again(
    client: httpx.Client, connection: Connection, database: Settings, receiver: Receiver
) -> None:
    client.post("/v1/notices/subscriptions", json=wanted(receiver))
    enqueued(connection, Clock(), change("w"))
    client.post("/v1/notices/subscriptions/a/end")
    (dead,) = client.get("/v1/notices", params={"state": "dead"}).json()["notices"]
    assert (dead["reason"], dead["changes"]) == ("removed", 1)
    client.post("/v1/notices/subscriptions", json=wanted(receiver))
    resent = client.post("/v1/notices/resend", json={"notices": [dead["notice"]]})
    assert resent.json() == {"resent": 1}
    delivered(connection, sender(database), Clock())
    assert [one.id for one in receiver.received] == [dead["notice"]]
    assert client.get("/v1/notices", params={"state": "dead"}).json()["notices"] == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"enterprise": "enterprise:X"}, "enterprise"),
        ({"channels": ["ftp://a.example"]}, "channels"),
        ({"channels": ["https://a.example/\0"]}, "channels"),
        ({"channels": ["https://10.0.0.1/hook"]}, "channels"),
        ({"backup": ["http://8.8.8.8/hook"]}, "backup"),
        ({"entities": ["a\0b"]}, "entities[0]"),
        ({"digest": "tomorrow"}, "digest"),
    ],
)
def test_a_faulty_subscription_is_refused_and_the_field_named(
    client: httpx.Client, receiver: Receiver, wrong: dict[str, Any], field: str
) -> None:
    answer = client.post("/v1/notices/subscriptions", json=wanted(receiver) | wrong)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


def test_what_belongs_to_one_is_not_handed_to_another_and_a_session_changes_nothing(
    client: httpx.Client, api: Served, receiver: Receiver
) -> None:
    client.post("/v1/notices/subscriptions", json=wanted(receiver))
    taken = client.post("/v1/notices/subscriptions", json=wanted(receiver, enterprise="enterprise:B"))
    assert (taken.status_code, taken.json()["field"]) == (422, "id")
    cookies = {auth.COOKIE: auth.new_session(TOKEN, START.timestamp(), "Li Na")}
    with httpx.Client(base_url=api.url, cookies=cookies, trust_env=False) as browser:
        assert browser.get("/v1/notices").status_code == 200
        for path in ("subscriptions", "subscriptions/a/end", "subscriptions/a/test", "resend"):
            assert browser.post(f"/v1/notices/{path}", json=wanted(receiver)).status_code == 403, path


def test_the_role_of_commands_reads_no_secret(database: Settings, connection: Connection) -> None:
    with command_connection(database, application="test") as as_command:
        assert as_command.execute("select address from notice_private.channel").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_command.execute("select secret from notice_private.channel")
