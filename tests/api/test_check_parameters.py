"""The parameters of the checks as the API shows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from carbonstream.ops.load import load_files
from carbonstream.processors.vee.params import VERSION
from tests.api import plant
from tests.api.conftest import Served

SETS = (
    "name,carrier,kind,interval_s,parameters,state,owner,note\n"
    "feeders,electricity,,,frozen_floor={},on,dispatch,feeders start hard\n"
)


@pytest.fixture(scope="module")
def loaded(api: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    file: Path = tmp_path_factory.mktemp("parameters") / "check_parameters.csv"
    with psycopg.connect(api.settings.database) as connection:
        for floor in ("4", "5"):
            file.write_text(SETS.format(floor), encoding="utf-8")
            load_files(connection, {"check_parameters": file}, plant.NOW)
    yield
    with psycopg.connect(api.settings.database, autocommit=True) as connection:
        connection.execute("truncate check_parameters")


def shown(client: httpx.Client, **query: str) -> list[tuple[str, int, str]]:
    answer = client.get("/v1/check-parameters", params=query)
    assert answer.status_code == 200, answer.text
    return [(s["name"], s["version"], s["parameters"]["frozen_floor"]) for s in answer.json()["sets"]]


@pytest.mark.usefixtures("loaded")
def test_the_newest_versions_are_shown_all_of_one_and_the_one_that_judges_a_meter(
    client: httpx.Client,
) -> None:
    assert shown(client) == [("feeders", 2, "5"), ("packaged", VERSION, "3")]
    assert shown(client, name="feeders") == [("feeders", 1, "4"), ("feeders", 2, "5")]
    assert shown(client, meter=f"{plant.STEEL}/E01") == [("feeders", 2, "5")]
    meters = client.get("/v1/meters", params={"site": plant.HEAT}).json()["meters"]
    (other,) = {m["meter"] for m in meters if m["carrier"] != "electricity"}
    assert shown(client, meter=other) == [("packaged", VERSION, "3")]


@pytest.mark.usefixtures("loaded")
def test_what_there_is_not_is_answered_with_the_remedy(client: httpx.Client) -> None:
    unknown = client.get("/v1/check-parameters", params={"name": "nobody's"})
    assert (unknown.status_code, unknown.json()["remedy"]) == (404, "GET /v1/check-parameters lists them")
    both = client.get("/v1/check-parameters", params={"name": "feeders", "meter": f"{plant.STEEL}/E01"})
    assert (both.status_code, both.json()["remedy"]) == (422, "give one of them")
