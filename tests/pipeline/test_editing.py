"""A reading that is certainly wrong gives way to an estimate, is kept, and stands again when a person says so."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from carbonstream.connectors.database import connect
from carbonstream.connectors.sources.replay import Options, replay
from carbonstream.ops.balance import ledger
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.reading_commands import decide
from carbonstream.schemas.codes import Mode, Quality
from carbonstream.schemas.errors import LoadRefused, NotReady
from tests.commands import told
from tests.pipeline.test_estimates import (
    BEGIN,
    HOUR,
    METERS,
    QUARTER,
    SERVICES,
    SITES,
    STOPS,
    Plant,
    kwh,
)
from tests.running import eventually, running

pytestmark = pytest.mark.timeout(400)
METER = "330502-a/E2"
SPIKE = STOPS + 2 * QUARTER
SPIKE_KWH = 950.0
PARAMETERS = """name,carrier,kind,interval_s,parameters,state,owner,note
feeders,electricity,interval,,spike_margin=4,on,dispatch,loads that start hard
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("editing")
    meters = "\n".join(line for line in METERS.splitlines() if "/E" not in line or "/E2" in line)
    texts = {"sites": SITES, "meters": meters + "\n", "check_parameters": PARAMETERS}
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    tables = {name: folder / f"{name}.csv" for name in texts}
    with running(
        folder, services=SERVICES, tables=tables, virtual_time=True,
        estimate_grace_s=60, estimate_silent_s=7 * 3_600,
    ) as run:  # fmt: skip
        plant = Plant(run, folder)
        eventually(lambda: run.query("select count(*) from outbox") == [(0,)], "reference data are told")
        plant.tick(STOPS)
        wait_until_in_force(run.settings, 90)
        plant.send(("E2",), BEGIN, STOPS - HOUR, Mode.BACKFILL)
        plant.send(("E2",), STOPS - HOUR, STOPS)
        plant.looked_past(STOPS)
        yield plant


def tell(plant: Plant, value: float) -> None:
    """The quarter-hour of the spike, as the gateway tells it."""
    plant.sent += 1
    path = plant.folder / f"{plant.sent}.csv"
    path.write_text(f"meter,time,value\n{METER},{SPIKE.isoformat()},{value}\n")
    report = replay(plant.run.settings, path, Options(f"replay/{plant.sent}", mode=Mode.LIVE))
    eventually(lambda: plant.run.stored(report.source) == 1, "it is stored")


def standing(plant: Plant) -> tuple[int, int]:
    """Thousandths and quality of the row."""
    ((quantity, quality),) = plant.run.query("select quantity, quality from reading where time = %s", SPIKE)
    return quantity, quality


def ticking(plant: Plant, condition: Any, what: str) -> None:
    """Ticks go on until the condition holds."""
    until = STOPS + 8 * QUARTER + timedelta(minutes=8)

    def holds() -> bool:
        plant.tick(min(plant.at + timedelta(seconds=1), until))
        return bool(condition())

    eventually(holds, what)


def decided(plant: Plant, decision: str) -> dict[str, Any]:
    """What a decision gives while ticks go on; the first wait may be too short."""
    found: dict[str, Any] = {}

    def stands() -> bool:
        plant.tick(
            plant.at + timedelta(seconds=10)
        )  # the estimator looks once a second, and takes 60 s for a leap
        try:
            with connect(plant.run.settings, application="test", autocommit=True) as connection:
                found.update(decide(connection, METER, SPIKE.isoformat(), decision, "alice", "checked", 0.5))
        except NotReady:
            return False
        return True

    eventually(stands, f"it is {decision}")
    return found


LINEAR = round((kwh("E2", SPIKE - QUARTER) + kwh("E2", SPIKE + QUARTER)) / 2 * 1_000)

# The tests of this module go on from each other, in this order: one history.


def test_a_spike_gives_way_to_an_estimate_and_is_kept(plant: Plant) -> None:
    plant.tick(STOPS + 4 * QUARTER)
    plant.send(("E2",), STOPS, STOPS + QUARTER)
    tell(plant, SPIKE_KWH)
    assert standing(plant) == (950_000, Quality.VALID)
    plant.send(("E2",), SPIKE, STOPS + 4 * QUARTER)
    ticking(plant, lambda: standing(plant)[1] != Quality.VALID, "the spike is estimated")
    assert standing(plant) == (LINEAR, Quality.INTERPOLATED)
    assert plant.run.query("select old_quantity, new_quantity from correction where time = %s", SPIKE) == [
        (950_000, LINEAR)
    ]
    account = ledger(plant.run.settings, 60)
    assert account["balanced"], account["differences"]
    lines = {
        line["code"]: (line["readings"], line["kwh"])
        for line in account["by"]
        if line["source"] == "estimator" and line["code"]
    }
    assert lines["superseded"] == (1, "950")
    ((wh,),) = plant.run.query("select sum(quantity)::bigint from reading")
    stored = sum(Decimal(line["kwh"]) for line in account["by"] if line["hop"] == "stored")
    assert stored * 1_000 == wh


def test_the_explanation_tells_what_was_measured_and_that_it_was_edited(plant: Plant) -> None:
    found = told(plant.run.settings, "explain", "--meter", METER, "--time", SPIKE.isoformat())
    assert found["flags"] == ["edited"]
    assert found["quality"]["estimated"]
    assert found["corrections"][0]["old_quantity"] == "950"
    assert found["decisions"] == []
    (finding,) = [f for f in found["findings"] if f["check"] == "spike"]
    assert finding["decision"] == "reject"
    assert finding["size"] >= 3
    assert finding["definition"] == "feeders@1"
    asked = finding["parameters"]
    assert (asked["spike"], asked["spike_margin"], asked["spike_drop"]) == ("reject", "4", "0.75")
    assert "frozen_floor" not in asked


def test_the_same_reading_delivered_again_is_edited_again(plant: Plant) -> None:
    tell(plant, SPIKE_KWH)
    plant.tick(plant.at + HOUR)
    ticking(plant, lambda: standing(plant)[1] != Quality.VALID, "the spike is estimated again")
    assert standing(plant) == (LINEAR, Quality.INTERPOLATED)


def test_an_operator_accepts_it_after_all_and_changes_his_mind(plant: Plant) -> None:
    line = decided(plant, "accepted")
    assert standing(plant) == (950_000, Quality.VALIDATED)
    assert (line["quantity"], line["quality"], line["decided_by"]) == ("950", "validated", "alice")
    assert decided(plant, "estimated")["refused"] == "950"
    assert standing(plant) == (LINEAR, Quality.INTERPOLATED)
    account = ledger(plant.run.settings, 60)
    assert account["balanced"], account["differences"]


def test_what_is_no_stored_interval_reading_cannot_be_decided(plant: Plant) -> None:
    with connect(plant.run.settings, application="test", autocommit=True) as connection:
        for meter, end, reason, what in (
            ("330502-a/E9", SPIKE.isoformat(), "x", "is no registered meter"),
            (METER, (SPIKE + timedelta(minutes=1)).isoformat(), "x", "no stored interval"),
            (METER, "today", "x", "write ISO 8601"),
            (METER, SPIKE.isoformat(), "", "say why"),
        ):
            with pytest.raises(LoadRefused, match=what):
                decide(connection, meter, end, "accepted", "alice", reason, 0.1)
