"""A wrong multiplier corrected months later, a register that was reset, and indexes that were struck, through the
running services."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carbonstream.connectors.database import connect
from carbonstream.connectors.sources.resend import Again
from carbonstream.ops.balance import ledger
from carbonstream.ops.load import load_files
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.multipliers.corrections import Asked, decide, dry_run, submit
from carbonstream.processors.recomputing import ALWAYS
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome, RowFlag
from carbonstream.schemas.errors import LoadRefused
from tests.commands import carbonstream
from tests.commands import told as told_with
from tests.ledger.stage import (
    METER_HEAD,
    QUARTER_MS,
    SITE_HEAD,
    T0,
    Records,
    Sender,
    clear_away,
    copied,
    empty_database,
    figures,
    is_replayed,
    is_stored,
    query,
    sink_until,
)
from tests.running import Running, eventually, load, running, supervised

pytestmark = pytest.mark.timeout(300)
SITE = "330502-m"
R, RESET, SUB = f"{SITE}/R", f"{SITE}/RESET", f"{SITE}/SUB"
SITES = SITE_HEAD + f"{SITE},站,Site,ENT-M,企业,Enterprise,PARK-M,园,Park,330502,C31\n"
METERS = METER_HEAD + "".join(
    f"{name},electricity,register,kWh,{multiplier},,900,{boundary},2026-01-01T00:00:00+08:00,\n"
    for name, multiplier, boundary in ((R, 80, "true"), (RESET, 10, "true"), (SUB, 80, "false"))
)
FEBRUARY, MARCH = -24 * 4, 0  # quarters before and behind T0, 2026-03-01 08:00 local
STEP = 6 * 4  # an index every six hours
INDEXES = {FEBRUARY + k * STEP: 1_000 + 7 * k for k in range(12)}
MISREAD = 9_999_999
NOW = datetime(2026, 6, 1, tzinfo=UTC)
SERVICES = ("relay", "timescale", "convert", "ledger", "ticker")


def index(quarter: float, meter: str, value: float) -> Again:
    return Again(meter, None, T0 + int(quarter * QUARTER_MS), value, None)


@dataclass
class Stage:
    """A Carbonstream that has run and stands still, and what its commands said meanwhile."""

    run: Running
    tables: list[dict[str, Path]]
    said: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("multipliers")
    tables: dict[str, Path] = {}
    for name, text in (("sites", SITES), ("meters", METERS)):
        tables[name] = folder / f"{name}.csv"
        tables[name].write_text(text, encoding="utf-8")
    with running(folder, services=SERVICES, tables=tables) as run:
        stage = Stage(run, [tables])
        play(stage, folder)
        yield stage
    clear_away()


def play(stage: Stage, folder: Path) -> None:
    """Everything happens here; the tests look at what was said."""
    run, said = stage.run, stage.said
    settings, sender = run.settings, Sender(run.settings)
    for quarter, value in INDEXES.items():
        sender.send(index(quarter, R, value), index(quarter, SUB, value))
    eventually(lambda: is_stored(settings), "all is stored by the wrong multiplier")
    told(run, "periods", "lock", "enterprise:ENT-M", "2026-02", "--by", "alice", "--document", "report")
    said["before"] = totals(run)
    asked = ("multipliers", "correct", R, "100", "--document", "CT 500/5", "--by", "alice")
    said["dry run"] = told(run, *asked, "--dry-run")
    said["nothing written"] = query(settings, "select count(*) from multiplier_correction")
    said["submitted"] = told(run, *asked)
    said["own"] = refused(run, "multipliers", "approve", "1", "--by", "Alice")
    killed_in_its_midst(run)
    said["submitted twice"] = why(lambda c: submit(c, asked_of_r("100"), "carol", NOW), run)
    said["cut off"] = told(run, "multipliers", "list")
    run.kill("timescale")
    run.kill("convert")
    said["resumed"] = told(run, "multipliers", "resume")
    said["resumed again"] = told(run, "multipliers", "resume")
    said["late"] = sent(stage, sender, index(max(INDEXES) - 2, R, INDEXES[max(INDEXES)] - 1))
    said["next"] = sent(stage, sender, index(max(INDEXES) + 4, R, INDEXES[max(INDEXES)] + 2))
    said["time"] = refused(run, *asked, "--from", "2026-02-30")
    reset(stage, sender, folder)
    strike(stage, sender)
    eventually(lambda: is_stored(settings), "all is stored")
    said["ledger"] = ledger(settings, 60)
    said["after"] = totals(run)
    said["explained"] = told(run, "explain", "--meter", R, "--time", "2026-03-01T09:00:00+08:00")


def killed_in_its_midst(run: Running) -> None:
    """An approval that is killed once the correction is approved, whatever else it had done."""
    command = [sys.executable, "-m", "carbonstream.ops", "multipliers", "approve", "1", "--by", "bob"]
    with subprocess.Popen(command, env=run.environment, stdout=subprocess.DEVNULL) as process:
        eventually(lambda: run.query("select 1 from multiplier_correction_decision"), "it is approved")
        process.send_signal(signal.SIGKILL)


def sent(stage: Stage, sender: Sender, reading: Again) -> list[Any]:
    """What became of an index, by the ledger's lines of the source."""
    before = outcomes(stage.run)
    sender.send(reading)
    eventually(lambda: is_stored(stage.run.settings), "it is stored")
    return [
        (code, n - before.get(code, 0)) for code, n in outcomes(stage.run).items() if n != before.get(code, 0)
    ]


