"""Instant rules on real servers: a gateway of 2,000 meters dies, a contract capacity is exceeded, instant is killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options
from carbonstream.connectors.sources.ticker import send_ticks
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import to_ms
from tests.topics import ends
from tests.warn.conftest import Pipeline, Told, running
from tests.warn.steel import METER, SHANGHAI

NEW_YEAR = datetime(2024, 1, 1, tzinfo=SHANGHAI)
QUARTER = timedelta(minutes=15)
SITES, METERS_A_SITE = 40, 50
RULES = f"""rule,kind,scope,parameters,class,priority,owner,cause,consequence,action,respond_s,state,valid_from
works-demand,maximum-demand,meter:{METER},capacity=400;k=1,alarm,high,shift lead,too many furnaces,a fee,shed,900,on,\
2023-12-01T00:00:00+08:00
"""
# kW of each quarter from 1:00 on; 400 are allowed
DEMAND = [300, 390, 401, 420, 399, 380, 300, 410, 300, *[200] * 12]


def quarter(n: int) -> datetime:
    """End of the n-th quarter of an hour of the year."""
    return NEW_YEAR + n * QUARTER


def wanted() -> list[Told]:
    """One alarm for the gateway, two episodes of demand."""
    begun = quarter(4) + 2 * QUARTER + timedelta(minutes=5)
    demand = f"maximum-demand:site:330502-steel:{METER}:20240101T"
    return sorted(
        [
            (f"silence:source:replay/gw-7:silence:{begun:%Y%m%dT%H%M%S}", 1, "active", begun),
            (f"{demand}013000", 1, "active", quarter(6)),
            (f"{demand}013000", 2, "cleared", quarter(9)),
            (f"{demand}024500", 1, "active", quarter(11)),
            (f"{demand}024500", 2, "cleared", quarter(12)),
        ]
    )


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def register(pipeline: Pipeline, folder: Path) -> list[str]:
    """The gateway's sites and meters; their ids."""
    sites = [
        "site_id,name_zh,name_en,enterprise,enterprise_zh,enterprise_en,park,park_zh,park_en,county,industry"
    ]
    meters = ["meter_id,carrier,kind,unit,multiplier,modulus,interval_s,boundary,valid_from,valid_to"]
    ids = []
    for s in range(SITES):
        sites.append(f"330502-gw{s},场{s},Site {s},gw-{s},企{s},Works {s},,,,330502,C31")
        for m in range(METERS_A_SITE):
            ids.append(f"330502-gw{s}/E{m:02}")
            meters.append(f"{ids[-1]},electricity,interval,kWh,1,,900,true,2023-12-01T00:00:00+08:00,")
    pipeline.load(
        sites=write(folder / "sites.csv", sites),
        meters=write(folder / "meters.csv", meters),
        warning_rules=write(folder / "warning_rules.csv", RULES.splitlines()),
    )
    pipeline.until("reference data are told", lambda: pipeline.query("select count(*) from outbox") == [(0,)])
    return ids


def tick(pipeline: Pipeline, at: datetime) -> None:
    producer = kafka.producer(pipeline.settings)
    send_ticks(producer, pipeline.settings, to_ms(at))
    assert producer.flush(30) == 0


def settle(pipeline: Pipeline) -> None:
    """Return when convert has answered and instant has judged all that was sent, and wrote it down."""
    at = pipeline.settings
    pipeline.until(
        "convert has answered all", lambda: ends(at, topics.EMISSIONS) == ends(at, topics.READINGS)
    )
    sent = ends(at, topics.EMISSIONS)
    judged = "select next_offset from instant_position order by partition"
    pipeline.until("instant has judged all", lambda: [n for (n,) in pipeline.query(judged)] == sent)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("instant")
    services = ("relay", "convert", "instant")
    with running(folder, "", virtual_time=True, services=services, is_covered=True) as pipeline:
        ids = register(pipeline, folder)
        tick(pipeline, NEW_YEAR)
        lines = [f"{id_},{quarter(n).isoformat()},1" for n in range(1, 5) for id_ in ids]
        gateway = write(folder / "gateway.csv", ["meter,time,value", *lines])
        pipeline.replay(gateway, Options("replay/gw-7", mode=Mode.LIVE, tick_s=300))
        lines = [f"{METER},{quarter(5 + i).isoformat()},{kw / 4}" for i, kw in enumerate(DEMAND)]
        works = write(folder / "works.csv", ["meter,time,value", *lines])
        pipeline.replay(works, Options("replay/works", mode=Mode.LIVE, tick_s=300))
        yield pipeline


# The tests of this module go on from each other, in this order: one history.


@pytest.mark.timeout(600)
def test_a_dead_gateway_of_two_thousand_meters_is_one_alarm(pipeline: Pipeline) -> None:
    settle(pipeline)
    assert pipeline.history() == wanted()
    ((entity, severity, priority, definition, snapshot),) = pipeline.query(
        "select entity, severity, priority, definition, snapshot from warning where rule = 'silence'"
    )
    assert (entity, severity, priority) == ("source:replay/gw-7", "alarm", "high")
    assert definition == "source-silence@1"
    assert snapshot["silent_meters"] == len(snapshot["meters"]) == SITES * METERS_A_SITE


@pytest.mark.timeout(600)
def test_a_demand_above_the_capacity_says_what_was_compared(pipeline: Pipeline) -> None:
    ((snapshot,),) = pipeline.query(
        "select snapshot from warning_history where starts_with(id, 'maximum-demand') order by bucket limit 1"
    )
    assert (snapshot["rate"], snapshot["threshold"], snapshot["rate_unit"]) == ("401", "400", "kW")
    assert snapshot["quantity"] == "100.25"
    assert snapshot["definition"]["parameters"]["capacity"] == "400"


@pytest.mark.timeout(600)
def test_a_killed_instant_tells_nothing_twice_and_misses_nothing(pipeline: Pipeline) -> None:
    pipeline.kill("instant")
    tick(pipeline, quarter(40))
    settle(pipeline)
    works = [entry for entry in pipeline.history() if "replay/works" not in entry[0]]
    assert works == wanted()


@pytest.mark.timeout(600)
def test_every_change_is_told_once(pipeline: Pipeline) -> None:
    assert pipeline.relayed() == pipeline.history()
