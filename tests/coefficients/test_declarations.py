"""Declared amounts over HTTP: written down, approved by another person, and told against what had been inferred."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import Result

from carbonstream.ops.declarations import COLUMNS
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


def approve(client: httpx.Client, id_: int, status: int) -> dict[str, Any]:
    return post(client, f"{DECLARATIONS}/{id_}/approve", {"by": "Wang Wei"}, status)


def test_a_rejected_declaration_is_listed_with_its_reason_and_blocks_no_period(client: httpx.Client) -> None:
    typo = post(client, DECLARATIONS, BODY | {"last_day": "2024-04-30"}, 201)["id"]
    assert f"declaration {typo}" in post(client, DECLARATIONS, BODY, 409)["detail"]
    path = f"{DECLARATIONS}/{typo}/reject"
    assert post(client, path, {"by": "Li Na", "reason": " "}, 422)["status"] == 422
    told = post(client, path, {"by": "Li Na", "reason": "wrong month"}, 200)
    assert (told["state"], told["rejected_by"], told["reason"]) == ("rejected", "Li Na", "wrong month")
    assert client.get(DECLARATIONS, params={"state": "rejected"}).json()["declarations"] == [told]
    right = post(client, DECLARATIONS, BODY, 201)["id"]
    assert "rejected already" in approve(client, typo, 409)["detail"]
    assert "rejected already" in post(client, path, {"by": "Bo", "reason": "again"}, 409)["detail"]
    approve(client, right, 200)
    late = post(client, f"{DECLARATIONS}/{right}/reject", {"by": "Bo", "reason": "late"}, 409)
    assert "declare its period again" in late["detail"]


def test_a_withdrawn_declaration_blocks_no_period_and_its_fuel_is_inferred_again(
    plant: Plant, client: httpx.Client
) -> None:
    id_ = post(client, DECLARATIONS, BODY, 201)["id"]
    path, why = f"{DECLARATIONS}/{id_}/withdraw", {"by": "Li Na", "reason": "wrong month"}
    assert "reject it instead" in post(client, path, why, 409)["detail"]
    approve(client, id_, 200)
    sent(plant)
    assert inferred_coal(client) == 0
    assert "no withdrawal of declaration" in post(client, f"{path}/approve", {"by": "Bo"}, 409)["detail"]
    assert post(client, path, why | {"reason": " "}, 422)["status"] == 422
    asked = post(client, path, why, 200)
    assert (asked["state"], asked["withdrawal"]["state"]) == ("sent", "pending")
    assert post(client, f"{path}/approve", {"by": "li na"}, 403)["status"] == 403
    turned_down = post(client, f"{path}/reject", {"by": "Bo", "reason": "it is right"}, 200)
    assert turned_down["withdrawal"]["rejection"] == "it is right"
    post(client, path, why, 200)
    before = datetime.now(UTC).isoformat()
    told = post(client, f"{path}/approve", {"by": "Bo"}, 200)
    assert (told["state"], told["withdrawal"]["state"], told["withdrawal"]["decided_by"]) == (
        "withdrawn", "approved", "Bo"
    )  # fmt: skip
    with psycopg.connect(plant.settings.database, autocommit=True) as connection:
        connection.execute(
            "update declaration_withdrawal set sent_at = clock_timestamp() where seq is not null"
        )
    assert inferred_coal(client) == STEEL_KWH * Decimal("0.25")
    assert inferred_coal(client, as_of=before) == 0
    assert client.get(DECLARATIONS, params={"state": "withdrawn"}).json()["declarations"][0]["id"] == id_
    shorter = post(client, DECLARATIONS, BODY | {"last_day": "2024-03-30"}, 201)["id"]
    approve(client, shorter, 200)
    assert post(client, f"{DECLARATIONS}/999/withdraw", why, 404)["status"] == 404


def test_a_meter_with_rejected_declarations_alone_counts_as_one_that_measures(client: httpx.Client) -> None:
    id_ = post(client, DECLARATIONS, BODY, 201)["id"]
    assert inferred_coal(client) == STEEL_KWH * Decimal("0.25")
    post(client, f"{DECLARATIONS}/{id_}/reject", {"by": "Bo", "reason": "it is metered"}, 200)
    assert inferred_coal(client) == 0


def test_an_older_revision_is_not_approved_over_a_later_one(client: httpx.Client) -> None:
    older = post(client, DECLARATIONS, BODY, 201)["id"]
    newer = post(client, DECLARATIONS, BODY | {"closing": "2"}, 201)["id"]
    approve(client, newer, 200)
    assert f"declaration {newer} of the same period came later" in approve(client, older, 409)["detail"]


def test_days_outside_the_meters_validity_are_refused_when_declared_and_when_approved(
    plant: Plant, client: httpx.Client
) -> None:
    early = post(client, DECLARATIONS, BODY | {"first_day": "2023-12-31"}, 422)
    assert early["detail"].startswith("first_day: 330502-0001/COAL is valid from 2024-01-01 00:00 only")
    id_ = post(client, DECLARATIONS, BODY, 201)["id"]
    plant.query(
        "update meter set valid_to = '2024-03-31T00:00:00+08:00' where meter_id = %s returning 1", COAL
    )
    assert approve(client, id_, 422)["detail"].startswith(
        "last_day: 330502-0001/COAL is valid until 2024-03-31"
    )
    plant.query(
        "update meter set valid_to = '2024-04-01T00:00:00+08:00' where meter_id = %s returning 1", COAL
    )
    approve(client, id_, 200)


def test_the_command_line_rejects_and_names_the_field_of_what_does_not_fit(
    plant: Plant, client: httpx.Client
) -> None:
    def declare(*rows: str) -> Result:
        return plant.run(
            "declare", plant.write(*rows, header=",".join(COLUMNS), name="d.csv"), "--by", "alice"
        )

    march = f"{COAL},2024-03-01,2024-03-31,,,,1,t,notice"
    early = declare(march.replace("2024-03-01", "2023-12-01"))
    assert (early.exit_code, early.stderr.startswith("d.csv:2: first_day: ")) == (2, True)
    assert declare(march).exit_code == 0
    assert "d.csv:2: first_day: " in declare(march.replace("2024-03-31", "2024-04-01")).stderr
    refused = plant.run("declare", "--reject", 1, "--by", "bob")
    assert (refused.exit_code, "and why" in refused.stderr) == (2, True)
    done = plant.run("declare", "--reject", 1, "--by", "bob", "--reason", "wrong month")
    assert "rejected (declared by alice, rejected by bob: wrong month)" in done.stdout
    assert declare(march.replace("2024-03-31", "2024-04-01")).exit_code == 0


@pytest.mark.parametrize("name", ["LI NA\t", "\u00a0li\u3000na"])
def test_whoever_declared_does_not_approve_however_the_name_is_typed(client: httpx.Client, name: str) -> None:
    id_ = post(client, DECLARATIONS, BODY, 201)["id"]
    refused = post(client, f"{DECLARATIONS}/{id_}/approve", {"by": name}, 403)
    assert "second person" in refused["detail"]


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
