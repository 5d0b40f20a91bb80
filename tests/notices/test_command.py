"""`carbonstream notices`, as a person or a program uses it; the example of docs/notices.md is one that loads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from carbonstream.ops.cli import app
from carbonstream.ops.notices_command import read_subscriptions
from carbonstream.schemas.settings import Settings, settings

from .changes import Clock, change, enqueued
from .conftest import Receiver

PAGE = Path(__file__).parents[2] / "docs" / "notices.md"
Run = Callable[..., Any]


@pytest.fixture
def run(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs the command in this process; its --json answer, or the result where it failed."""
    monkeypatch.setenv("CARBONSTREAM_DATABASE", database.database)
    monkeypatch.setenv("CARBONSTREAM_NOTIFY_NETWORKS", '["127.0.0.0/8"]')
    settings.cache_clear()

    def call(*arguments: str, code: int = 0) -> Any:
        result: Result = CliRunner().invoke(app, ["notices", *arguments, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.output)

    yield call
    settings.cache_clear()


def file(folder: Path, *subscriptions: dict[str, Any]) -> str:
    path = folder / "subscriptions.json"
    path.write_text(json.dumps(subscriptions))
    return str(path)


def test_the_example_of_the_documentation_is_valid() -> None:
    (example,) = re.findall(r"```json\n(\[\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [one.id for one in read_subscriptions(example)] == ["steel-energy", "control-room"]


def test_subscribe_test_list_and_unsubscribe(
    run: Run, connection: psycopg.Connection[Any], receiver: Receiver, tmp_path: Path
) -> None:
    wanted = {"id": "a", "enterprise": "enterprise:A", "channels": [receiver.url]}
    (made,) = run("subscribe", file(tmp_path, wanted))["secrets"]
    assert made["secret"].startswith("whsec_")
    assert run("subscribe", file(tmp_path, wanted))["secrets"] == [], "a secret is told once"
    tested = run("test", "a")
    assert [c["outcome"] for c in tested["channels"]] == ["accepted"]
    assert json.loads(receiver.received[0].body)["type"] == "carbonstream.notice.test"
    receiver.answer = lambda _: (500, {})
    assert run("test", "a", code=1)["channels"][0]["code"] == 500
    enqueued(connection, Clock(), change())
    (listed,) = run("list")["subscriptions"]
    assert listed["channels"][0]["waiting"] == 1
    run("unsubscribe", "a")
    (dead,) = run("dead")["dead"]
    assert dead["reason"] == "removed"
    assert run("resend")["resent"] == 0, "its channel is off"
    run("subscribe", file(tmp_path, wanted))
    assert run("resend", dead["notice"])["resent"] == 1


def test_errors_name_field_and_remedy(run: Run, connection: psycopg.Connection[Any], tmp_path: Path) -> None:
    assert run("subscribe", file(tmp_path, {"id": "a", "channels": []}), code=2)["errors"]
    wrong = {"id": "a", "enterprise": "enterprise:X", "channels": ["ftp://a.example"]}
    errors = run("subscribe", file(tmp_path, wrong), code=2)["errors"]
    assert "channels: ftp: unknown kind of address; use https:" in errors[0]
    assert "enterprise:X is not a known enterprise" in errors[1]
    inward = {"id": "a", "enterprise": "enterprise:A", "channels": ["https://[::1]/x"]}
    (error,) = run("subscribe", file(tmp_path, inward), code=2)["errors"]
    assert error.startswith("a: channels: ::1 is not public; CARBONSTREAM_NOTIFY_NETWORKS")
    assert "carbonstream notices list" in run("test", "nobody", code=2)["errors"][0]
