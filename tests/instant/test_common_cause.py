"""From readings to the operators: gateways behind one dead broker, and limits behind one source, are one alarm each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options
from carbonstream.connectors.sources.ticker import send_ticks
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import to_ms
from tests.warn.conftest import SERVICES, Pipeline, running
from tests.warn.steel import SHANGHAI

NEW_YEAR = datetime(2024, 1, 1, tzinfo=SHANGHAI)
QUARTER = timedelta(minutes=15)
GATEWAYS = 5
LINE = [f"330502-line/E{n}" for n in range(4)]
RULES = """rule,kind,scope,parameters,class,priority,owner,cause,consequence,action,respond_s,state,valid_from
line-limit,interval-limit,meter:330502-line/*,limit=100,alert,low,shift lead,a load,a fee,shed,900,on,\
2023-12-01T00:00:00+08:00
"""
CHILDREN = """
select distinct c.state, c.suppressed_by = c.parent, p.rule, p.state, w.snapshot ->> 'cause'
from warning_operator c join warning_operator p on p.id = c.parent join warning w on w.id = p.id where c.rule = %s
"""


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def register(pipeline: Pipeline, folder: Path) -> None:
    """A meter behind each gateway, and a line of several."""
    site_of = "{0},场,Site,works,企,Works,,,,330502,C31"
    sites = [
        "site_id,name_zh,name_en,enterprise,enterprise_zh,enterprise_en,park,park_zh,park_en,county,industry",
        *(site_of.format(f"330502-gw{n}") for n in range(GATEWAYS)),
        site_of.format("330502-line"),
    ]
    meter_of = "{0},electricity,interval,kWh,1,,900,true,2023-12-01T00:00:00+08:00,"
    meters = [
        "meter_id,carrier,kind,unit,multiplier,modulus,interval_s,boundary,valid_from,valid_to",
        *(meter_of.format(f"330502-gw{n}/E1") for n in range(GATEWAYS)),
        *map(meter_of.format, LINE),
    ]
    pipeline.load(
        sites=write(folder / "sites.csv", sites),
        meters=write(folder / "meters.csv", meters),
        warning_rules=write(folder / "warning_rules.csv", RULES.splitlines()),
    )
    pipeline.until("reference data are told", lambda: pipeline.query("select count(*) from outbox") == [(0,)])


def send(pipeline: Pipeline, folder: Path, source: str, first: int, values: dict[str, list[float]]) -> None:
    """kWh of the quarters from the first on, with ticks as time passes."""
    lines = [
        f"{meter},{(NEW_YEAR + (first + i) * QUARTER).isoformat()},{value}"
        for meter, several in values.items()
        for i, value in enumerate(several)
    ]
    file = write(folder / f"{source.replace('/', '-')}.csv", ["meter,time,value", *lines])
    pipeline.replay(file, Options(source, mode=Mode.LIVE, tick_s=300))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("common-cause")
    services = (*SERVICES, "instant")
    with running(folder, "", virtual_time=True, services=services, is_covered=True) as pipeline:
        register(pipeline, folder)
        producer = kafka.producer(pipeline.settings)
        send_ticks(producer, pipeline.settings, to_ms(NEW_YEAR + QUARTER))
        assert producer.flush(30) == 0
        for n in range(GATEWAYS):
            send(pipeline, folder, f"mqtt/gw-{n}", 1, {f"330502-gw{n}/E1": [1.0]})
        send(pipeline, folder, "opcua/line", 2, {meter: [10.0, 10.0, 30.0, 30.0] for meter in LINE})
        yield pipeline


@pytest.mark.timeout(600)
def test_gateways_that_fall_silent_behind_one_broker_are_one_alarm(pipeline: Pipeline) -> None:
    folded = "select count(*) from warning_operator where rule = 'silence' and parent is not null"
    pipeline.until("all are folded", lambda: pipeline.query(folded) == [(GATEWAYS,)])
    assert pipeline.query(CHILDREN, "silence") == [
        ("suppressed", True, "common-cause", "active-unacked", "mqtt")
    ]


@pytest.mark.timeout(600)
def test_limits_that_are_exceeded_through_one_source_are_one_alarm_that_ends_with_them(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    folded = "select count(*) from warning_operator where rule = 'interval-limit' and parent is not null"
    pipeline.until("all are folded", lambda: pipeline.query(folded) == [(len(LINE),)])
    assert pipeline.query(CHILDREN, "interval-limit") == [
        ("suppressed", True, "common-cause", "active-unacked", "opcua/line")
    ]
    send(pipeline, tmp_path, "opcua/line", 6, {meter: [10.0, 10.0, 10.0] for meter in LINE})
    parent = "select state from warning where starts_with(id, 'common-cause:interval-limit:opcua/line:')"
    pipeline.until("the cause is over", lambda: pipeline.query(parent) == [("cleared",)])
    assert pipeline.query(folded) == [(0,)]
