"""GET /v1/consistency and /v1/sum-checks: what the service has kept, and errors that name field and remedy."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from carbonstream.schemas.settings import Settings
from tests.api import plant


@pytest.fixture
def kept(settings: Settings) -> Iterator[None]:
    with psycopg.connect(settings.database, autocommit=True) as connection:
        connection.execute(
            "insert into consistency values "
            "('enterprise:ENT-1', 'missing', '2024-03-09', 1, 96, 1.0417, '%%', 1, false, true, %s), "
            "('enterprise:ENT-1', 'response', '2024-03-09', 0, 0, null, 'h', 48, null, true, %s), "
            "('enterprise:ENT-1', 'missing', '2024-03-01', 0, 96, 0, '%%', 1, true, true, %s)",
            [plant.NOW] * 3,
        )
        connection.execute(
            "insert into sum_check values (%s, '2024-03-09', 2010, 2000, 2, 'within', %s)",
            [f"{plant.STEEL}/E01", plant.NOW],
        )
        yield
        connection.execute("truncate consistency, sum_check")


@pytest.mark.usefixtures("kept")
def test_the_last_days_of_an_entity(client: httpx.Client) -> None:
    answer = client.get("/v1/consistency", params={"entity": "enterprise:ENT-1"}).json()
    assert answer["values"] == [
        {
            "indicator": "missing", "name_zh": "缺失数据比例", "name_en": "data missing", "day": "2024-03-09",
            "part": "1", "whole": "96", "value": "1.0417", "unit": "%", "aim": "at_most", "target": "1", "met": False,
            "closed": True, "at": "2024-03-10T12:00:00+08:00", "clause": "T/CES 6.4.1 (1), 6.4.2 (1)",
        },
        {
            "indicator": "response", "name_zh": "数据一致性监控响应时间", "name_en": "mean time to respond",
            "day": "2024-03-09", "part": "0", "whole": "0", "value": None, "unit": "h", "aim": "below",
            "target": "48", "met": None, "closed": True, "at": "2024-03-10T12:00:00+08:00", "clause": "T/CES 6.4.3",
        },
    ]  # fmt: skip
    whole = client.get(
        "/v1/consistency", params={"entity": "enterprise:ENT-1", "indicator": "missing", "from": "2024-03"}
    ).json()
    assert [value["day"] for value in whole["values"]] == ["2024-03-01", "2024-03-09"]


@pytest.mark.usefixtures("kept")
def test_sum_checks_of_a_site(client: httpx.Client) -> None:
    (check,) = client.get("/v1/sum-checks", params={"site": plant.STEEL}).json()["sum_checks"]
    assert (check["supplied"], check["accounted"], check["difference"]) == ("2.010", "2.000", "0.010")
    assert (check["unit"], check["verdict"]) == ("kWh", "within")
    assert client.get("/v1/sum-checks", params={"site": plant.HEAT}).json() == {"sum_checks": []}


def test_what_is_not_known_is_named(client: httpx.Client) -> None:
    unknown = client.get("/v1/consistency", params={"indicator": "beauty"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "indicator")
    nobody = client.get("/v1/consistency", params={"entity": "enterprise:NOBODY"})
    assert (nobody.status_code, nobody.json()["field"]) == (404, "entity")
    assert client.get("/v1/sum-checks", params={"from": "2024-13"}).status_code == 422
