"""A real plant's half year through the whole pipeline."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from pathlib import Path

import pytest

from carbonstream.connectors.sources.replay import Format, Options
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.rules.simulating import simulated
from carbonstream.schemas.codes import Mode
from tests.warn import steel
from tests.warn.conftest import SERVICES, Pipeline, running


@pytest.mark.timeout(900)
def test_a_backfilled_half_year_gives_each_warning_once_though_warn_and_instant_are_killed(
    tmp_path: Path,
) -> None:
    demand = [told for told in steel.demand() if told[3].date() <= steel.HALF]
    wanted = sorted(steel.expected(steel.HALF) + demand)
    rules = tmp_path / "warning_rules.csv"
    rules.write_text(steel.DEMAND_RULE)
    services = (*SERVICES, "instant")
    with running(tmp_path, steel.targets_csv(), virtual_time=False, services=services) as pipeline:
        pipeline.load(warning_rules=rules)
        wait_until_in_force(pipeline.settings)
        options = Options("replay/steel", Format.UCI_STEEL, steel.METER, 2_191, Mode.BACKFILL)
        pipeline.replay(steel.first_half(tmp_path), options)
        for changes in (10, len(wanted) // 3, 2 * len(wanted) // 3):
            pipeline.until_told(changes)
            pipeline.kill("warn")
            pipeline.kill("instant")
        pipeline.settle()
        pipeline.until_told(len(wanted))
        assert pipeline.history() == wanted
        assert pipeline.relayed() == wanted
        assert pipeline.query("select distinct backfill from warning_history") == [(True,)]
        simulated_again(pipeline, wanted, tmp_path)


DAYS_BACK = (datetime.now(steel.SHANGHAI).date() - date(2023, 12, 1)).days


def simulated_again(pipeline: Pipeline, wanted: list[steel.Told], folder: Path) -> None:
    """Rules tried on the stored year tell what they told, and nothing of targets that nobody comes near."""
    before = pipeline.history()
    found = simulated(pipeline.settings, DAYS_BACK)
    raised = [id_.partition(":")[0] for id_, _, state, _ in wanted if state == "active"]
    assert found["targets"] == 24
    assert found["rules"] == dict(sorted(Counter(raised).items()))
    assert (found["count"], found["cleared"]) == (len(raised), len(wanted) - len(raised))
    episodes = raised.count("maximum-demand")
    assert found["top_entities"] == [
        {"entity": steel.ENTITY, "count": len(raised) - episodes},
        {"entity": steel.SITE, "count": episodes},
    ]
    assert sum(found["per_day"]["days"].values()) == len(raised)
    tried = folder / "tried.csv"
    tried.write_text(f"entity,indicator,period,value,unit,levels\n{steel.ENTITY},co2,2024,9000,t,80\n")
    assert simulated(pipeline.settings, DAYS_BACK, tried)["rules"] == {"maximum-demand": episodes}
    off = folder / "off.csv"
    off.write_text(steel.DEMAND_RULE.replace(",on,", ",off,"))
    assert simulated(pipeline.settings, DAYS_BACK, tried, off)["count"] == 0
    assert pipeline.history() == before
