"""Each kind of target in each period, of each kind of entity, raised and cleared through the whole pipeline.

One meter with one reading a day: 500 kWh in 2023, 1,000 kWh in the first quarter of 2024 and the day that closes it,
all of the quarter later corrected to next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options
from carbonstream.connectors.sources.ticker import send_ticks
from carbonstream.schemas.periods import to_ms
from tests.warn.conftest import Pipeline, running
from tests.warn.steel import SHANGHAI

METER = "330502-park/E01"
ENTITIES = ("region:330502", "domain:industry", "industry:C31", "park:PARK", "enterprise:ENT")
PERIODS = {"2024-03": 31, "2024-Q1": 91, "2024": 91}  # days that are used
# 0.4974 kg and 0.1229 kgce a kWh: 497.4 kg and 122.9 kgce a day; targets are some 80 % of what is used
DAILY = {"co2": ("kg", 400), "energy": ("kgce", 100)}
CHANGES = ("last-year", "previous")
LEVELS = (80, 90, 100)


def targets_csv() -> str:
    lines = []
    for entity in ENTITIES:
        for base, (unit, daily) in DAILY.items():
            for period, days in PERIODS.items():
                lines.append(f"{entity},{base},{period},{daily * days},{unit},80;90;100")
                # value added is 1 (10,000 yuan at prices of 2020) a day
                lines.append(f"{entity},{base}-intensity,{period},{daily},{unit}/1e4CNY@2020,100")
                lines += [f"{entity},{base}-intensity-change-{c},{period},-3,%@2020,100" for c in CHANGES]
    return "\n".join(lines) + "\n"


def wanted() -> set[str]:
    """Ids of all warnings."""
    found = set()
    for entity in ENTITIES:
        for base in DAILY:
            for period in PERIODS:
                key = f"{entity}:{base}"
                found |= {f"target-level:{key}:{period}:{level}" for level in LEVELS}
                found |= {f"{rule}:{key}:{period}:100" for rule in ("plan-to-date", "pace")}
                found.add(f"intensity:{key}-intensity:{period}:100")
                found |= {f"change-rate:{key}-intensity-change-{c}:{period}:100" for c in CHANGES}
    return found


def days(first: datetime, until: datetime, kwh: str) -> list[str]:
    """A reading for each day of [first, until)."""
    count = (until - first) // timedelta(days=1)
    ends = (first + timedelta(days=n, hours=1) for n in range(count))
    return [f"{METER},{end.isoformat()},{kwh}" for end in ends]


def local(year: int, month: int = 1) -> datetime:
    return datetime(year, month, 1, tzinfo=SHANGHAI)


QUARTER_AND_A_DAY = local(2024, 4) + timedelta(days=1)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def value_added() -> list[str]:
    """As many times 10,000 yuan as a month has days; the last year's are final."""
    months = [local(year, month) for year in (2023, 2024) for month in range(1, 13)]
    return [
        f"{entity},{m:%Y-%m},value_added,{(local(m.year + m.month // 12, m.month % 12 + 1) - m).days},1e4CNY@2020,"
        f"{'true' if m.year == 2024 else 'false'}"
        for entity in ENTITIES
        for m in months
    ]


def tick(pipeline: Pipeline, at: datetime) -> None:
    producer = kafka.producer(pipeline.settings)
    send_ticks(producer, pipeline.settings, to_ms(at))
    assert producer.flush(30) == 0


