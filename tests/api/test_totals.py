"""Totals as the API tells them, against the plant's own arithmetic."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import httpx
import psycopg
import pytest

from carbonstream.schemas.settings import Settings
from tests.api import plant

ENT_1 = "enterprise:ENT-1"
EXACT = Context(prec=200)
NEW_YEAR_KWH = [Decimal(3_170 + i % 7) / 1000 for i in range(3 * 96)]
TODAY_KWH = [Decimal(2)] * 40 + [Decimal("2.5")] * 4


def ask(client: httpx.Client, **query: Any) -> dict[str, Any]:
    response = client.get("/v1/totals", params=query)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("grain", ["hour", "day", "month", "quarter", "year"])
def test_a_year_is_the_same_from_every_grain(client: httpx.Client, grain: str) -> None:
    answer = ask(client, entity=ENT_1, grain=grain, **{"from": "2024"})
    kwh = sum(NEW_YEAR_KWH) + sum(TODAY_KWH)
    assert answer["sum"]["quantity"]["electricity"] == {
        "value": str(kwh),
        "unit": "kWh",
        "estimated": "10.000",
        "declared": "0.000",
    }
    assert Decimal(answer["sum"]["co2_kg"]) == kwh * Decimal("0.4974")
    assert Decimal(answer["sum"]["kgce"]) == kwh * Decimal("0.1229")
    assert answer["sum"]["readings"] == 3 * 96 + 40  # four are estimated
    assert answer["sum"]["estimated_share"] == 0.01  # 10 kWh of some 1,004, rounded up


@pytest.mark.parametrize("entity", ["site:" + plant.STEEL, ENT_1])
def test_a_sub_meter_is_not_summed(client: httpx.Client, entity: str) -> None:
    answer = ask(client, entity=entity, grain="day", **{"from": "2024-01-01"})
    assert answer["sum"]["quantity"]["electricity"]["value"] == str(sum(NEW_YEAR_KWH[:96]))
    assert answer["sum"]["expected"] == answer["sum"]["readings"] == 96
    assert answer["sum"]["completeness"] == 1
    assert answer["sum"]["provisional"] is False


def test_every_digit_of_a_large_product_is_told(client: httpx.Client) -> None:
    answer = ask(client, entity="site:" + plant.HEAT, grain="year", **{"from": "2024"})
    quantity = 8 * Decimal(999_999_999_999_999).scaleb(-3)
    assert answer["sum"]["quantity"]["heat"]["value"] == "7999999999999.992"
    exact = EXACT.multiply(quantity, Decimal("0.110000000000000007"))
    assert answer["sum"]["co2_kg"] == f"{exact:f}".rstrip("0")


def test_without_a_coefficient_co2_is_null_and_the_carrier_named(client: httpx.Client) -> None:
    answer = ask(client, entity="enterprise:ENT-2", grain="month", **{"from": "2024"})
    january, february, march = answer["buckets"]
    assert january["quantity"].keys() == {"heat"}
    assert january["co2_kg"] is not None
    assert february == {
        "bucket": "2024-02-01T00:00:00+08:00",
        "readings": 0,
        "expected": 2 * 29 * 96,
        "completeness": 0,
        "coverage": 1,
        "estimated_share": 0,
        "oldest_missing": None,
        "quantity": {},
        "co2_kg": None,
        "kgce": None,
        "missing_coefficients": [],
        "missing_calorific": [],
        "provisional": True,
    }
    assert march["quantity"]["natural_gas"] == {
        "value": "44.044",
        "unit": "m3",
        "estimated": "0.000",
        "declared": "0.000",
    }
    assert march["co2_kg"] is None
    assert march["missing_coefficients"] == ["natural_gas"]
    assert answer["sum"]["co2_kg"] is None
    assert answer["sum"]["missing_coefficients"] == ["natural_gas"]


def test_as_of_takes_the_coefficient_published_by_then_and_says_how_long_it_was_carried(
    client: httpx.Client,
) -> None:
    now = ask(client, entity=ENT_1, grain="month", **{"from": "2024-01"})
    then = ask(client, entity=ENT_1, grain="month", as_of="2025-12-30", **{"from": "2024-01"})
    kwh = sum(NEW_YEAR_KWH)
    assert Decimal(now["sum"]["co2_kg"]) == kwh * Decimal("0.4974")
    assert Decimal(then["sum"]["co2_kg"]) == kwh * Decimal("0.5153")
    assert now["as_of"] is None
    assert then["as_of"].startswith("2025-12-30T23:59:59")
    (coefficient,) = [c for c in then["coefficients"] if c["kind"] != "calorific"]
    assert coefficient["value"] == "0.5153"
    assert coefficient["month"] == "2022-01"
    assert coefficient["carried_months_max"] == 24


def test_what_is_published_changes_the_next_answer(settings: Settings, client: httpx.Client) -> None:
    kwh = sum(NEW_YEAR_KWH)
    with psycopg.connect(settings.database, autocommit=True) as connection:
        connection.execute(
            """insert into coefficient
                 (carrier, scope, month, kind, value, unit, document, published_at, approver)
               values (1, 'region:330502', '2024-01-01', 'electricity_average', 0.4, 'kgCO2/kWh', 'd',
                 '2026-01-01', 'a')"""
        )
        answer = ask(client, entity=ENT_1, grain="month", **{"from": "2024-01"})
        connection.execute("delete from coefficient where scope = 'region:330502'")
    assert Decimal(answer["sum"]["co2_kg"]) == kwh * Decimal("0.4")


def test_an_indicator_leaves_the_other_out(client: httpx.Client) -> None:
    co2 = ask(client, entity=ENT_1, grain="month", indicator="co2", **{"from": "2024-01"})
    energy = ask(client, entity=ENT_1, grain="month", indicator="energy", **{"from": "2024-01"})
    assert "kgce" not in co2["sum"]
    assert "co2_kg" not in energy["sum"]
    assert {c["kind"] for c in energy["coefficients"]} == {"calorific"}
    assert {c["kind"] for c in co2["coefficients"]} == {"electricity_average"}


@pytest.mark.parametrize(
    ("grain", "first", "last"),
    [
        ("hour", "2024-03-10T00:00:00+08:00", "2024-03-10T12:00:00+08:00"),
        ("day", "2024-03-01T00:00:00+08:00", "2024-03-10T00:00:00+08:00"),
        ("month", "2024-01-01T00:00:00+08:00", "2024-03-01T00:00:00+08:00"),
        ("quarter", "2024-01-01T00:00:00+08:00", "2024-01-01T00:00:00+08:00"),
    ],
)
def test_without_a_range_the_present_period_is_told_up_to_now(
    client: httpx.Client, grain: str, first: str, last: str
) -> None:
    buckets = ask(client, entity=ENT_1, grain=grain)["buckets"]
    assert (buckets[0]["bucket"], buckets[-1]["bucket"]) == (first, last)
    assert buckets[-1]["provisional"] is True


def test_an_estimate_is_never_told_as_final(client: httpx.Client) -> None:
    buckets = ask(client, entity=ENT_1, grain="hour", **{"from": "2024-03-10"})["buckets"]
    by_hour = {b["bucket"][11:13]: b for b in buckets}
    assert by_hour["09"]["provisional"] is False
    assert by_hour["10"]["quantity"]["electricity"]["estimated"] == "10.000"
    assert by_hour["10"]["provisional"] is True
    assert by_hour["10"]["estimated_share"] == 1
    assert by_hour["09"]["estimated_share"] == 0


def test_a_total_says_since_when_something_is_missing(settings: Settings, client: httpx.Client) -> None:
    with psycopg.connect(settings.database, autocommit=True) as connection:
        connection.execute("insert into estimator_position (looked_to) values ('2024-03-10T11:55:00+08:00')")
        connection.execute(
            """insert into gap select number, t.start::timestamptz, t.until::timestamptz from meter, (values
                 ('E01', '2024-01-31T23:30:00+08:00', '2024-02-01T01:15:00+08:00'),
                 ('E01', '2024-03-10T11:00:00+08:00', null), ('E02', '2024-01-01T00:00:00+08:00', null)
               ) t (name, start, until) where meter_id = %s || '/' || t.name""",
            (plant.STEEL,),
        )
        answers = {
            grain: ask(client, entity=ENT_1, grain=grain, **{"from": "2024"}) for grain in ("month", "year")
        }
        hours = ask(client, entity=ENT_1, grain="hour", **{"from": "2024-03-10"})["buckets"]
        connection.execute("delete from gap")
        connection.execute("delete from estimator_position")
    assert [b["oldest_missing"] for b in answers["month"]["buckets"]] == [
        "2024-01-31T23:30:00+08:00", "2024-02-01T00:00:00+08:00", "2024-03-10T11:00:00+08:00",
    ]  # fmt: skip
    assert (
        answers["year"]["sum"]["oldest_missing"] == "2024-01-31T23:30:00+08:00"
    )  # a sub-meter is not summed
    missing = {b["bucket"][11:13]: b["oldest_missing"] for b in hours}
    assert missing["11"] == "2024-03-10T11:00:00+08:00"
    assert {at for hour, at in missing.items() if hour != "11"} == {None}


def test_a_total_says_how_many_of_its_sites_are_metered(settings: Settings, client: httpx.Client) -> None:
    with psycopg.connect(settings.database, autocommit=True) as connection:
        connection.execute(
            "insert into entity (id, kind, name_zh, name_en) values ('site:new', 'site', 'n', 'n')"
        )
        connection.execute(
            """insert into site (site_id, entity, shard, name_zh, name_en, enterprise, class)
               select 'new', e.number, 0, 'n', 'n', s.enterprise, s.class from entity e, site s
               where e.id = 'site:new' and s.site_id = %s""",
            (plant.STEEL,),
        )
        (bucket,) = ask(client, entity="region:330500", grain="month", **{"from": "2024-01"})["buckets"]
        connection.execute("delete from site where site_id = 'new'")
        connection.execute("delete from entity where id = 'site:new'")
    assert bucket["coverage"] == 0.75


def test_a_site_day_holds_the_local_day(client: httpx.Client) -> None:
    answer = ask(
        client,
        entity="site:" + plant.STEEL,
        grain="day",
        **{"from": "2024-01-01T16:00:00Z", "to": "2024-01-02T16:00:00Z"},
    )
    assert [b["bucket"] for b in answer["buckets"]] == ["2024-01-02T00:00:00+08:00"]
    assert answer["sum"]["readings"] == 96


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"entity": ENT_1, "grain": "hour", "from": "2020", "to": "2024"}, "to"),
        ({"entity": ENT_1, "from": "2024-13"}, "from"),
        ({"entity": ENT_1, "from": "2024-03-05T08:00:00"}, "from"),
        ({"entity": ENT_1, "from": "1999"}, "from"),
        ({"entity": ENT_1, "from": "2024-02", "to": "2024-01"}, "to"),
        ({"entity": ENT_1, "to": "2024-01"}, "from"),
        ({"entity": ENT_1, "as_of": "yesterday"}, "as_of"),
        ({"entity": ENT_1, "grain": "week"}, "grain"),
        ({"entity": ENT_1, "granularity": "day"}, "granularity"),
        ({"entity": "enterprise:\0"}, "entity"),
        ({}, "entity"),
    ],
)
def test_a_faulty_parameter_is_named(client: httpx.Client, query: dict[str, str], field: str) -> None:
    response = client.get("/v1/totals", params=query)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["field"] == field
    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize("entity", ["enterprise:NONE", "class:330502|3120", ""])
def test_an_unknown_entity_and_a_class_are_not_there(client: httpx.Client, entity: str) -> None:
    response = client.get("/v1/totals", params={"entity": entity})
    assert response.status_code == 404
    assert response.json()["field"] == "entity"