def outcomes(run: Running) -> dict[int, int]:
    rows = run.query(
        "select outcome, sum(readings)::int from ledger where source = 'test/plant' and hop = 'outcome' group by 1"
    )
    return dict(rows)  # type: ignore[arg-type]


def reset(stage: Stage, sender: Sender, folder: Path) -> None:
    """The register of RESET begins anew at the third index; its exchange is recorded later."""
    run = stage.run
    for quarter, value in enumerate((500, 501, 3, 4, 5)):
        sender.send(index(quarter, RESET, value))
    eventually(lambda: is_stored(run.settings), "they are decided")
    stage.said["backwards"] = told(run, "rejects", "list", "--code", "register_backwards")
    exchanges = folder / "exchanges.csv"
    exchanges.write_text(
        f"meter_id,at,final_index,initial_index,modulus\n{RESET},2026-03-01T08:20:00+08:00,501.5,0,\n"
    )
    load(run.settings, {"exchanges": exchanges})
    stage.tables.append({"exchanges": exchanges})
    wait_until_in_force(run.settings)
    sender.send(index(5, RESET, 6))  # the newest comes before those that wait
    eventually(lambda: is_stored(run.settings), "it is decided")
    stage.said["released"] = told(run, "rejects", "replay", "--code", "register_backwards")


