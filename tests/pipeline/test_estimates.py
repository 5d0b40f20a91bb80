"""A meter stops: what it misses is estimated by ticks; late readings make everything as if it never had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options, replay
from carbonstream.connectors.sources.ticker import send_ticks
from carbonstream.ops.balance import ledger
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode, Quality
from carbonstream.schemas.periods import SHANGHAI, to_ms
from carbonstream.schemas.totals import Total
from tests.running import Running, eventually, running
from tests.topics import messages

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
BEGIN = datetime(2026, 3, 2, tzinfo=SHANGHAI)  # a Monday
STOPS = datetime(2026, 3, 18, 10, tzinfo=SHANGHAI)
SITES = """site_id,name_zh,name_en,enterprise,enterprise_zh,enterprise_en,park,park_zh,park_en,county,industry
330502-a,测试站点,Test site,test-a,测试企业,Test enterprise,test-p,测试园区,Test park,330502,C31
"""
METERS = """meter_id,carrier,kind,unit,multiplier,modulus,interval_s,boundary,valid_from,valid_to
330502-a/E1,electricity,interval,kWh,10,,900,true,2026-03-02T00:00:00+08:00,
330502-a/E2,electricity,interval,kWh,1,,900,true,2026-03-02T00:00:00+08:00,
330502-a/E3,electricity,interval,kWh,1,,900,true,2026-01-01T00:00:00+08:00,2026-03-18T10:00:00+08:00
330502-a/E4,electricity,interval,kWh,1,,900,true,2026-03-02T00:00:00+08:00,
"""
SERVICES = ("relay", "timescale", "convert", "ledger", "estimator")
ROWS = """
select r.time, r.quantity, r.quality from reading r join meter m on m.number = r.meter
where m.meter_id = %s and r.time > %s order by 1
"""
GAPS = """
select split_part(m.meter_id, '/', 2), g.start, g.until from gap g join meter m on m.number = g.meter order by 1, 2
"""
ESTIMATES = "select count(*) from reading where quality in (8, 9)"
ESTIMATOR = """
select from pg_stat_activity where datname = current_database() and application_name = 'carbonstream estimator'
"""
Row = tuple[datetime, int, int]  # end, thousandths, quality


def kwh(meter: str, end: datetime) -> float:
    """Each working day is alike."""
    level = 9.5 if 8 <= (end - QUARTER).hour < 18 else 2.25
    return level * (1 + int(meter[-1]))


def truth(meter: str, first: datetime, until: datetime, quality: Quality) -> list[Row]:
    """What the rows of (first, until] should be."""
    rows, times = [], 10 if meter == "E1" else 1
    while first < until:
        first += QUARTER
        rows.append((first, round(kwh(meter, first) * times * 1_000), int(quality)))
    return rows


class Plant:
    """A running Carbonstream in virtual time, and the readings of its meters."""

    def __init__(self, run: Running, folder: Path) -> None:
        self.run, self.folder, self.sent = run, folder, 0
        self.producer = kafka.producer(run.settings)
        self.at = BEGIN

    def send(self, meters: tuple[str, ...], first: datetime, until: datetime, mode: Mode = Mode.LIVE) -> None:
        """Quarter-hours that end in (first, until]."""
        lines, end = ["meter,time,value"], first
        while end < until:
            end += QUARTER
            lines += [f"330502-a/{m},{end.isoformat()},{kwh(m, end)}" for m in meters]
        self.sent += 1
        path = self.folder / f"{self.sent}.csv"
        path.write_text("\n".join(lines))
        report = replay(self.run.settings, path, Options(f"replay/{self.sent}", mode=mode))
        eventually(
            lambda: self.run.stored(report.source) == report.readings,
            f"{report.readings} readings are stored",
        )

    def tick(self, at: datetime) -> None:
        send_ticks(self.producer, self.run.settings, to_ms(at))
        assert self.producer.flush(30) == 0
        self.at = at

    def tick_on(self, first: datetime, last: datetime) -> None:
        """The next of steady ticks between these two, once there is an estimator to see them go on."""
        if self.query(ESTIMATOR):
            self.tick(min(max(self.at, first) + timedelta(seconds=2), last))

    def looked_past(self, end: datetime) -> None:
        """The estimator has looked for the intervals up to `end`: ticks go on until it has."""
        last = end + timedelta(minutes=15)  # with a minute of grace: before the next interval is due

        def has_looked() -> bool:
            rows = self.run.query("select looked_to from estimator_position")
            if rows and rows[0][0] >= end:
                return True
            self.tick_on(end, last)
            return False

        eventually(has_looked, f"the estimator has looked up to {end}", 240)

    def ticks_until(self, condition: Callable[[], bool], end: datetime) -> None:
        """Ticks go on until the condition holds; then the estimator may be anywhere on its way to `end`."""

        def holds() -> bool:
            self.tick_on(end, end + timedelta(minutes=8))
            return condition()

        eventually(holds, "the first estimates come", 240)

    def goes_on(self, meters: tuple[str, ...], first: datetime, until: datetime) -> None:
        """Some meters report and the clock goes on."""
        self.tick(until)
        self.send(meters, first, until)
        self.looked_past(until)

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        return self.run.query(statement)

    def of(self, meter: str, since: datetime) -> list[Row]:
        """Rows of a meter that end after `since`."""
        return self.run.query(ROWS, f"330502-a/{meter}", since)

    def gaps(self) -> list[tuple[str, datetime, datetime | None]]:
        return self.query(GAPS)

    def outcomes(self) -> dict[str, int]:
        """Estimates by what became of them."""
        report = ledger(self.run.settings, 60)
        found: Counter[str] = Counter()
        for line in report["by"]:
            if line["source"] == "estimator" and line["code"] is not None:
                found[line["code"]] += line["readings"]
        return {code: n for code, n in found.items() if n}

    def told(self, entity: str) -> dict[str, Any]:
        """The newest total of the month that subscribers of carbon.totals read."""
        found: dict[str, Any] = {}
        for message in messages(self.run.settings, topics.TOTALS):
            record = orjson.loads(message.value() or b"")
            if (record["entity"], record["grain"]) == (entity, "month"):
                found = Total.model_validate(record).model_dump(by_alias=True)
        return found

    def estimates(self) -> int:
        return int(self.run.query(ESTIMATES)[0][0])

    def eventually_estimates(self, count: int) -> None:
        eventually(lambda: self.estimates() == count, f"{count} intervals are estimated")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("plant")
    (folder / "sites.csv").write_text(SITES, encoding="utf-8")
    (folder / "meters.csv").write_text(METERS, encoding="utf-8")
    tables = {name: folder / f"{name}.csv" for name in ("sites", "meters")}
    with running(
        folder,
        services=SERVICES,
        is_covered=True,
        tables=tables,
        virtual_time=True,
        estimate_grace_s=60,
        estimate_silent_s=7 * 3_600,
    ) as run:
        plant = Plant(run, folder)
        eventually(lambda: run.query("select count(*) from outbox") == [(0,)], "reference data are told")
        plant.tick(STOPS)
        wait_until_in_force(run.settings, 90)
        plant.send(("E1", "E2", "E3"), BEGIN, STOPS - HOUR, Mode.BACKFILL)
        plant.send(("E4",), BEGIN, STOPS - HOUR, Mode.BACKFILL)  # an import that may go on
        plant.send(("E1", "E2", "E3"), STOPS - HOUR, STOPS)  # the third one's validity ends
        plant.looked_past(STOPS)
        yield plant


# The tests of this module go on from each other, in this order: one history.


@pytest.mark.timeout(600)
def test_a_meter_that_stops_for_an_hour_is_estimated_and_no_other(plant: Plant) -> None:
    plant.goes_on(("E2",), STOPS, STOPS + HOUR)
    plant.eventually_estimates(4)
    assert plant.of("E1", STOPS) == truth("E1", STOPS, STOPS + HOUR, Quality.REFERENCE_DAY)
    assert plant.gaps() == [("E1", STOPS, None), ("E4", STOPS - HOUR, None)]
    told = eventually(
        lambda: (t := plant.told("site:330502-a")) and t["estimated_share"] > 0 and t, "a share is estimated"
    )
    assert told["provisional"]
    assert told["coverage"] == 1
    assert told["completeness"] < 1


@pytest.mark.timeout(600)
def test_when_it_is_back_both_sides_tell_what_lies_between(plant: Plant) -> None:
    plant.goes_on(("E1", "E2"), STOPS + HOUR, STOPS + 2 * HOUR)
    eventually(
        lambda: {row[-1] for row in plant.of("E1", STOPS)[:4]} == {int(Quality.INTERPOLATED)},
        "the estimates lie on the line",
    )
    assert plant.of("E1", STOPS)[:4] == truth("E1", STOPS, STOPS + HOUR, Quality.INTERPOLATED)
    assert plant.gaps()[0] == ("E1", STOPS, STOPS + HOUR)


@pytest.mark.timeout(600)
def test_an_estimator_that_is_killed_misses_and_doubles_nothing(plant: Plant) -> None:
    first = STOPS + 2 * HOUR
    for hours in (0, 2, 4):
        before = plant.run.pid("estimator")
        plant.run.kill("estimator")
        plant.tick(first + (hours + 2) * HOUR)
        plant.send(("E2",), first + hours * HOUR, first + (hours + 2) * HOUR)
        eventually(lambda: plant.run.supervisor.pid("estimator") not in (None, before), "it is started again")  # noqa: B023
        if hours == 2:  # once more, in the middle
            plant.ticks_until(lambda: plant.estimates() > 4 + 8, first + 4 * HOUR)
            plant.run.kill("estimator")
        plant.looked_past(first + (hours + 2) * HOUR)
    plant.eventually_estimates(4 + 24)
    assert plant.of("E1", first) == truth("E1", first, first + 6 * HOUR, Quality.REFERENCE_DAY)
    assert plant.outcomes() == {"stored": 28, "superseded": 4}  # the four of the first hour were told anew


@pytest.mark.timeout(600)
def test_late_readings_make_everything_as_if_nothing_had_been_missing(plant: Plant) -> None:
    end = STOPS + 8 * HOUR
    share = plant.query("select sum(estimated), sum(quantity) from total_period where grain = 3")
    assert share[0][0] > 0
    plant.send(("E1",), STOPS, STOPS + HOUR)
    plant.send(("E1",), STOPS + 2 * HOUR, end)
    plant.eventually_estimates(0)
    for meter in ("E1", "E2"):
        assert plant.of(meter, BEGIN) == truth(meter, BEGIN, end, Quality.VALID)
    rows = plant.query("select count(*), sum(quantity) from reading")[0]
    site = plant.query("select readings, quantity, estimated from total_period t join entity e on e.number = t.entity "
                       "where e.kind = 'site' and t.grain = 3")  # fmt: skip
    assert site == [(*rows, 0)]
    assert plant.query("select count(*) from total_hour where estimated <> 0") == [(0,)]
    # 28 gave way to a measurement, 4 to a better estimate before
    corrections = plant.query(
        "select old_quality, new_quality, count(*) from correction group by 1, 2 order by 1, 2"
    )
    assert corrections == [(8, 0, 24), (8, 9, 4), (9, 0, 4)]
    report = ledger(plant.run.settings, 60)
    assert report["balanced"]
    assert report["accepted"] == report["stored"]
    assert report["superseded"] == {"readings": 0, "kwh": "0"}
    assert plant.outcomes() == {"superseded": 32}
    told = eventually(
        lambda: (t := plant.told("site:330502-a"))["estimated_share"] == 0 and t,
        "nothing is estimated any more",
    )
    assert told["oldest_missing"] == (STOPS - HOUR).isoformat()  # the fourth meter's


@pytest.mark.timeout(600)
def test_what_came_late_is_missing_no_more(plant: Plant) -> None:
    plant.goes_on(("E1", "E2"), STOPS + 8 * HOUR, STOPS + 10 * HOUR)
    eventually(lambda: [gap for gap in plant.gaps() if gap[0] != "E4"] == [], "the gap is closed")
    assert plant.estimates() == 0


@pytest.mark.timeout(600)
def test_a_meter_that_stays_away_is_silent_and_estimated_no_longer(plant: Plant) -> None:
    last = STOPS + 10 * HOUR
    plant.tick(last + 9 * HOUR)
    plant.send(("E2",), last, last + 9 * HOUR)
    plant.looked_past(last + 9 * HOUR)
    ends = [row[0] for row in plant.of("E1", last)]
    assert last + 6 * HOUR <= max(ends) <= last + 7 * HOUR  # the setting
    assert ends == [row[0] for row in truth("E1", last, max(ends), Quality.REFERENCE_DAY)]
    assert plant.gaps()[0] == ("E1", last, None)
