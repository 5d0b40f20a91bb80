"""A month through every real part: readings by file, a factor by two persons, all totals told again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from carbonstream.connectors import kafka
from carbonstream.ops.cli import app
from carbonstream.schemas import topics
from carbonstream.schemas.frames import TYPE_RESTATED, TYPE_TOTAL
from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.settings import settings as of_this_process
from carbonstream.schemas.totals import Restated, Total
from tests.reference.files import FEED, METERS, PAPER, SITES, STEEL
from tests.running import Running, eventually, running
from tests.topics import messages

from .conftest import HEADER, POWER

OLD, NEW = Decimal("0.4974"), Decimal("0.4655")
FACTOR = "electricity,electricity_average,330000,2024-03,0.4655,kgCO2/kWh,浙江省 2024年3月"
MARCH = datetime(2024, 3, 1, tzinfo=SHANGHAI)
SERVICES = ("relay", "timescale", "convert", "ticker")
QUARTERS = 31 * 96


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two plants with a month of quarter-hours, stored."""
    folder = tmp_path_factory.mktemp("month")
    tables = {
        "sites": [SITES, STEEL, PAPER],
        "meters": [METERS, FEED.replace("register", "interval").replace("1000000", ""), POWER],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    ends = [MARCH + timedelta(minutes=15 * (i + 1)) for i in range(QUARTERS)]
    readings = ["meter,time,value"]
    readings += [f"330502-0001/E01,{end.isoformat()},{10 + i % 7}.5" for i, end in enumerate(ends)]
    readings += [f"330502-0002/E02,{end.isoformat()},{3 + i % 5}.25" for i, end in enumerate(ends)]
    (folder / "march.csv").write_text("\n".join([*readings, ""]), encoding="utf-8")
    given = {name: folder / f"{name}.csv" for name in tables}
    with (
        running(folder, services=SERVICES, tables=given) as run,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in run.environment.items():
            patch.setenv(name, value)
        of_this_process.cache_clear()
        command("replay", folder / "march.csv", "--source", "march")
        eventually(lambda: run.stored("march") == 2 * QUARTERS, "every reading is stored", 180)
        yield run
    of_this_process.cache_clear()


def command(*arguments: object) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def told(settings: Settings) -> list[tuple[str, dict[str, Any]]]:
    """All records of carbon.totals: type and document."""
    return [
        (kafka.type_of(m.headers()), orjson.loads(value))  # type: ignore[arg-type]
        for m in messages(settings, topics.TOTALS)
        if (value := m.value()) is not None
    ]


def newest(run: Running, entity: str) -> dict[tuple[str, str], Decimal]:
    """By grain and bucket, the last CO2 that was told of an entity."""
    return {
        (record["grain"], record["bucket"]): Decimal(record["co2_kg"])
        for type_, record in told(run.settings)
        if type_ == TYPE_TOTAL and record["entity"] == entity and record["co2_kg"] is not None
    }


def days_and_month(run: Running, entity: str) -> dict[tuple[str, str], Decimal]:
    return {key: co2 for key, co2 in newest(run, entity).items() if key[0] in ("day", "month")}


def test_an_approved_factor_restates_the_month(month: Running) -> None:
    rows = month.query("select sum(quantity) from reading")[0][0]
    kwh = Decimal(rows) / 1000
    query = ("totals", "region:330000", "--grain", "month", "--from", "2024-03")
    assert Decimal(command(*query)["sum"]["co2_kg"]) == kwh * OLD

    def is_whole() -> bool:
        now = days_and_month(month, "park:PARK-1")
        return len(now) == 32 and now["month", MARCH.isoformat()] == kwh * OLD

    eventually(is_whole, "every day was told, and the whole month")
    before = days_and_month(month, "park:PARK-1")

    folder = Path(str(month.settings.state_dir))
    (folder / "factor.csv").write_text(f"{HEADER}\n{FACTOR}\n", encoding="utf-8")
    pending = command("coefficients", "publish", folder / "factor.csv", "--by", "Li Na")
    shown = {e["entity"]: (Decimal(e["old"]), Decimal(e["new"])) for e in pending["restates"]["entities"]}
    assert shown["park:PARK-1"] == (kwh * OLD, kwh * NEW)
    restated = Restated.model_validate(command("coefficients", "approve", pending["id"], "--by", "Wang Wei"))
    assert restated.months == ["2024-03"]

    # the database at once: totals, their parts, and both recomputed from rows
    assert Decimal(command(*query)["sum"]["co2_kg"]) == kwh * NEW
    just_before = datetime.fromtimestamp((restated.published_ms - 1) / 1_000, UTC).isoformat()
    assert Decimal(command(*query, "--as-of", just_before)["sum"]["co2_kg"]) == kwh * OLD
    for entity in ("site:330502-0001", "enterprise:ENT-2", "park:PARK-1", "region:CN", "industry:C31"):
        for grain, bucket in (
            ("month", "2024-03"),
            ("day", "2024-03-31"),
            ("hour", "2024-03-31T23:00:00+08:00"),
        ):
            explained = command("explain", "--entity", entity, "--grain", grain, "--bucket", bucket)
            assert explained["equal"], explained
            assert {p["coefficient"]["value"] for p in explained["parts"]} == {str(NEW)}
    reading = (
        "explain",
        "--meter",
        "330502-0001/E01",
        "--time",
        "2024-03-31T23:00:00+08:00",
    )
    assert command(*reading)["equal"]
    assert command(*reading, "--as-of", just_before)["parts"][0]["coefficient"]["value"] == str(OLD)

    # subscribers: one record at once, then every day and the month
    def settled() -> bool:
        now = days_and_month(month, "park:PARK-1")
        return all(co2 * OLD == before[key] * NEW for key, co2 in now.items())

    eventually(settled, "every day and the month are told again")
    eventually(lambda: not month.query("select 1 from restatement"), "nothing is left to tell")
    records = told(month.settings)
    assert [Restated.model_validate(r) for type_, r in records if type_ == TYPE_RESTATED] == [restated]
    for type_, record in records:
        if type_ == TYPE_TOTAL:
            Total.model_validate(record)
