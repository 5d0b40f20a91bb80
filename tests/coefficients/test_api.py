"""The same through the API: commands with the bearer token, every faulty field named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import Any

import httpx
import psycopg
import pytest

from carbonstream.api.auth import new_session
from carbonstream.schemas.totals import Restated
from tests.api.conftest import TOKEN, served

from .conftest import Plant
from .test_publishing import NEW, OLD, STEEL_KWH

ROW = {
    "carrier": "electricity",
    "kind": "electricity_average",
    "scope": "330500",
    "month": "2024-03",
    "value": "0.4850",
    "unit": "kgCO2/kWh",
    "document": "湖州市 2024年3月",
}
PUBLICATIONS = "/v1/coefficients/publications"
STEEL = "enterprise:ENT-1"


@pytest.fixture
def client(plant: Plant) -> Iterator[httpx.Client]:
    settings = plant.settings.model_copy(update={"api_token": TOKEN, "metrics_port": 0})
    with served(settings, now=lambda: datetime.now(UTC)) as running, running.client() as client:
        yield client


def submitted(client: httpx.Client, **changes: str) -> dict[str, Any]:
    answer = client.post(PUBLICATIONS, json={"by": "Li Na", "rows": [ROW | changes]})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


def get(client: httpx.Client, path: str, **query: str) -> dict[str, Any]:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def co2(client: httpx.Client, **query: str) -> Decimal:
    return Decimal(
        get(client, "/v1/totals", entity=STEEL, grain="month", **{"from": "2024-03"} | query)["sum"]["co2_kg"]
    )


def test_submit_approve_and_read(client: httpx.Client) -> None:
    told = submitted(client)
    assert {"entity": STEEL, "indicator": "co2", "old": f"{STEEL_KWH * OLD:f}".rstrip("0"),
            "new": f"{STEEL_KWH * NEW:f}".rstrip("0")} in told["restates"]["entities"]  # fmt: skip
    assert co2(client) == STEEL_KWH * OLD
    refused = client.post(f"{PUBLICATIONS}/{told['id']}/approve", json={"by": "li na"})
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    approved = client.post(f"{PUBLICATIONS}/{told['id']}/approve", json={"by": "Wang Wei"})
    restated = Restated.model_validate(approved.json())
    assert co2(client) == STEEL_KWH * NEW
    before = datetime.fromtimestamp((restated.published_ms - 1) / 1_000, UTC).isoformat()
    assert co2(client, as_of=before) == STEEL_KWH * OLD
    listed = get(client, PUBLICATIONS, status="approved")["publications"]
    assert [(p["submitted_by"], p["decided_by"]) for p in listed] == [("Li Na", "Wang Wei")]
    assert client.post(f"{PUBLICATIONS}/{told['id']}/reject", json={"by": "Wang Wei"}).status_code == 409
    assert client.post(f"{PUBLICATIONS}/999/approve", json={"by": "Wang Wei"}).status_code == 404


def test_every_faulty_field_is_named(client: httpx.Client) -> None:
    rows = [ROW, ROW | {"value": "0.48x"}, ROW | {"scope": "330502", "unit": "kgCO2/t"}]
    answer = client.post(PUBLICATIONS, json={"by": "Li Na", "rows": rows})
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == ["rows[1].value", "rows[2].unit"]
    nobody = client.post(PUBLICATIONS, json={"by": " ", "rows": [ROW]})
    assert (nobody.status_code, nobody.json()["field"]) == (422, "by")
    assert get(client, PUBLICATIONS)["publications"] == []


def test_a_dry_run_keeps_nothing(client: httpx.Client) -> None:
    answer = client.post(PUBLICATIONS, json={"by": "Li Na", "rows": [ROW], "dry_run": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "dry run")
    assert get(client, PUBLICATIONS)["publications"] == []


def test_a_browsers_session_only_reads(client: httpx.Client) -> None:
    session = new_session(TOKEN, datetime.now(UTC).timestamp())
    cookies = {"carbonstream_session": session}
    with httpx.Client(base_url=client.base_url, cookies=cookies, trust_env=False) as browser:
        assert browser.get(PUBLICATIONS).status_code == 200
        assert browser.post(PUBLICATIONS, json={"by": "Li Na", "rows": [ROW]}).status_code == 403


def test_the_command_role_can_do_nothing_else(client: httpx.Client, plant: Plant) -> None:
    options = "-c role=carbonstream_command"
    with psycopg.connect(plant.settings.database, options=options, autocommit=True) as connection:
        for statement in ("select * from coefficient", "delete from publication", "select * from reading"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_first_own_coefficient_is_approved_on_the_command_line(client: httpx.Client) -> None:
    told = submitted(client, scope=STEEL)
    assert told["restates"]["own_classes"] == [STEEL]
    answer = client.post(f"{PUBLICATIONS}/{told['id']}/approve", json={"by": "Wang Wei"})
    assert answer.status_code == 409
    assert "carbonstream coefficients approve" in answer.json()["remedy"]


def approve(client: httpx.Client, **changes: str) -> None:
    told = submitted(client, **changes)
    answer = client.post(f"{PUBLICATIONS}/{told['id']}/approve", json={"by": "Wang Wei"})
    assert answer.status_code == 200, answer.text


def test_a_reading_is_explained_to_the_digit(client: httpx.Client, plant: Plant) -> None:
    query = {"meter": "330502-0001/E01", "time": "2024-03-01T00:30:00+08:00"}
    first = get(client, "/v1/explain/reading", **query)
    # 3.171 kWh x 0.4974 kg/kWh
    assert (first["equal"], first["recomputed"], first["quantity"]) == (True, "1.5772554", "3.171")
    coefficient = first["parts"][0]["coefficient"]
    assert (coefficient["scope"], coefficient["data_year"], coefficient["carried_months"]) == (
        "330000",
        2023,
        3,
    )
    assert "公告2025年第47号" in coefficient["document"]
    assert first["quality"] == {"code": 0, "name": "valid", "estimated": False}
    approve(client, kgce_per_unit="0.1229", kgco2_per_kgce="3.9463", value="0.48500027")
    then = get(client, "/v1/explain/reading", **query)
    assert (then["equal"], then["recomputed"]) == (True, "1.53793585617")
    assert then["parts"][0]["coefficient"]["components"] == {
        "kgce_per_unit": "0.1229",
        "kgco2_per_kgce": "3.9463",
    }
    published = plant.query("select max(published_at) - interval '1 millisecond' from coefficient")[0][0]
    as_of = get(client, "/v1/explain/reading", **query, as_of=published.isoformat())
    assert (as_of["equal"], as_of["recomputed"]) == (True, "1.5772554")


def test_a_total_is_explained_to_the_digit(client: httpx.Client) -> None:
    buckets = [
        ("hour", "2024-03-01T03:00:00+08:00"),
        ("day", "2024-03-01"),
        ("month", "2024-03"),
        ("quarter", "2024-01-15"),
    ]
    entities = STEEL, "region:330500", "site:330502-0001"
    for (grain, bucket), indicator, entity in product(buckets, ("co2", "energy"), entities):
        asked = {"entity": entity, "grain": grain, "bucket": bucket, "indicator": indicator}
        told = get(client, "/v1/explain/total", **asked)
        if grain == "quarter":
            assert told["bucket"] == "2024-01-01T00:00:00+08:00"
        assert told["equal"] is True, (asked, told)
        assert told["recomputed"] is not None, asked
        assert told["rows"] == told["readings"] > 0, asked


def test_a_corrected_total_is_explained_as_it_was(client: httpx.Client, plant: Plant) -> None:
    with psycopg.connect(plant.settings.database) as connection:
        connection.execute(
            """
            with changed as (
              update reading set quantity = quantity + 1000 where time = '2024-03-01T00:30:00+08:00' returning *
            )
            insert into correction (tick_ms, time, meter, old_quantity, old_quality, new_quantity, new_quality,
              source_partition, source_offset)
            select 0, time, meter, quantity - 1000, 9, quantity, 0, 0, 1 from changed
            """
        )
        connection.execute(
            "update total_hour set quantity = quantity + 1000 where bucket = '2024-03-01T00:00:00+08:00'"
        )
        connection.execute(
            "update total_period set quantity = quantity + 1000 from entity e "
            "where e.number = entity and e.id in ('enterprise:ENT-1') and bucket = '2024-03-01T00:00:00+08:00'"
        )
        recorded = connection.execute("select max(recorded_at) from correction").fetchone()
    assert recorded
    query = {"entity": STEEL, "grain": "day", "bucket": "2024-03-01"}
    now = get(client, "/v1/explain/total", **query)
    assert (now["equal"], Decimal(now["recomputed"])) == (True, (STEEL_KWH + 1) * OLD)
    assert [c["old_quality"] for c in now["corrections"]] == [9]
    before = plant.query("select max(recorded_at) - interval '1 second' from correction")[0][0]
    then = get(client, "/v1/explain/total", **query, as_of=before.isoformat())
    # the coefficients were published before the correction too
    assert (then["equal"], Decimal(then["recomputed"])) == (True, STEEL_KWH * OLD)
    assert co2(client, as_of=before.isoformat()) == STEEL_KWH * OLD
    row = {"meter": "330502-0001/E01", "time": "2024-03-01T00:20:00+08:00"}
    assert get(client, "/v1/explain/reading", **row)["quantity"] == "4.171"
    was = get(client, "/v1/explain/reading", **row, as_of=before.isoformat())
    assert (was["equal"], was["quantity"], was["quality"]["code"]) == (True, "3.171", 9)


def test_a_locked_month_stays_and_the_difference_is_shown(client: httpx.Client, plant: Plant) -> None:
    body = {"entity": STEEL, "month": "2024-03", "by": "Li Na", "document": "report 2024-03"}
    kept = client.post("/v1/locks", json=body)
    assert kept.status_code == 201, kept.text
    assert client.post("/v1/locks", json=body).status_code == 409
    assert client.post("/v1/locks", json=body | {"entity": "enterprise:NOBODY"}).status_code == 404
    assert client.post("/v1/locks", json=body | {"month": "2099-01"}).status_code == 422
    assert client.post("/v1/locks", json=body | {"month": "2024-13"}).json()["field"] == "month"
    approve(client)
    (lock,) = get(client, "/v1/locks", entity=STEEL)["locks"]
    assert Decimal(lock["co2_kg"]["locked"]) == STEEL_KWH * OLD
    assert Decimal(lock["co2_kg"]["now"]) == STEEL_KWH * NEW
    assert Decimal(lock["co2_kg"]["difference"]) == STEEL_KWH * (NEW - OLD)
    assert lock["kgce"]["difference"] == "0"
    assert lock["parts"][0]["quantity"] == f"{STEEL_KWH:f}"
    with psycopg.connect(plant.settings.database) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute("delete from locked_period")


def test_nothing_stored_is_explained_as_such(client: httpx.Client) -> None:
    missing = client.get(
        "/v1/explain/reading", params={"meter": "330502-0001/E01", "time": "2024-05-01T00:00:00+08:00"}
    )
    assert (missing.status_code, missing.json()["field"]) == (404, "time")
    empty = get(client, "/v1/explain/total", entity=STEEL, grain="month", bucket="2024-05")
    assert (empty["equal"], empty["recomputed"], empty["parts"]) == (True, None, [])