def strike(stage: Stage, sender: Sender) -> None:
    """A misread index of R is believed, and what follows rejected; one of SUB lies between two others."""
    run, said = stage.run, stage.said
    at, between = (instant(quarter) for quarter in (max(INDEXES) + 8, FEBRUARY + 3 * STEP))
    said["unmisread"] = totals(run)
    sender.send(index(max(INDEXES) + 8, R, MISREAD))
    sender.send(index(max(INDEXES) + 12, R, INDEXES[max(INDEXES)] + 2))
    eventually(lambda: is_stored(run.settings), "they are decided")
    said["misread"] = totals(run)
    asked = ("indexes", "strike", R, at, "--reason", "misread", "--by", "alice")
    said["strike shown"] = told(run, *asked, "--dry-run")["restates"]
    said["struck"] = told(run, *asked)
    said["struck twice"] = refused(run, *asked)
    said["own strike"] = refused(run, "indexes", "approve", "1", "--by", "ALICE")
    run.kill("timescale")
    run.kill("convert")
    said["strike done"] = told(run, "indexes", "approve", "1", "--by", "bob")
    said["again in line"] = told(run, "rejects", "replay", "--code", "register_backwards")
    said["done already"] = refused(run, "indexes", "approve", "1", "--by", "carol")
    said["nothing stands"] = refused(run, *asked)
    said["first"] = refused(run, *asked[:3], instant(FEBRUARY), *asked[4:])
    told(run, *asked[:2], SUB, between, *asked[4:])
    said["rejected"] = told(run, "indexes", "reject", "2", "--by", "alice", "--reason", "it was right")
    told(run, *asked[:2], SUB, between, *asked[4:])
    told(run, "indexes", "approve", "3", "--by", "bob")
    said["strikes"] = told(run, "indexes", "list")
    said["struck explained"] = told(run, "explain", "--meter", SUB, "--time", between)


def instant(quarter: int) -> str:
    return datetime.fromtimestamp((T0 + quarter * QUARTER_MS) / 1_000, UTC).isoformat()


def asked_of_r(multiplier: str) -> Asked:
    return Asked(R, ALWAYS, None, Decimal(multiplier), "CT 500/5")


def why(work: Callable[[Any], object], run: Running) -> str:
    """Why a command's function refuses."""
    with connect(run.settings, application="test") as connection, pytest.raises(LoadRefused) as refusal:
        work(connection)
    return str(refusal.value.errors[0])


def told(run: Running, *words: str) -> Any:
    return told_with(run.settings, *words)


def refused(run: Running, *words: str) -> str:
    """The one error of a command that must be refused."""
    done = carbonstream(run.settings, *words, "--json")
    assert done.code == 2
    (error,) = done.told()["errors"]
    return str(error)


def totals(run: Running) -> dict[tuple[str, str], int]:
    """Month totals by entity, Wh."""
    rows = run.query(
        "select e.id, to_char(t.bucket at time zone 'Asia/Shanghai', 'YYYY-MM'), t.quantity from total_period t "
        "join entity e on e.number = t.entity where t.grain = 3 and e.kind <> 'class'"
    )
    return {(entity, month): int(quantity) for entity, month, quantity in rows}


def test_a_dry_run_shows_entities_with_old_and_new_totals_and_writes_nothing(stage: Stage) -> None:
    found = stage.said["dry run"]["restates"]
    assert (found["months"], found["intervals"]) == (["2026-02", "2026-03"], 11)
    before, shown = stage.said["before"], {e["entity"]: e for e in found["entities"]}
    whole = sum(before["enterprise:ENT-M", month] for month in found["months"])
    assert whole == 11 * 7 * 80 * 1_000
    for entity in (f"site:{SITE}", "enterprise:ENT-M", "park:PARK-M", "region:330502", "domain:industry"):
        quantity = shown[entity]["quantity"]
        assert (quantity["old"], quantity["new"]) == ("6160", "7700"), entity
        assert 4 * float(shown[entity]["co2_kg"]["new"]) == pytest.approx(
            5 * float(shown[entity]["co2_kg"]["old"])
        )
    assert stage.said["nothing written"] == [(0,)]


def test_a_reported_month_is_named_and_stays_as_reported(stage: Stage) -> None:
    assert stage.said["dry run"]["restates"]["locked"] == [
        {"entity": "enterprise:ENT-M", "month": "2026-02", "document": "report"}
    ]
    (lock,) = told(stage.run, "periods", "list")
    assert float(lock["co2_kg"]["now"]) == pytest.approx(1.25 * float(lock["co2_kg"]["locked"]))


def test_a_second_person_decides_and_one_correction_of_a_meter_is_open_at_a_time(stage: Stage) -> None:
    assert stage.said["submitted"]["id"] == 1
    assert "correction 1 of 330502-m/R is not done" in stage.said["submitted twice"]
    assert "a second person has to decide it" in stage.said["own"]


