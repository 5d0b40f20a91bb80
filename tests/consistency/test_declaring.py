"""Declarations, from the file to the totals: a second person's approval, every gram once, marked as declared."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from carbonstream.api.declared import SQL as DECLARED
from carbonstream.connectors.database import connect
from carbonstream.connectors.sources.declaring import send_approved
from carbonstream.ops.balance import ledger
from carbonstream.ops.declarations import approve, decide_withdrawal, declare, listed, withdraw
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome, RowFlag
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.totals import Total
from tests.running import Running, eventually, running
from tests.topics import messages

from .conftest import METERS, SITES, Write

HEADER = "meter_id,first_day,last_day,opening,purchases,closing,amount,unit,document"
FEBRUARY = "k/COAL,2026-02-01,2026-02-28,120.5,300,80.25,,t,入库单 2026-02"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def tables(write: Write) -> dict[str, Path]:
    meter = "k/{},{},interval,{},1,,{},true,2026-01-01T00:00:00+08:00,"
    return {
        "sites": write("sites", SITES, "k,窑,Kiln,ENT-K,窑厂,Kiln works,,,,330502,C30"),
        "meters": write(
            "meters",
            METERS,
            meter.format("COAL", "raw_coal", "t", 86_400),
            meter.format("E", "electricity", "kWh", 900),
        ),
    }


def used(running: Running) -> int:
    ((found,),) = running.query(
        "select coalesce(sum(quantity), 0)::bigint from total_period t join entity e on e.number = t.entity "
        "where e.id = 'enterprise:ENT-K' and t.grain = 3 and t.bucket = '2026-02-01T00:00:00+08:00'"
    )
    return int(found)


def newest_total(running: Running) -> dict[str, Any]:
    """The enterprise's month on carbon.totals, once all of it is told."""
    found: dict[str, Any] = {}
    for message in messages(running.settings, topics.TOTALS):
        record = orjson.loads(message.value() or b"{}")
        if (record.get("entity"), record.get("grain")) == ("enterprise:ENT-K", "month"):
            found = Total.model_validate(record).model_dump(by_alias=True)
    quantities = [c["quantity"] for c in found.get("carriers", ())]
    return found if quantities == ["340250"] else {}


def test_a_months_coal_is_declared_approved_and_counted_once(tmp_path: Path, write: Write) -> None:
    services = ("relay", "timescale", "convert", "consistency", "ticker", "estimator")
    with (
        running(tmp_path / "state", services=services, tables=tables(write)) as pipeline,
        connect(pipeline.settings, application="test", autocommit=True) as connection,
    ):
        (line,) = declare(connection, write("declarations", HEADER, FEBRUARY), "alice", NOW)
        assert (line["amount"], line["state"]) == ("340.25", "pending")
        assert send_approved(connection, pipeline.settings) == []
        with pytest.raises(LoadRefused, match="second person"):
            approve(connection, line["id"], "alice")
        approve(connection, line["id"], "bob")
        with pytest.raises(LoadRefused, match="already, by bob"):
            approve(connection, line["id"], "carol")
        # the service estimator sends what is approved
        eventually(lambda: pipeline.stored("declared") == 28, "the month's days are stored")
        assert used(pipeline) == 340_250_000
        told = eventually(lambda: newest_total(pipeline), "the month is told to subscribers")
        assert (told["declared_share"], told["inferred"], told["inferred_share"]) == (1.0, [], 0.0)
        assert told["provisional"]  # its electricity is missing
        assert told["completeness"] < 1
        assert pipeline.query("select distinct flags & %s from reading", int(RowFlag.DECLARED)) == [
            (int(RowFlag.DECLARED),)
        ]
        # the mark `sent` was lost with a crash: it goes again, and counts nothing
        connection.execute("update declaration set sent_at = null")
        eventually(lambda: pipeline.stored("declared") == 56, "the second copy is decided about")
        assert pipeline.query(
            "select outcome, sum(readings)::int from ledger where source = 'declared' and hop = 'outcome' "
            "group by 1 order by 1"
        ) == [(int(Outcome.STORED), 28), (int(Outcome.DUPLICATE), 28)]
        assert used(pipeline) == 340_250_000
        # a revision of the same period takes its place
        revised = FEBRUARY.replace("80.25", "80.5")
        (again,) = declare(connection, write("declarations", HEADER, revised), "bob", NOW)
        approve(connection, again["id"], "alice")
        send_approved(connection, pipeline.settings)
        eventually(lambda: used(pipeline) == 340_000_000, "the revision counts")
        assert [d["state"] for d in listed(connection)] == ["sent", "sent"]
        eventually(
            lambda: pipeline.query("select 1 from consistency where entity = 'enterprise:ENT-K' limit 1"),
            "the service keeps the indicators",
        )
        ((entity,),) = pipeline.query("select number from entity where id = 'region:330500'")
        year = {"from": "2026-01-01T00:00:00+08:00", "to": "2027-01-01T00:00:00+08:00"}
        shares = connection.execute(DECLARED, {"entity": entity, "unit": "month", **year}).fetchall()
        assert [(carrier, quantity) for _, carrier, quantity in shares] == [(20, 340_000_000)]
        errors(connection, write)
        withdrawn(pipeline, connection, write)


