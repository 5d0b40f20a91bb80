"""The enterprise answers its warnings, through real Kafka, warn, the API and the command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from carbonstream.connectors.sinks.notify.subscriptions import subscribe
from carbonstream.schemas.notices import Subscription
from carbonstream.schemas.periods import local_text
from tests.warn.desk import NOON, Control, controlled, told
from tests.warn.test_operator_api import get, given, told_by

OWN = "enterprise:uci-851"
METER = "330502-steel/E01"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with controlled(tmp_path_factory.mktemp("answers")) as control:
        wanted = Subscription(id="works", enterprise=OWN, channels=("mailto:energy@steel.example",))
        with psycopg.connect(control.pipeline.settings.database, autocommit=True) as connection:
            subscribe(connection, [wanted], NOON, [])
        yield control


def raised(control: Control, name: str, entity: str = "site:330502-steel", **other: Any) -> str:
    id_ = f"pace:{entity}:co2:2026-11:{name}"
    control.tell(told(id_, at=control.now, **other))
    control.until_done(id_, "raised")
    return id_


def says(control: Control, client: httpx.Client, kind: str, id_: str, **other: Any) -> tuple[str, str | None]:
    """(outcome, reason) of a step for one warning."""
    body = {"kind": kind, "warnings": [id_], "by": "Zhao Min", "enterprise": OWN, "why": f"{kind} of it"}
    (target,) = given(control, client, **{k: v for k, v in (body | other).items() if v})["targets"]
    return target["outcome"], target["reason"]


def answer(client: httpx.Client, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = get(client, f"/v1/warnings/{id_}")["answer"]
    return found


def test_an_enterprise_answers_step_by_step_and_the_operator_sees_how_far_it_is(
    control: Control, client: httpx.Client
) -> None:
    id_ = raised(control, "steps", snapshot={"definition": {"respond_s": 3_600}})
    begun = control.now
    shown = answer(client, id_)
    assert (shown["state"], shown["next"], shown["overdue"]) == ("awaited", "receipt", False)
    assert shown["due_at"] == local_text(begun - timedelta(seconds=1) + timedelta(hours=1))
    assert says(control, client, "receipt", id_, why="") == ("applied", None)
    assert says(control, client, "measure", id_) == ("refused", "cause-first")
    assert says(control, client, "cause", id_) == ("applied", None)
    assert says(control, client, "closure", id_) == ("refused", "measure-first")
    assert says(control, client, "measure", id_) == ("applied", None)
    assert says(control, client, "measure", id_) == ("unchanged", None)
    assert says(control, client, "closure", id_) == ("applied", None)
    assert says(control, client, "cause", id_) == ("refused", "answer-closed")
    (listed,) = [
        w for w in get(client, "/v1/warnings", entity="site:330502-steel")["warnings"] if w["id"] == id_
    ]
    assert listed["operator"]["state"] == "active-unacked", "the operators' side is untouched"
    assert (listed["answer"]["state"], listed["answer"]["next"]) == ("closed", None)
    assert listed["answer"]["cause"]["text"] == "cause of it"
    steps = [o["operation"] for o in control.relayed() if o["warning"] == id_]
    assert steps == ["raised", "receipt", "cause", "measure", "closure"]


def test_a_deadline_that_passes_is_told_once(control: Control, client: httpx.Client) -> None:
    id_ = raised(control, "late", snapshot={"definition": {"respond_s": 600}})
    control.turn(control.now + timedelta(minutes=10))
    control.until_done(id_, "answer-overdue")
    assert answer(client, id_)["overdue"]
    control.turn(control.now + timedelta(minutes=5))
    assert says(control, client, "cause", id_)[0] == "applied"
    control.turn(control.now + timedelta(minutes=25))
    control.until_done(id_, "answer-overdue")
    assert [(o, why) for o, _, _, _, why in control.operations(id_)] == [
        ("raised", ""), ("answer-overdue", "receipt"), ("cause", "cause of it"), ("answer-overdue", "measure"),
    ]  # fmt: skip


def test_a_dispute_opens_a_review_and_its_decision_ends_both(control: Control, client: httpx.Client) -> None:
    id_ = raised(control, "disputed")
    wrong = {"of": "multiplier", "meter": METER}
    strange = {"of": "meter", "meter": "elsewhere/E01"}
    assert says(control, client, "dispute", id_, disputed=strange) == ("refused", "not-its-own")
    assert says(control, client, "dispute", id_, disputed=wrong) == ("applied", None)
    shown = answer(client, id_)
    assert (shown["state"], shown["next"]) == ("disputed", "review")
    review = shown["dispute"]["review"]
    control.until_state(review, "cleared-unacked")
    item = get(client, f"/v1/warnings/{review}")
    assert (item["rule"], item["snapshot"]["meter"], item["snapshot"]["of"]) == (
        "dispute",
        METER,
        "multiplier",
    )
    assert says(control, client, "closure", id_) == ("refused", "under-review")
    assert says(control, client, "receipt", review, why="") == ("refused", "nothing-to-answer")
    decision = {"enterprise": None, "by": "Li Na", "why": "CT 600/5 confirmed on site"}
    assert says(control, client, "uphold", id_, **decision) == ("applied", None)
    assert control.state(review) == "normal"
    assert says(control, client, "dismiss", id_, **decision) == ("refused", "not-disputed")
    assert answer(client, id_)["dispute"]["decided"]["by"] == "Li Na"
    assert says(control, client, "closure", id_) == ("applied", None)


def test_an_enterprise_answers_for_its_own_entities_only(control: Control, client: httpx.Client) -> None:
    own, region = raised(control, "own"), raised(control, "region", "region:330502")
    assert says(control, client, "receipt", own, enterprise="enterprise:other") == ("refused", "not-its-own")
    assert says(control, client, "receipt", region) == ("refused", "not-its-own")
    assert answer(client, region) is None
    refused = client.post(
        "/v1/warnings/commands", json={"kind": "receipt", "warnings": [own], "by": "Zhao Min"}
    )
    assert (refused.status_code, refused.json()["field"]) == (422, "enterprise")


def test_the_command_line_answers_and_decides(control: Control, client: httpx.Client) -> None:
    id_ = raised(control, "line")
    own = ("--enterprise", OWN, "--by", "Zhao Min", "--why", "wrong CT")
    code, done = told_by(control, "answer", "dispute", id_, *own, "--of", "multiplier", "--meter", METER)
    assert (code, done["outcome"]) == (0, "applied")
    code, done = told_by(control, "decide", "dismiss", id_, "--by", "Li Na", "--why", "CT is right")
    assert (code, done["outcome"]) == (0, "applied")
    assert answer(client, id_)["state"] == "received"
