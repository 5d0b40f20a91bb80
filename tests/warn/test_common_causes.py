"""A restated factor is one review item, a dead gateway one alarm, however many conditions stand behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest

from carbonstream.schemas.periods import local_text
from carbonstream.schemas.warnings import Warning as WarningRecord
from tests.api.conftest import TOKEN, served
from tests.warn.desk import Control, controlled, told, warning_id

CONDITIONS = 10_000
METERS = 2_000


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    with controlled(tmp_path_factory.mktemp("causes")) as control:
        yield control


def published(control: Control, at: datetime, scope: str = "330500") -> int:
    """A factor that comes into force now; its id."""
    sql = (
        "insert into coefficient (carrier, scope, month, kind, value, unit, document, published_at, approver) "
        "values (1, %s, '2026-10-01', 'electricity_average', 0.5, 'kgCO2/kWh', 'a notice', %s, 'Li Na') returning id"
    )
    with psycopg.connect(control.pipeline.settings.database) as connection:
        row = connection.execute(sql, (scope, at)).fetchone()
    assert row is not None
    return int(row[0])


def restated(n: int, coefficient: int, until: datetime, at: datetime) -> WarningRecord:
    """As a target is judged with the new factor, about hours that were over."""
    snapshot = {
        "parts": [{"coefficient": coefficient}],
        "until": local_text(until),
        "target": {"grain": "month"},
    }
    return told(warning_id(n), at=at, snapshot=snapshot)


@pytest.mark.timeout(300)
def test_a_factor_restated_for_ten_thousand_conditions_is_one_review_item_and_nothing_is_annunciated(
    control: Control,
) -> None:
    coefficient = published(control, control.now)
    yesterday = control.now - timedelta(days=1)
    control.tell(*(restated(n, coefficient, yesterday, control.now) for n in range(CONDITIONS)))
    counted = "select count(*) from warning_operator where parent is not null"
    control.pipeline.until("all are folded", lambda: control.pipeline.query(counted) == [(CONDITIONS,)])
    assert control.pipeline.query("select count(*) from warning_operation where annunciates") == [(0,)]
    settings = control.pipeline.settings.model_copy(update={"api_token": TOKEN})
    with served(settings, now=lambda: control.now) as api, api.client() as client:
        (review,) = client.get("/v1/warnings", params={"operator_state": "open"}).json()["warnings"]
        assert (review["rule"], review["entity"], review["children"]) == (
            "restatement",
            "region:330500",
            CONDITIONS,
        )
        assert review["snapshot"]["document"] == "a notice"
        assert review["operator"]["state"] == "cleared-unacked"
        assert client.get("/v1/warnings", params={"operator_state": "inhibited"}).json()["warnings"] == []
        query = {"operator_state": "inhibited", "parent": review["id"], "limit": 1_000}
        children = client.get("/v1/warnings", params=query).json()
        assert len(children["warnings"]) == 1_000
        assert children["next"]
        assert {c["operator"]["suppressed_by"] for c in children["warnings"]} == {"restatement"}
    control.command("reviewed", "acknowledge", review["id"], why="checked against the notice")
    assert control.answered("reviewed")[0] == "applied"
    assert control.state(review["id"]) == "normal"


def test_what_happens_after_a_factor_was_published_is_annunciated(control: Control) -> None:
    at = control.now
    coefficient = published(control, at, "330000")
    one = restated(20_001, coefficient, at + timedelta(minutes=5), at + timedelta(minutes=6))
    control.tell(one)
    control.until_state(one.id, "active-unacked")


@pytest.mark.timeout(300)
def test_a_dead_gateway_of_two_thousand_meters_is_one_alarm_that_ends_with_the_last_of_them(
    control: Control,
) -> None:
    ids = [f"consistency:site:s-{n}:missing:2026-11-02" for n in range(METERS)]
    snapshot = {"source": "mqtt/gw-7"}
    control.tell(*(told(id_, at=control.now, snapshot=snapshot) for id_ in ids[:-1]))
    standing = "select id, state from warning_operator where rule = 'common-cause'"
    control.pipeline.until("the alarm", lambda: len(control.pipeline.query(standing)) == 1)
    ((alarm, state),) = control.pipeline.query(standing)
    assert state == "active-unacked"
    control.tell(told(ids[-1], at=control.now, snapshot=snapshot))
    control.until_state(ids[-1], "suppressed")
    states = "select distinct state, suppressed_by from warning_operator where id = any (%s)"
    assert control.pipeline.query(states, ids) == [("suppressed", alarm)]
    annunciated = (
        "select count(*) from warning_operation where annunciates and (warning = any (%s) or warning = %s)"
    )
    assert control.pipeline.query(annunciated, ids, alarm) == [(1,)]
    control.command("gw-7", "acknowledge", alarm, why="power is back at noon")
    assert control.answered("gw-7")[0] == "applied"
    control.tell(*(told(id_, 2, active=False, at=control.now, snapshot=snapshot) for id_ in ids))
    control.until_state(alarm, "normal")
    assert control.pipeline.query(states, ids) == [("normal", None)]
    assert control.pipeline.query("select state from warning where id = %s", alarm) == [("cleared",)]