def withdrawn(pipeline: Running, connection: Any, write: Write) -> None:
    """What was sent is taken back by two persons, and may be declared anew, the same amount too."""
    with pytest.raises(LoadRefused, match="declaration 2 took the place of 1"):
        withdraw(connection, 1, "alice", "wrong month")
    withdraw(connection, 2, "alice", "wrong month")
    with pytest.raises(LoadRefused, match="waits already"):
        withdraw(connection, 2, "alice", "wrong month")
    with pytest.raises(LoadRefused, match="second person"):
        decide_withdrawal(connection, 2, "ALICE", "", is_approved=True)
    decide_withdrawal(connection, 2, "bob", "it was right", is_approved=False)
    assert used(pipeline) == 340_000_000
    withdraw(connection, 2, "alice", "wrong month")
    decide_withdrawal(connection, 2, "bob", "", is_approved=True)
    eventually(lambda: used(pipeline) == 0, "the service estimator sends the withdrawal")
    states = [(d["state"], d["withdrawal"]) for d in listed(connection)]
    assert [state for state, _ in states] == ["withdrawn", "withdrawn"]
    measured = "select sum(readings)::int from total_period where grain = 3 and carrier = 20"
    assert pipeline.query(measured) == [(0,)]  # completeness counts its days as missing again
    assert pipeline.query("select count(*)::int from correction where new_quantity = 0") == [(28 * 24,)]
    # the mark `sent` was lost with a crash: it goes again, and changes nothing
    connection.execute("update declaration_withdrawal set sent_at = null where approved_by is not null")
    eventually(lambda: pipeline.stored("declared") == 28 * 5, "the second copy is decided about")
    account = ledger(pipeline.settings, 60)
    assert account["balanced"], account["differences"]
    (anew,) = declare(
        connection, write("declarations", HEADER, FEBRUARY.replace("80.25", "80.5")), "bob", NOW
    )
    approve(connection, anew["id"], "alice")
    eventually(lambda: used(pipeline) == 340_000_000, "the same amount counts again")
    with pytest.raises(LoadRefused, match="is withdrawn already"):
        withdraw(connection, 2, "alice", "again")


def errors(connection: object, write: Write) -> None:
    """Every error of a file is named, and nothing of it is written down."""
    before = listed(connection)  # type: ignore[arg-type]
    rows = (
        "k/COAL,2026-02-02,2026-02-03,,,,5,t,d",
        "k/COAL,2026-01-01,2026-01-31,1,2,4,,t,d",
        "k/COAL,2026-01-01,2026-01-31,1,2,,,t,d",
        "k/COAL,2026-01-01,2026-01-31,,,,1,MWh,d",
        "k/E,2026-01-01,2026-01-31,,,,1,kWh,d",
        "k/X,2026-01-01,2026-01-31,,,,1,kWh,d",
        "k/COAL,2026-03-01,2027-03-31,,,,1,t,d",
        "k/COAL,2026-01-01,2026-01-31,,,,1,t,d",
    )
    with pytest.raises(LoadRefused) as refused:
        declare(connection, write("declarations", HEADER, *rows), "alice", NOW)  # type: ignore[arg-type]
    assert [": ".join(error.split(": ")[:2]) for error in refused.value.errors] == [
        "declarations.csv:2: first_day",
        "declarations.csv:3: closing",
        "declarations.csv:4: amount",
        "declarations.csv:5: unit",
        "declarations.csv:6: meter_id",
        "declarations.csv:7: meter_id",
        "declarations.csv:8: last_day",
    ]
    assert listed(connection) == before  # type: ignore[arg-type]