def test_an_approval_that_was_killed_goes_on_though_sink_and_convert_are_killed_too(stage: Stage) -> None:
    assert [line["state"] for line in stage.said["cut off"]] == ["approved"]
    assert [line["state"] for line in stage.said["resumed"]["corrections"]] == ["done"]
    assert stage.said["resumed again"] == {"corrections": []}


def test_recomputed_is_last_less_first_index_times_the_right_multiplier(stage: Stage) -> None:
    rows = query(
        stage.run.settings,
        "select sum(r.quantity)::bigint, bool_and(r.flags & %s <> 0 or r.raw_index in (1000000, 1079000)) "
        "from reading r join meter m on m.number = r.meter where m.meter_id = %s",
        int(RowFlag.EDITED),
        R,
    )
    assert rows[0][0] == (INDEXES[max(INDEXES)] + 2 - 1_000) * 100 * 1_000
    after = stage.said["after"]
    reset = 6_000 + 1_000 + 5_000 + 10_000  # 1 kWh and 0.5 before the reset, 6 behind it, x 10
    assert reset == 22_000
    for entity in (f"site:{SITE}", "enterprise:ENT-M", "park:PARK-M"):
        months = sum(after[entity, month] for month in ("2026-02", "2026-03"))
        assert months == (INDEXES[max(INDEXES)] + 2 - 1_000) * 100_000 + 75_000


def test_late_and_next_indexes_count_by_the_right_multiplier(stage: Stage) -> None:
    assert stage.said["late"] == [(int(Outcome.STORED), 1)]
    assert stage.said["next"] == [(int(Outcome.STORED), 1)]


def test_every_replaced_row_is_kept_as_a_correction(stage: Stage) -> None:
    old, new, rows = query(
        stage.run.settings,
        "select sum(x.old_quantity)::bigint, sum(x.new_quantity)::bigint, count(*) from correction x "
        "join meter m on m.number = x.meter where m.meter_id = %s and x.recorded_at = "
        "(select min(recorded_at) from correction where meter = m.number)",
        R,
    )[0]
    assert (old, new) == (11 * 7 * 80_000, 11 * 7 * 100_000)
    assert rows > 11  # each interval's parts


def test_the_ledger_balances_in_every_hop(stage: Stage) -> None:
    account = stage.said["ledger"]
    assert account["balanced"], (account["differences"], account["breaks"])
    assert account["accepted"]["kwh"] == account["stored"]["kwh"]
    lines = [line for line in account["by"] if line["source"] == "recompute" and line["hop"] == "superseded"]
    strikes = 1 + 2  # of R the interval up to the newest index, of SUB the two beside it
    assert sum(line["readings"] for line in lines) == 11 + strikes


def test_an_explanation_tells_the_right_multiplier_and_what_stood_before(stage: Stage) -> None:
    found = stage.said["explained"]
    assert (found["multiplier"], found["multiplier_version"], found["flags"]) == (
        "100",
        2,
        ["apportioned", "edited"],
    )
    assert found["equal"]
    assert found["corrections"][0]["old_quantity"] != found["corrections"][0]["new_quantity"]


def test_what_cannot_be_corrected_is_refused_with_the_remedy(stage: Stage) -> None:
    run = stage.run
    assert stage.said["time"].startswith("from: '2026-02-30'")
    assert "is no registered meter" in why(
        lambda c: dry_run(c, replace(asked_of_r("1"), meter_id="m/X")), run
    )
    assert "no stored interval of 330502-m/R changes" in why(lambda c: dry_run(c, asked_of_r("100")), run)
    assert "correction 7 is not known" in why(lambda c: decide(c, 7, "bob", "approved", "", NOW), run)
    assert "is done already, by bob" in why(lambda c: decide(c, 1, "carol", "rejected", "", NOW), run)
    assert "was found wrong by correction 1: write 100" in why(
        lambda c: load_files(c, stage.tables[0], NOW), run
    )


