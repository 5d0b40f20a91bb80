"""The control room through the api: commands, the operators' list, alarm health, hand-over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client import REGISTRY

from carbonstream.api import auth
from carbonstream.schemas.periods import to_ms
from carbonstream.streams.warn_health import tell_health
from tests.api.conftest import TOKEN, Served, served
from tests.commands import carbonstream
from tests.warn.desk import Control, controlled, told, warning_id

COMMANDS = "/v1/warnings/commands"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with controlled(tmp_path_factory.mktemp("operator-api")) as control:
        yield control


@pytest.fixture
def browser(api: Served, control: Control) -> Iterator[httpx.Client]:
    """A browser signed in as Wang Wei."""
    cookies = {auth.COOKIE: auth.new_session(TOKEN, control.now.timestamp(), "王伟 Wang Wei")}
    with httpx.Client(base_url=api.url, cookies=cookies, trust_env=False, timeout=30) as browser:
        yield browser


def get(client: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def given(control: Control, client: httpx.Client, **body: Any) -> dict[str, Any]:
    """The answer to a command once warn has taken it."""
    accepted = client.post(COMMANDS, json=body)
    assert accepted.status_code == 202, accepted.text
    control.answered(accepted.json()["id"])
    return get(client, f"{COMMANDS}/{accepted.json()['id']}")


def raised(control: Control, *numbers: int, **other: Any) -> list[str]:
    ids = [warning_id(n) for n in numbers]
    control.tell(*(told(id_, at=control.now, **other) for id_ in ids))
    control.until_state(ids[-1], "active-unacked")
    return ids


def test_a_command_is_accepted_then_applied_and_its_answer_can_be_read(
    control: Control, client: httpx.Client
) -> None:
    one, two = raised(control, 1, 2)
    done = given(control, client, kind="acknowledge", warnings=[one, "none"], by="Li Na", why="seen")
    assert (done["outcome"], done["by"], done["why"]) == ("partly", "Li Na", "seen")
    assert done["targets"] == [
        {"target": one, "outcome": "applied", "reason": None},
        {"target": "none", "outcome": "refused", "reason": "unknown"},
    ]
    detail = get(client, f"/v1/warnings/{one}")
    assert detail["operator"]["state"] == "active-acked"
    assert [(o["operation"], o["by"]) for o in detail["operations"]] == [
        ("raised", None),
        ("acknowledge", "Li Na"),
    ]
    assert get(client, COMMANDS)["commands"][0]["id"] == done["id"]
    assert get(client, f"/v1/warnings/{two}")["operator"]["annunciated"]


def test_an_operators_session_answers_warnings_in_his_name_only(
    control: Control, browser: httpx.Client
) -> None:
    (one,) = raised(control, 3)
    assert get(browser, "/v1/operator") == {"operator": "王伟 Wang Wei"}
    assert given(control, browser, kind="claim", warnings=[one])["by"] == "王伟 Wang Wei"
    other = browser.post(COMMANDS, json={"kind": "claim", "warnings": [one], "by": "Li Na"})
    assert (other.status_code, other.json()["field"]) == (403, "by")
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert (
        browser.post(COMMANDS, json={"kind": "claim", "warnings": [one]}, headers=elsewhere).status_code
        == 403
    )


def test_a_session_without_a_name_only_reads(api: Served, control: Control) -> None:
    cookies = {auth.COOKIE: auth.new_session(TOKEN, control.now.timestamp())}
    with httpx.Client(base_url=api.url, cookies=cookies, trust_env=False) as browser:
        assert browser.get("/v1/warnings").status_code == 200
        refused = browser.post(COMMANDS, json={"kind": "claim", "warnings": ["x"]})
        assert refused.status_code == 403
        assert "link --operator" in refused.json()["remedy"]
        assert get(browser, "/v1/operator") == {"operator": None}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "acknowledge", "warnings": []}, "warnings"),
        ({"kind": "acknowledge", "warnings": ["a", "a"]}, "warnings"),
        ({"kind": "acknowledge", "warnings": [str(n) for n in range(201)]}, "warnings"),
        ({"kind": "dance", "warnings": ["a"]}, "kind"),
        ({"kind": "shelve", "warnings": ["a"], "why": "x"}, "until"),
        ({"kind": "shelve", "warnings": ["a"], "until": "2026-11-03T00:00:00+08:00"}, "why"),
        ({"kind": "acknowledge", "warnings": ["a"], "by": " "}, "by"),
        ({"kind": "acknowledge", "warnings": ["a"], "versions": {"b": 1}}, "versions"),
        ({"kind": "suppress", "why": "x", "calendar": {}}, "calendar"),
        ({"kind": "acknowledge", "warnings": ["a"], "until": "tomorrow"}, "until"),
        ({"kind": "acknowledge", "warnings": ["a"], "why": "a\0b"}, "why"),
        ({"kind": "acknowledge", "warnings": ["a"], "by": "Li Na\0"}, "by"),
    ],
)
def test_a_faulty_command_is_refused_and_the_field_named(
    client: httpx.Client, wrong: dict[str, Any], field: str
) -> None:
    answer = client.post(COMMANDS, json={"by": "Li Na"} | wrong)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


def test_what_was_never_given_has_no_answer(client: httpx.Client) -> None:
    assert client.get(f"{COMMANDS}/nothing").status_code == 404


def test_without_kafka_a_command_is_not_accepted_and_says_how_to_repeat_it(control: Control) -> None:
    away = control.pipeline.settings.model_copy(update={"api_token": TOKEN, "kafka": "127.0.0.1:9"})
    with served(away, now=lambda: control.now) as running, running.client() as client:
        answer = client.post(
            COMMANDS, json={"by": "Li Na", "kind": "claim", "warnings": ["x"], "id": "again"}
        )
    assert answer.status_code == 503
    assert '"id": "again"' in answer.json()["remedy"]


def test_the_list_begins_with_what_is_to_be_answered_by_priority_then_class_then_the_latest(
    control: Control, client: httpx.Client
) -> None:
    raised(control, 11, severity="notice", priority="high")
    raised(control, 12, severity="alarm", priority="medium")
    raised(control, 13, severity="alert", priority="medium")
    raised(control, 14, severity="alert")  # of no rule: medium by its class
    raised(control, 15, severity="alarm", priority="high")
    raised(control, 16, severity="alarm", priority="low")
    given(control, client, kind="acknowledge", warnings=[warning_id(15)], by="Li Na")
    mine = [warning_id(n) for n in (11, 12, 14, 13, 16, 15)]
    listed = get(client, "/v1/warnings", operator_state="open", limit=1_000)["warnings"]
    assert [w["id"] for w in listed if w["id"] in mine] == mine
    stood = {w["id"]: w["operator"]["priority"] for w in listed}
    assert [stood[id_] for id_ in mine] == ["high", "medium", "medium", "medium", "low", "high"]
    paged, after = [], None
    while True:
        page = get(
            client, "/v1/warnings", operator_state="open", limit=2, **({"after": after} if after else {})
        )
        paged += [w["id"] for w in page["warnings"]]
        if (after := page["next"]) is None:
            break
    assert paged == [w["id"] for w in listed]
    answered = get(client, "/v1/warnings", operator_state="annunciated", limit=1_000)["warnings"]
    assert warning_id(15) not in {w["id"] for w in answered}
    assert all(w["operator"]["annunciated"] for w in answered)
    wrong = client.get("/v1/warnings", params={"operator_state": "open", "after": "2024|x"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "after")


def test_health_tells_load_chattering_and_what_is_stale(control: Control, client: httpx.Client) -> None:
    (one,) = raised(control, 21, severity="alarm", priority="low")
    as_before = {"severity": "alarm", "priority": "low"}
    control.tell(*(told(one, n, active=n % 2 == 1, **as_before) for n in range(2, 8)))
    control.pipeline.until("all is taken in", lambda: len(control.operations(one)) == 7)
    found = get(client, "/v1/warnings/health")
    hour = found["spans"]["hour"]
    assert one in hour["chattering"]
    assert {"warning": one, "annunciated": 4} in hour["top"]
    annunciated = control.pipeline.query("select priority, class from warning_operation where annunciates")
    assert {(3, 1)} < set(annunciated)
    for share, names, column in (
        ("priority_percent", ("high", "medium", "low"), 0),
        ("class_percent", ("alarm", "alert", "notice"), 1),
    ):
        counts = [sum(row[column] == n for row in annunciated) for n in (1, 2, 3)]
        expected = {name: round(100 * n / len(annunciated), 1) for name, n in zip(names, counts, strict=True)}
        assert hour[share] == expected
    assert found["states"]["active-unacked"] >= 1
    control.turn(control.now + timedelta(days=2))
    control.pipeline.until("it is stale", lambda: one in get(client, "/v1/warnings/health")["stale"])
    with psycopg.connect(control.pipeline.settings.database, autocommit=True) as connection:
        tell_health(connection, to_ms(control.now), 1)
    open_states = {"state": "active-unacked"}
    assert (REGISTRY.get_sample_value("carbonstream_stale_warnings") or 0) >= 1
    assert (REGISTRY.get_sample_value("carbonstream_warnings", open_states) or 0) >= 1
    assert REGISTRY.get_sample_value("carbonstream_alarm_flood") == 0


def test_health_counts_an_alarm_whatever_its_episode(control: Control, client: httpx.Client) -> None:
    alarm = "interval-limit:site:s-22:s-22/E01"
    for _ in range(4):
        control.tell(told(f"{alarm}:{control.now:%Y%m%dT%H%M%S}", at=control.now))
    annunciated = "select count(*) from warning_operation where annunciates and starts_with(warning, %s)"
    control.pipeline.until("all came", lambda: control.pipeline.query(annunciated, alarm) == [(4,)])

    def hour() -> Any:
        return get(client, "/v1/warnings/health")["spans"]["hour"]

    control.pipeline.until("it chatters", lambda: alarm in hour()["chattering"])
    assert {"warning": alarm, "annunciated": 4} in hour()["top"]


def test_the_hand_over_tells_what_is_open_shelved_suppressed_and_what_was_done(
    control: Control, client: httpx.Client
) -> None:
    begun = control.now + timedelta(seconds=1)
    shelved, suppressed, claimed, out = raised(control, 31, 32, 33, 34)
    until = (control.now + timedelta(hours=2)).isoformat()
    given(control, client, kind="shelve", warnings=[shelved], by="Li Na", why="valve stuck", until=until)
    given(control, client, kind="claim", warnings=[claimed], by="Li Na")
    given(control, client, kind="out-of-service", warnings=[out], by="Li Na", why="laboratory")
    calendar = {"entities": ["site:s-32"], "rules": ["target-level"]}
    rule = given(control, client, kind="suppress", by="Li Na", why="pilot plant", calendar=calendar)
    past = warning_id(35)
    control.tell(told(past, at=control.now, backfill=True))
    control.until_state(past, "suppressed")
    found = get(client, "/v1/warnings/handover", since=begun.isoformat())
    assert [w["id"] for w in found["shelved"]] == [shelved]
    assert found["shelved"][0]["shelved"]["why"] == "valve stuck"
    assert [(w["id"], w["suppressed_by"]) for w in found["suppressed"]] == [
        (suppressed, f"rule:{rule['id']}")
    ]
    assert [w["id"] for w in found["out_of_service"]] == [out]
    assert found["past"] == 1
    assert {w["id"]: w["claimed_by"] for w in found["open"]}[claimed] == "Li Na"
    assert [s["id"] for s in found["suppressions"] if s["in_force"]] == [rule["id"]]
    assert {"shelve", "claim", "out-of-service", "suppressed"} <= {o["operation"] for o in found["changed"]}
    assert found["changed_counts"]["shelve"] == 1
    given(control, client, kind="resume", by="Li Na", suppression=rule["id"])
    assert get(client, f"/v1/warnings/{suppressed}")["operator"]["state"] == "active-unacked"


def told_by(control: Control, *words: str) -> tuple[int, dict[str, Any]]:
    done = carbonstream(control.pipeline.settings, "warnings", *words, "--json")
    return done.code, done.told()


def test_the_command_line_lists_and_answers_warnings(control: Control) -> None:
    (one,) = raised(control, 41, severity="alarm")
    code, listed = told_by(control, "list", "--state", "annunciated")
    assert code == 0
    assert one in {w["id"] for w in listed["warnings"]}
    code, done = told_by(control, "ack", one, "--by", "Li Na", "--why", "seen")
    assert (code, done["outcome"]) == (0, "applied")
    code, done = told_by(control, "ack", "none", "--by", "Li Na")
    assert (code, done["targets"][0]["reason"]) == (1, "unknown")
