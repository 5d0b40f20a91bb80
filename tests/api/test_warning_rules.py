"""The rules as the API shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from carbonstream.ops.load import load_files
from tests.api import plant
from tests.api.conftest import Served

RULE = (
    "rule,kind,scope,parameters,class,priority,owner,cause,consequence,action,respond_s,state,valid_from\n"
    "site-plan,plan-to-date,site:*,clear_below=90,alarm,high,shift lead,too much,fines,shed load,900,on,{}\n"
)


@pytest.fixture(scope="module")
def loaded(api: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file = tmp_path_factory.mktemp("rules") / "warning_rules.csv"
    with psycopg.connect(api.settings.database) as connection:
        for valid_from in ("2024-01-01T00:00:00+08:00", "2099-01-01T00:00:00+08:00"):
            text = RULE.format(valid_from)
            write(file, text if valid_from.startswith("2024") else text.replace("shed load", "stop"))
            load_files(connection, {"warning_rules": file}, plant.NOW)
    yield
    with psycopg.connect(api.settings.database, autocommit=True) as connection:
        connection.execute("truncate warning_rule")


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


@pytest.mark.usefixtures("loaded")
def test_the_version_in_force_is_shown_with_what_to_do(client: httpx.Client) -> None:
    rules = {r["rule"]: r for r in client.get("/v1/warning-rules").json()["rules"]}
    assert {"plan-to-date", "target-level", "target-reached", "pace", "consistency"} <= set(rules)
    shown = rules["site-plan"]
    assert (shown["version"], shown["class"], shown["action"]) == (1, "alarm", "shed load")
    assert shown["parameters"] == {"active_above": "100", "clear_below": "90"}


@pytest.mark.usefixtures("loaded")
def test_every_version_of_one_rule_is_shown(client: httpx.Client) -> None:
    rules = client.get("/v1/warning-rules", params={"rule": "site-plan"}).json()["rules"]
    assert [(r["version"], r["valid_from"][:4]) for r in rules] == [(1, "2024"), (2, "2099")]
    answer = client.get("/v1/warning-rules", params={"rule": "nobody's"})
    assert (answer.status_code, answer.json()["remedy"]) == (404, "GET /v1/warning-rules lists them")


@pytest.mark.usefixtures("loaded")
def test_rules_of_one_kind_are_shown(client: httpx.Client) -> None:
    rules = client.get("/v1/warning-rules", params={"kind": "plan-to-date"}).json()["rules"]
    assert {r["rule"] for r in rules} == {"plan-to-date", "site-plan"}
    assert client.get("/v1/warning-rules", params={"kind": "nothing"}).status_code == 422
