"""Declared amounts over HTTP: written down, approved by another person, and told against what had been inferred."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from carbonstream.ops.load import load_files
from tests.api.conftest import TOKEN, served
from tests.consistency.conftest import COEFFICIENTS
from tests.reference.conftest import NOW
from tests.reference.files import METERS

from .conftest import Plant
from .test_inferred import RATIOS
from .test_publishing import STEEL_KWH

DECLARATIONS = "/v1/declarations"
COAL = "330502-0001/COAL"
COAL_METER = f"{COAL},raw_coal,interval,t,1,,86400,true,2024-01-01T00:00:00+08:00,"
BODY = {
    "by": "Li Na",
    "meter": COAL,
    "first_day": "2024-03-01",
    "last_day": "2024-03-31",
    "opening": "1.5",
    "purchases": "2",
    "closing": "2.25",
    "unit": "t",
    "document": "入库单 2024-03",
}


@pytest.fixture
def client(plant: Plant) -> Iterator[httpx.Client]:
    with psycopg.connect(plant.settings.database, autocommit=True) as connection:
        ratios = plant.write(
            *(f"{row},2024-03-01,test" for row in RATIOS), header=COEFFICIENTS, name="ratios.csv"
        )
        meters = plant.write(COAL_METER, header=METERS, name="coal.csv")
        load_files(connection, {"meters": meters, "coefficients": ratios}, NOW)
    settings = plant.settings.model_copy(update={"api_token": TOKEN, "metrics_port": 0})
    with served(settings, now=lambda: datetime.now(UTC)) as running, running.client() as client:
        yield client


def post(client: httpx.Client, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


def inferred_coal(client: httpx.Client, **query: str) -> Decimal:
    """kg of coal inferred for the steel works in the month."""
    query |= {"entity": "site:330502-0001", "grain": "month", "from": "2024-03", "to": "2024-04"}
    found = client.get("/v1/totals", params=query).json()["sum"]
    return Decimal(found.get("inferred", {}).get("quantity", {}).get("raw_coal", {}).get("value", 0))


def sent(plant: Plant) -> None:
    """What the service estimator does once Kafka has the readings."""
    with psycopg.connect(plant.settings.database, autocommit=True) as connection:
        connection.execute("update declaration set sent_at = clock_timestamp() where approved_by is not null")


def test_declared_coal_takes_the_place_of_inferred_coal_and_the_difference_is_recorded(
    plant: Plant, client: httpx.Client
) -> None:
    assert (
        inferred_coal(client) == 0
    )  # a meter that nothing was ever declared for counts as one that measures
    told = post(client, DECLARATIONS, BODY, 201)
    assert (told["amount"], told["state"], told["true_ups"]) == ("1.25", "pending", [])
    shown = STEEL_KWH * Decimal("0.25")
    assert inferred_coal(client) == shown
    assert post(client, f"{DECLARATIONS}/{told['id']}/approve", {"by": "li na"}, 403)["status"] == 403
    approved = post(client, f"{DECLARATIONS}/{told['id']}/approve", {"by": "Wang Wei"}, 200)
    assert approved["state"] == "approved"
    (true_up,) = approved["true_ups"]
    assert (true_up["month"], true_up["carrier"], true_up["declared"]) == ("2024-03", "raw_coal", "1250")
    assert Decimal(true_up["inferred"]["raw_coal"]["value"]) == shown
    difference = Decimal(true_up["co2_kg"]) - Decimal(true_up["inferred_co2_kg"])
    assert Decimal(true_up["difference_co2_kg"]) == difference
    assert difference == (1_250 - shown) * Decimal(true_up["co2_kg"]) / 1_250
    before = datetime.now(UTC).isoformat()
    sent(plant)
    assert inferred_coal(client) == 0
    assert inferred_coal(client, as_of=before) == shown
    assert client.get(DECLARATIONS, params={"state": "sent"}).json()["declarations"][0]["id"] == told["id"]


def test_a_revision_changes_no_true_up_and_another_period_that_overlaps_is_refused(
    plant: Plant, client: httpx.Client
) -> None:
    first = post(client, DECLARATIONS, BODY, 201)
    post(client, f"{DECLARATIONS}/{first['id']}/approve", {"by": "Wang Wei"}, 200)
    sent(plant)
    again = post(client, DECLARATIONS, BODY | {"closing": "2"}, 201)
    approved = post(client, f"{DECLARATIONS}/{again['id']}/approve", {"by": "Wang Wei"}, 200)
    assert approved["true_ups"] == []
    assert "overlaps" in post(client, DECLARATIONS, BODY | {"first_day": "2024-03-02"}, 409)["detail"]
    assert "already" in post(client, f"{DECLARATIONS}/{again['id']}/approve", {"by": "Bo"}, 409)["detail"]


FAULTY: tuple[tuple[dict[str, str], int], ...] = (
    ({"meter": "330502-0001/NONE"}, 404),
    ({"meter": "330502-0001/E01", "unit": "kWh"}, 422),
    ({"unit": "kWh"}, 422),
    ({"unit": "ounce"}, 422),
    ({"amount": "1"}, 422),
    ({"closing": ""}, 422),
    ({"closing": "9"}, 422),
    ({"opening": "-1"}, 422),
    ({"last_day": "2999-01-01"}, 422),
    ({"last_day": "2024-02-01"}, 422),
    ({"document": " "}, 422),
    ({"by": " "}, 422),
)


def test_a_faulty_declaration_is_refused_and_so_is_a_wrong_token(client: httpx.Client) -> None:
    for change, status in FAULTY:
        assert post(client, DECLARATIONS, BODY | change, status)["status"] == status
    assert client.post(DECLARATIONS, json=BODY, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get(DECLARATIONS).json() == {"declarations": []}