def test_a_reset_registers_indexes_are_taken_once_its_exchange_is_recorded(stage: Stage) -> None:
    assert stage.said["backwards"]["by_code"] == {"register_backwards": {"readings": 3, "replayed": 0}}
    assert stage.said["released"] == {"sent": 3, "cannot_be_sent": {}, "complete": True}
    rows = query(
        stage.run.settings,
        "select r.raw_index / 1000, sum(r.quantity) over (order by r.time)::bigint from reading r "
        "join meter m on m.number = r.meter where m.meter_id = %s and r.raw_index is not null order by r.time",
        RESET,
    )
    # 501 to 501.5 and 0 to 3 in the interval across it, x 10
    assert rows == [(500, 0), (501, 10_000), (3, 45_000), (4, 55_000), (5, 65_000), (6, 75_000)]


def test_a_struck_index_leaves_totals_as_if_it_had_never_come(stage: Stage) -> None:
    said = stage.said
    shown = {e["entity"]: e["quantity"] for e in said["strike shown"]["entities"]}
    whole = {month for entity, month in said["misread"] if entity == "enterprise:ENT-M"}
    old, new = (
        sum(found["enterprise:ENT-M", month] for month in said["strike shown"]["months"])
        for found in (said["misread"], said["unmisread"])
    )
    assert old - new == (MISREAD - INDEXES[max(INDEXES)] - 2) * 100_000
    assert said["strike shown"]["months"][0] in whole
    assert [Decimal(shown["enterprise:ENT-M"][n]) * 1_000 for n in ("old", "new")] == [old, new]
    assert said["after"] == said["unmisread"]
    assert said["again in line"]["sent"] == 1


def test_a_struck_index_is_kept_with_who_struck_it_and_why(stage: Stage) -> None:
    assert [(s["id"], s["meter"], s["state"], s["decided_by"]) for s in stage.said["strikes"]] == [
        (1, R, "done", "bob"), (2, SUB, "rejected", "alice"), (3, SUB, "done", "bob")
    ]  # fmt: skip
    assert (stage.said["strikes"][0]["index"], stage.said["strikes"][0]["reason"]) == (
        str(MISREAD),
        "misread",
    )
    explained = stage.said["struck explained"]
    assert explained["indexes"]["equal"]
    assert explained["indexes"]["previous_time"] < explained["indexes"]["time"]
    assert explained["corrections"]


def test_a_strike_that_cannot_be_is_refused_with_the_remedy(stage: Stage) -> None:
    said = stage.said
    assert "strike 1 of 330502-m/R is not done" in said["struck twice"]
    assert "a second person has to decide it" in said["own strike"]
    assert "strike 1 is done already, by bob" in said["done already"]
    assert "no stored index of this register has this time" in said["nothing stands"]
    assert "record an exchange at its time" in said["first"]


def test_the_answers_replayed_into_an_empty_database_give_the_same(stage: Stage) -> None:
    new = empty_database(stage.run.settings, stage.tables)
    with connect(new, application="test") as connection:
        assert connection.execute("select count(*) from reading").fetchone() == (0,)
    sink_until(new, lambda: is_replayed(new), "all of it is stored again")
    assert figures(new) == figures(stage.run.settings)


def test_the_readings_judged_again_from_the_start_give_the_same(stage: Stage) -> None:
    def readings_alone(topic: str, _partition: int, found: Records) -> Records:
        return [] if topic == topics.EMISSIONS else found

    new = copied(stage.run.settings, stage.tables, readings_alone)
    with supervised(new, "timescale", "convert"):
        eventually(lambda: is_stored(new), "all of it is stored again")
        account = ledger(new, 60)
    assert figures(new) == figures(stage.run.settings)
    assert account["balanced"], account["differences"]
