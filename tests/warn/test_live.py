"""Readings as they come, in virtual time: warnings are raised at once, corrected, and follow their targets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options
from carbonstream.connectors.sources.ticker import send_ticks
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import to_ms
from tests.warn.conftest import Pipeline, running
from tests.warn.steel import ENTITY, METER, SHANGHAI

NEW_YEAR = datetime(2024, 1, 1, tzinfo=SHANGHAI)
QUARTER = timedelta(minutes=15)
# 9,600 kWh x 0.4974 = 4,775.04 kg a day. 80 % of 30 t are reached after 5.026 days; the plan is 967.7 kg a day
TARGET = f"{ENTITY},co2,2024-01,30,t,80;90;100\n{ENTITY},co2,2024,300,t,80\n{ENTITY},co2,2024-Q1,24,t,100\n"
LEVEL = f"target-level:{ENTITY}:co2:2024-01:80"
PLAN = f"plan-to-date:{ENTITY}:co2:2024-01:100"


def day(n: int) -> datetime:
    """The n-th of January, 0:00."""
    return NEW_YEAR + timedelta(days=n - 1)


def readings(path: Path, first: datetime, until: datetime, kwh: str) -> Path:
    """A file of quarter-hours."""
    lines = ["meter,time,value"]
    while first < until:
        first += QUARTER
        lines.append(f"{METER},{first.isoformat()},{kwh}")
    path.write_text("\n".join(lines))
    return path


def tick(pipeline: Pipeline, at: datetime) -> None:
    producer = kafka.producer(pipeline.settings)
    send_ticks(producer, pipeline.settings, to_ms(at))
    assert producer.flush(30) == 0


def live(pipeline: Pipeline, folder: Path, first: datetime, until: datetime) -> None:
    """Readings and the clock come to `until`; a quarter of an hour later nothing has changed but the clock."""
    file = readings(folder / f"{until:%d}.csv", first, until, "100")
    pipeline.replay(file, Options("replay/live", mode=Mode.LIVE, tick_s=900))
    tick(pipeline, until + QUARTER)
    pipeline.settle()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("live")
    with running(folder, TARGET, virtual_time=True, is_covered=True) as pipeline:
        tick(pipeline, NEW_YEAR)
        live(pipeline, folder, NEW_YEAR, day(6) + timedelta(hours=1))
        yield pipeline


def of(pipeline: Pipeline, id_: str) -> list[tuple[int, str, datetime]]:
    return [(version, state, bucket) for i, version, state, bucket in pipeline.history() if i == id_]


def corrected(
    pipeline: Pipeline, folder: Path, source: str, first: datetime, until: datetime, kwh: str
) -> None:
    """Send other values for an interval; at most 500, so that they are one frame and one transaction."""
    assert (until - first) / QUARTER <= 500
    file = readings(folder / "correction.csv", first, until, kwh)
    pipeline.replay(file, Options(source, mode=Mode.BACKFILL))
    pipeline.settle()


# The tests of this module go on from each other, in this order: one history.


@pytest.mark.timeout(900)
def test_a_level_is_raised_at_once_and_announced(pipeline: Pipeline) -> None:
    assert of(pipeline, LEVEL) == [(1, "active", day(6))]
    ((bucket, changed_at, backfill, severity),) = pipeline.query(
        "select h.bucket, h.changed_at, h.backfill, w.severity from warning_history h join warning w using (id)"
        " where id = %s",
        LEVEL,
    )
    assert bucket <= changed_at < day(6) + timedelta(hours=2)
    assert not backfill
    assert severity == "notice"


@pytest.mark.timeout(900)
def test_the_plan_to_date_is_judged_when_its_day_is_closed(pipeline: Pipeline, tmp_path: Path) -> None:
    assert of(pipeline, PLAN) == [(1, "active", day(1))]
    live(pipeline, tmp_path, day(6) + timedelta(hours=1), day(11))
    assert of(pipeline, PLAN) == [(1, "active", day(1))]
    assert of(pipeline, LEVEL) == [(1, "active", day(6))]


@pytest.mark.timeout(900)
def test_quarters_and_years_are_judged_beside_months(pipeline: Pipeline) -> None:
    assert of(pipeline, f"target-level:{ENTITY}:co2:2024-Q1:100") == [(1, "active", day(6))]
    assert of(pipeline, f"plan-to-date:{ENTITY}:co2:2024:100") == [(1, "active", day(1))]
    assert of(pipeline, f"target-level:{ENTITY}:co2:2024:80") == []


@pytest.mark.timeout(900)
def test_a_correction_takes_back_what_is_no_longer_so(pipeline: Pipeline, tmp_path: Path) -> None:
    corrected(pipeline, tmp_path, "replay/lower", day(2), day(7), "0.5")
    pipeline.until("the level is cleared", lambda: len(of(pipeline, LEVEL)) == 2)
    assert of(pipeline, LEVEL)[1:] == [(2, "cleared", day(6))]
    # 4,775.04 kg of the first and 23.8752 kg of each corrected day: 100.7 % of the plan on the 5th, 84 % on the 6th
    assert of(pipeline, PLAN)[1:] == [(2, "cleared", day(6)), (3, "active", day(7))]


@pytest.mark.timeout(900)
def test_reaching_the_level_again_raises_the_next_version(pipeline: Pipeline, tmp_path: Path) -> None:
    corrected(pipeline, tmp_path, "replay/higher", day(8), day(9), "1000")
    pipeline.until("the level is raised again", lambda: len(of(pipeline, LEVEL)) == 3)
    # 9,669 kg by the 7th; the 8th has 1,989.6 kg an hour: 24,000 are reached in its eighth hour
    assert of(pipeline, LEVEL)[2:] == [(3, "active", day(8) + timedelta(hours=7))]


@pytest.mark.timeout(900)
def test_a_target_set_later_is_judged_without_new_readings(pipeline: Pipeline, tmp_path: Path) -> None:
    targets = tmp_path / "targets.csv"
    targets.write_text(
        f"entity,indicator,period,value,unit,levels\n{ENTITY},energy,2024-01,1,tce,80\nregion:330500,co2,2024-01,50,t,100\n"
    )
    pipeline.load(targets=targets)
    id_ = f"target-level:{ENTITY}:energy:2024-01:80"
    pipeline.until("the new target is judged", lambda: len(of(pipeline, id_)) == 1)
    # 1,179.84 kgce on the 1st, 49.16 an hour: 800 are reached in its seventeenth hour
    assert of(pipeline, id_) == [(1, "active", day(1) + timedelta(hours=16))]
    assert of(pipeline, "target-level:region:330500:co2:2024-01:100") == [
        (1, "active", day(8) + timedelta(hours=20))
    ]


@pytest.mark.timeout(900)
def test_a_level_taken_off_a_target_is_cleared(pipeline: Pipeline, tmp_path: Path) -> None:
    targets = tmp_path / "targets.csv"
    targets.write_text(f"entity,indicator,period,value,unit,levels\n{ENTITY},co2,2024-01,30,t,90;100\n")
    pipeline.load(targets=targets)
    pipeline.until("the level is cleared", lambda: of(pipeline, LEVEL)[-1][1] == "cleared")


@pytest.mark.timeout(900)
def test_every_change_can_be_recomputed_from_its_snapshot(pipeline: Pipeline) -> None:
    for id_, state, snapshot in pipeline.query("select id, state, snapshot from warning_history"):
        total = sum((Decimal(p["quantity"]) * Decimal(p["value"]) for p in snapshot["parts"]), Decimal(0))
        assert total == Decimal(snapshot["total"]), id_
        if id_.startswith("target-level"):
            reached = total >= Decimal(snapshot["threshold"])
            assert reached == (state == "active") or snapshot["level"] not in snapshot["target"]["levels"], (
                id_
            )
        elif id_.startswith("pace"):
            target, days = Decimal(snapshot["target"]["value"]), snapshot["day"]
            if "forecast" not in snapshot:  # taken back: after the correction the target is used up by then
                assert snapshot["correction"], id_
                assert total >= target, id_
                continue
            assert sum(map(Decimal, snapshot["known_days"][-days:])) == total, id_
            if state == "active":
                assert Decimal(snapshot["forecast"]["low"]) > target, id_
                assert snapshot["exhausted"]["earliest"] <= snapshot["exhausted"]["latest"]
            elif not snapshot["correction"]:
                assert Decimal(snapshot["forecast"]["total"]) < target * Decimal("0.98"), id_
        else:
            share = total * snapshot["days"] / (Decimal(snapshot["target"]["value"]) * snapshot["day"])
            assert share > 1 if state == "active" else share < Decimal("0.98"), id_


@pytest.mark.timeout(900)
def test_every_change_is_told_once(pipeline: Pipeline) -> None:
    assert pipeline.relayed() == pipeline.history()


@pytest.mark.timeout(900)
def test_a_change_names_the_rule_it_was_judged_by(pipeline: Pipeline, tmp_path: Path) -> None:
    classes = pipeline.query("select distinct rule, severity, priority, definition from warning")
    assert ("target-level", "notice", "low", "target-level@1") in classes
    assert ("target-level", "alert", "medium", "target-reached@1") in classes
    rules = tmp_path / "warning_rules.csv"
    rules.write_text(
        "rule,kind,scope,parameters,class,priority,owner,cause,consequence,action,respond_s,state,valid_from\n"
        f"own-plan,plan-to-date,{ENTITY},active_above=1000,alarm,high,shift lead,why,what,do,900,on,"
        "2023-12-01T00:00:00+08:00\n"
    )
    pipeline.load(warning_rules=rules)
    # the plan of the 1st was exceeded by 393 %, that of the 8th by 641 %
    pipeline.until("the plan is judged by its own rule", lambda: of(pipeline, PLAN)[-1][1] == "cleared")
    ((severity, definition, snapshot),) = pipeline.query(
        "select severity, definition, snapshot from warning where id = %s", PLAN
    )
    assert (severity, definition) == ("alarm", "own-plan@1")
    assert snapshot["definition"]["action"] == "do"
    assert snapshot["correction"]
