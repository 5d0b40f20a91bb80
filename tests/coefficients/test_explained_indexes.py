"""A register's interval is explained by what convert makes of its indexes, equal where that is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from carbonstream.ops.load import load_files
from tests.api.conftest import TOKEN, served
from tests.reference.files import EXCHANGES, METERS, MULTIPLIERS

from .conftest import Plant

METER = "330502-0001/R"
REGISTER = f"{METER},electricity,register,kWh,80,,900,false,2024-01-01T00:00:00Z,"
EXCHANGE = f"{METER},2024-03-05T10:07:00+08:00,500500,10,"


@pytest.fixture
def plant_with_register(plant: Plant) -> Plant:
    """A meter of multiplier 80, its register exchanged at 10:07."""
    with psycopg.connect(plant.settings.database, autocommit=True) as connection:
        load_files(
            connection,
            {
                "meters": plant.write(REGISTER, header=METERS, name="register.csv"),
                "exchanges": plant.write(EXCHANGE, header=EXCHANGES, name="exchanges.csv"),
            },
            datetime(2024, 3, 1, tzinfo=UTC),
        )
    return plant


@pytest.fixture
def client(plant_with_register: Plant) -> Iterator[httpx.Client]:
    settings = plant_with_register.settings.model_copy(update={"api_token": TOKEN, "metrics_port": 0})
    with served(settings, now=lambda: datetime.now(UTC)) as running, running.client() as client:
        yield client


def store(plant: Plant, start: str, end: str, quantity: int, index: int | None, version: int = 1) -> None:
    """A row of 2024-03-05, local clock; quantity and index in thousandths."""
    plant.query(
        "insert into reading select %s::timestamptz, %s::timestamptz, %s, %s, number, %s, 0, 0 from meter "
        "where meter_id = %s returning time",
        f"2024-03-05T{end}+08:00", f"2024-03-05T{start}+08:00", quantity, index, version, METER,
    )  # fmt: skip


def explained(client: httpx.Client, clock: str) -> dict[str, Any]:
    answer = client.get("/v1/explain/reading", params={"meter": METER, "time": f"2024-03-05T{clock}+08:00"})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_an_interval_across_an_exchange_is_explained_by_both_registers(
    plant_with_register: Plant, client: httpx.Client
) -> None:
    store(plant_with_register, "10:00", "10:00", 0, 500_000_000)
    store(plant_with_register, "10:00", "10:15", 40_160_000, 12_000)
    told = explained(client, "10:15")
    assert told["equal"] is True
    indexes = told["indexes"]
    assert (indexes["previous"], indexes["index"]) == ("500000", "12")
    assert (indexes["between"], indexes["stored"]) == ("40160", "40160")
    assert indexes["exchanges"] == [
        {"at": "2024-03-05T10:07:00+08:00", "final": "500500", "initial": "10", "multiplier": "80"}
    ]


def test_a_stored_quantity_that_its_indexes_do_not_give_is_not_equal(
    plant_with_register: Plant, client: httpx.Client
) -> None:
    store(plant_with_register, "10:15", "10:15", 0, 12_000)
    store(plant_with_register, "10:15", "10:30", 80_001, 13_000)
    store(plant_with_register, "10:30", "10:45", 80_000, 14_000)
    wrong, right = explained(client, "10:30"), explained(client, "10:45")
    assert wrong["stored"] == wrong["recomputed"]
    assert (wrong["equal"], wrong["indexes"]["between"], wrong["indexes"]["stored"]) == (
        False,
        "80",
        "80.001",
    )
    assert (right["equal"], right["indexes"]["exchanges"]) == (True, [])


def test_each_part_of_an_interval_is_explained_by_the_whole(
    plant_with_register: Plant, client: httpx.Client
) -> None:
    store(plant_with_register, "10:50", "10:50", 0, 12_000)
    store(plant_with_register, "10:50", "11:00", 33_333, None)
    store(plant_with_register, "11:00", "11:20", 66_667, 13_250)
    for clock in ("10:55", "11:20"):
        told = explained(client, clock)
        assert (told["equal"], told["indexes"]["between"], told["indexes"]["time"]) == (
            True,
            "100",
            "2024-03-05T11:20:00+08:00",
        )


def test_a_multiplier_in_fractions_is_floored_as_convert_does_and_counts_from_its_date(
    plant_with_register: Plant, client: httpx.Client
) -> None:
    version = plant_with_register.write(
        f"{METER},2024-03-05T11:00:00+08:00,2.5", header=MULTIPLIERS, name="multipliers.csv"
    )
    with psycopg.connect(plant_with_register.settings.database, autocommit=True) as connection:
        load_files(connection, {"multipliers": version}, datetime(2024, 3, 6, tzinfo=UTC))
    store(plant_with_register, "10:45", "10:45", 0, 999)
    store(plant_with_register, "10:45", "11:00", 160, 1_001)
    store(plant_with_register, "11:00", "11:15", 3, 1_002, version=2)  # 2,505 - 2,502
    store(plant_with_register, "11:15", "11:30", 2, 1_003, version=2)  # 2,507 - 2,505
    assert [explained(client, clock)["equal"] for clock in ("11:00", "11:15", "11:30")] == [True] * 3
    assert explained(client, "11:15")["multiplier"] == "2.5"


def test_a_first_index_has_nothing_before_it_to_be_held_against(
    plant_with_register: Plant, client: httpx.Client
) -> None:
    store(plant_with_register, "10:15", "10:15", 0, 12_000)
    told = explained(client, "10:15")
    assert (told["equal"], told["indexes"]["previous"], told["indexes"]["equal"]) == (True, None, None)