def quiet(pipeline: Pipeline, at: datetime) -> None:
    """The import is over, and the clock comes to `at`: what waits for meters that never reported is judged."""
    pipeline.until("warn has begun", lambda: len(pipeline._read()) == pipeline.settings.partitions)
    pipeline.settle()
    tick(pipeline, at)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("kinds")
    with running(folder, "", virtual_time=True) as pipeline:
        pipeline.load(
            sites=write(
                folder / "sites.csv",
                "site_id,name_zh,name_en,enterprise,enterprise_zh,enterprise_en,park,park_zh,park_en,county,industry",
                "330502-park,园,Site,ENT,企,Works,PARK,园,Park,330502,C31",
            ),
            meters=write(
                folder / "meters.csv",
                "meter_id,carrier,kind,unit,multiplier,modulus,interval_s,boundary,valid_from,valid_to",
                f"{METER},electricity,interval,kWh,1,,3600,true,2023-01-01T00:00:00+08:00,2025-01-01T00:00:00+08:00",
            ),
            targets=write(folder / "targets.csv", "entity,indicator,period,value,unit,levels", targets_csv()),
            activity=write(
                folder / "activity.csv", "entity,month,indicator,value,unit,provisional", *value_added()
            ),
        )
        pipeline.until(
            "reference data are told", lambda: pipeline.query("select count(*) from outbox") == [(0,)]
        )
        tick(pipeline, local(2025, 2))
        lines = days(local(2023), local(2024), "500") + days(local(2024), QUARTER_AND_A_DAY, "1000")
        pipeline.replay(write(folder / "high.csv", "meter,time,value", *lines), Options("replay/high"))
        quiet(pipeline, local(2025, 3))
        yield pipeline


def states(pipeline: Pipeline, state: str) -> set[str]:
    return {id_ for (id_,) in pipeline.query("select id from warning where state = %s", state)}


# The tests of this module go on from each other, in this order: one history.


@pytest.mark.timeout(600)
def test_each_kind_is_raised_in_each_period_of_each_entity(pipeline: Pipeline) -> None:
    assert len(wanted()) == 5 * 2 * 3 * 8
    pipeline.until("all are raised", lambda: len(states(pipeline, "active")) >= len(wanted()))
    assert states(pipeline, "active") == wanted()


@pytest.mark.timeout(600)
def test_an_intensity_says_what_it_was_divided_by_and_at_which_prices(pipeline: Pipeline) -> None:
    id_ = "change-rate:enterprise:ENT:co2-intensity-change-last-year:2024-Q1:100"
    ((snapshot, bucket),) = pipeline.query("select snapshot, bucket from warning where id = %s", id_)
    assert (snapshot["amount"], snapshot["value_added"], snapshot["intensity"]) == ("15419.4", "31", "497.4")
    assert snapshot["target"] == {
        "grain": "quarter", "period": "2024-Q1", "value": "-3", "unit": "%", "price_year": 2020,
    }  # fmt: skip
    january = snapshot["months"][0]
    assert (january["month"], january["value_added"], january["unit"]) == ("2024-01", "31", "1e4CNY@2020")
    assert snapshot["provisional"]
    other = snapshot["compared_with"]
    assert (other["period"], other["months"][0]["provisional"]) == ("2023-Q1", False)
    assert bucket == datetime(2024, 1, 31, tzinfo=SHANGHAI)


@pytest.mark.timeout(600)
def test_each_kind_is_cleared_when_the_year_was_wrong(pipeline: Pipeline, tmp_path: Path) -> None:
    lines = days(local(2024), local(2024, 3), "2") + days(local(2024, 3), QUARTER_AND_A_DAY, "1")
    low = write(tmp_path / "low.csv", "meter,time,value", *lines)
    pipeline.replay(low, Options("replay/low"))
    quiet(pipeline, local(2025, 4))
    pipeline.until("all are cleared", lambda: not states(pipeline, "active"))
    assert states(pipeline, "cleared") == wanted()
    assert pipeline.relayed() == pipeline.history()


@pytest.mark.timeout(600)
def test_a_value_added_told_again_corrects_the_intensity(pipeline: Pipeline, tmp_path: Path) -> None:
    # 497.4 g a kWh x 31 kWh in March over 0.01 x 10,000 yuan are 1,541.94 kg for 10,000 yuan, 400 are allowed
    pipeline.load(
        activity=write(
            tmp_path / "activity.csv",
            "entity,month,indicator,value,unit,provisional",
            "park:PARK,2024-03,value_added,0.01,1e4CNY@2020,false",
        )
    )
    id_ = "intensity:park:PARK:co2-intensity:2024-03:100"
    pipeline.until("it is raised again", lambda: states(pipeline, "active") >= {id_})
    ((snapshot,),) = pipeline.query("select snapshot from warning where id = %s", id_)
    assert (snapshot["intensity"], snapshot["provisional"]) == ("1541.94", False)
