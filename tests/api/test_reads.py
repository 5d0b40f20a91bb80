"""Entities, meters, readings, warnings, freshness, overview, health."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from carbonstream.connectors.database import reading_pool
from carbonstream.ops.local import Addresses
from carbonstream.schemas.settings import Settings
from tests.api import plant
from tests.api.conftest import served
from tests.databases import migrated_database


def get(client: httpx.Client, path: str, **query: Any) -> dict[str, Any]:
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_entities_are_listed_page_by_page_without_classes(client: httpx.Client) -> None:
    whole = get(client, "/v1/entities")["entities"]
    paged, after = [], ""
    while True:
        page = get(client, "/v1/entities", limit=3, after=after)
        paged += page["entities"]
        if page["next"] is None:
            break
        after = page["next"]
    assert paged == whole
    assert [e["id"] for e in whole] == sorted(e["id"] for e in whole)
    assert {e["kind"] for e in whole} == {"site", "enterprise", "park", "region", "industry", "domain"}


def test_entities_are_found_by_part_of_a_name_and_by_kind(client: httpx.Client) -> None:
    assert [e["id"] for e in get(client, "/v1/entities", q="名ent-2")["entities"]] == ["enterprise:ENT-2"]
    assert [e["id"] for e in get(client, "/v1/entities", q="%")["entities"]] == []
    assert [e["id"] for e in get(client, "/v1/entities", kind="park")["entities"]] == ["park:P-1"]


def test_a_site_says_where_it_belongs(client: httpx.Client) -> None:
    assert get(client, f"/v1/entities/site:{plant.HEAT}") == {
        "id": f"site:{plant.HEAT}",
        "kind": "site",
        "name_zh": f"名{plant.HEAT}",
        "name_en": f"name {plant.HEAT}",
        "sites": 1,
        "carriers": ["heat"],
        "enterprise": "enterprise:ENT-2",
        "park": "park:P-1",
        "regions": ["region:330502", "region:330500", "region:330000", "region:GRID-EC"],
        "industry": "industry:3120",
        "domain": "domain:industry",
    }


@pytest.mark.parametrize(
    ("entity", "sites", "carriers"),
    [
        ("enterprise:ENT-2", 2, ["heat", "natural_gas"]),
        ("park:P-1", 2, ["electricity", "heat"]),
        ("region:CN", 3, ["electricity", "heat", "natural_gas"]),
        ("industry:3120", 3, ["electricity", "heat", "natural_gas"]),
    ],
)
def test_an_entity_counts_its_sites(
    client: httpx.Client, entity: str, sites: int, carriers: list[str]
) -> None:
    answer = get(client, f"/v1/entities/{entity}")
    assert (answer["sites"], answer["carriers"]) == (sites, carriers)
    assert "enterprise" not in answer


def test_meters_of_a_site_with_a_slash_in_its_id(client: httpx.Client) -> None:
    (meter,) = get(client, "/v1/meters", site=plant.ANNEX)["meters"]
    assert meter["meter"] == f"{plant.ANNEX}/G01"
    assert get(client, f"/v1/meters/{meter['meter']}") == meter


def test_readings_come_with_their_co2_and_its_coefficient(client: httpx.Client) -> None:
    answer = get(client, f"/v1/meters/{plant.STEEL}/E01/readings", limit=1, **{"from": "2024-01-01"})
    coefficient = answer["coefficients"][str(answer["rows"][0]["coefficient"])]
    assert answer["unit"] == "kWh"
    assert answer["rows"] == [
        {
            "start": "2024-01-01T00:00:00+08:00",
            "end": "2024-01-01T00:15:00+08:00",
            "quantity": "3.170",
            "raw_index": None,
            "quality": 0,
            "co2_kg": "1.576758",
            "coefficient": answer["rows"][0]["coefficient"],
            "apportioned": False,
            "declared": False,
            "edited": False,
            "void": False,
        }
    ]
    assert (coefficient["value"], coefficient["month"], coefficient["carried_months"]) == (
        "0.4974",
        "2023-01",
        12,
    )


def test_readings_page_by_page_are_all_of_them(client: httpx.Client) -> None:
    rows, after = [], None
    while True:
        page = get(
            client,
            f"/v1/meters/{plant.STEEL}/E01/readings",
            limit=50,
            **{"from": "2024-01-01", "to": "2024-01-03"} | ({} if after is None else {"after": after}),
        )
        rows += page["rows"]
        after = page["next"]
        if after is None:
            break
    assert len(rows) == 192
    assert len({r["end"] for r in rows}) == 192
    assert sum(Decimal(r["quantity"]) for r in rows) == sum(Decimal(3_170 + i % 7) / 1000 for i in range(192))


def test_emissions_are_the_readings_without_their_quantities(client: httpx.Client) -> None:
    path = f"/v1/meters/{plant.STEEL}/E01"
    readings, emissions = get(client, f"{path}/readings"), get(client, f"{path}/emissions")
    shared = ("start", "end", "co2_kg", "coefficient")
    assert emissions["rows"] == [{k: r[k] for k in shared} for r in readings["rows"]]
    assert len(emissions["rows"]) == 44


def test_a_reading_without_a_coefficient_has_no_co2(client: httpx.Client) -> None:
    answer = get(client, f"/v1/meters/{plant.ANNEX}/G01/readings", limit=1)
    assert answer["rows"][0]["co2_kg"] is None
    assert answer["rows"][0]["raw_index"] == "123.456"
    assert answer["coefficients"] == {}


@pytest.fixture
def warned(settings: Settings) -> Iterator[list[str]]:
    """Three warnings; the first has a history of two."""
    ids = [f"target-level:enterprise:ENT-1:2024-0{i}:0.9" for i in (1, 2, 3)]
    with psycopg.connect(settings.database, autocommit=True) as connection:
        for i, id_ in enumerate(ids):
            connection.execute(
                """insert into warning (id, version, rule, entity, indicator, period, level, severity, state,
                     bucket, backfill, snapshot, raised_at, changed_at)
                   values (%s, 2, 'target-level', %s, 'co2', '2024-01-01', 0.9, 'notice', %s,
                     '2024-01-05T08:00:00+08:00', true, %s, now(), now() + make_interval(secs => %s))""",
                (
                    id_,
                    f"enterprise:ENT-{1 + i // 2}",
                    "cleared" if i == 1 else "active",
                    Jsonb({"total": "1.5"}),
                    i,
                ),
            )
        for version, state in ((1, "active"), (2, "cleared")):
            connection.execute(
                """insert into warning_history (id, version, state, bucket, changed_at, snapshot)
                   values (%s, %s, %s, now(), now(), '{}')""",
                (ids[0], version, state),
            )
        yield ids
        connection.execute("delete from warning")
        connection.execute("delete from warning_history")


def test_warnings_are_listed_newest_first_and_filtered(client: httpx.Client, warned: list[str]) -> None:
    assert [w["id"] for w in get(client, "/v1/warnings")["warnings"]] == warned[::-1]
    assert [w["id"] for w in get(client, "/v1/warnings", state="cleared")["warnings"]] == [warned[1]]
    assert [w["id"] for w in get(client, "/v1/warnings", entity="enterprise:ENT-2")["warnings"]] == [
        warned[2]
    ]
    assert get(client, "/v1/warnings", since="2099")["warnings"] == []
    first = get(client, "/v1/warnings", limit=2)
    assert [w["id"] for w in get(client, "/v1/warnings", after=first["next"])["warnings"]] == [warned[0]]


def test_a_warning_has_its_history(client: httpx.Client, warned: list[str]) -> None:
    answer = get(client, f"/v1/warnings/{warned[0]}")
    assert answer["level"] == "0.9"
    assert answer["backfill"] is True
    assert [(c["version"], c["state"]) for c in answer["history"]] == [(1, "active"), (2, "cleared")]
    assert client.get("/v1/warnings/none").status_code == 404
    assert client.get("/v1/entities/%0A/").status_code == 404  # not a redirect to the same without a slash


def test_freshness_of_one_enterprise(client: httpx.Client) -> None:
    answer = get(client, "/v1/freshness", entity="enterprise:ENT-1")
    assert answer == {
        "entity": "enterprise:ENT-1",
        "newest_end": "2024-03-10T10:00:00+08:00",  # the hour behind is estimated
        "age_s": 7200,
        "stored_at_tick": "2024-03-10T11:59:57+08:00",
        "readings_today": 40,
        "expected_today": 48,
        "completeness_today": 0.8333,
        "partitions": [{"partition": 0, "tick_age_s": 2}, {"partition": 1, "tick_age_s": 3}],
        "live_meters": 1,
    }


def test_the_overview_holds_today_the_largest_and_the_freshness(client: httpx.Client) -> None:
    answer = get(client, "/v1/overview")
    assert answer["today"]["electricity_kwh"] == "90.000"
    assert answer["today"]["co2_kg"] is None
    assert answer["today"]["missing_coefficients"] == ["natural_gas"]
    assert [(e["entity"], e["co2_kg"]) for e in answer["by_enterprise"]] == [
        ("enterprise:ENT-1", "44.766"),
        ("enterprise:ENT-2", None),
    ]
    assert [i["entity"] for i in answer["by_industry"]] == ["industry:3120"]
    assert answer["freshness"]["entity"] == "region:CN"
    assert answer["freshness"]["expected_today"] == 3 * 48


def test_before_anything_is_loaded_the_overview_is_empty(settings: Settings, servers: Addresses) -> None:
    with migrated_database(servers.database, "api") as of_it:
        empty = settings.model_copy(update={"database": of_it.database})
        with served(empty) as running, running.client() as client:
            answer = get(client, "/v1/overview")
    assert answer["today"] == {
        "co2_kg": None,
        "kgce": None,
        "electricity_kwh": None,
        "missing_coefficients": [],
    }
    assert answer["freshness"]["newest_end"] is None
    assert answer["freshness"]["completeness_today"] is None


def test_the_reading_role_cannot_write(settings: Settings) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        asyncio.run(_write_as_it_may(settings))


async def _write_as_it_may(settings: Settings) -> None:
    """Even in a transaction that it made read-write, the role has no right."""
    async with reading_pool(settings, application="test") as pool, pool.connection() as connection:
        await connection.execute("set default_transaction_read_only = off")
        await connection.execute("update entity set name_en = 'changed'")


def test_a_meter_tells_what_the_checks_found(settings: Settings, client: httpx.Client) -> None:
    with psycopg.connect(settings.database) as connection:
        connection.execute(
            """insert into finding (partition, source_offset, row, "check", decision, meter, time, size, tick_ms,
                 definition)
               select 0, 7, 0, 2, 1, number, '2024-01-01T08:15+08', 5, 1704068130000, 'packaged@3'
               from meter where meter_id = %s""",
            (f"{plant.STEEL}/E01",),
        )
    path = f"/v1/meters/{plant.STEEL}/E01/findings"
    found = get(client, path, **{"from": "2024-01-01", "to": "2024-01-02"})
    assert found["findings"] == [
        {"end": "2024-01-01T08:15:00+08:00", "check": "frozen", "decision": "question", "size": 5.0,
         "definition": "packaged@3", "told_at": "2024-01-01T08:15:30+08:00"}
    ]  # fmt: skip
    assert get(client, path, **{"from": "2024-01-02", "to": "2024-01-03"})["findings"] == []
