"""An enterprise's first own coefficient: its totals move to classes of their own, all sums stay exact."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import psycopg
import pytest

from carbonstream.connectors.sinks.timescale.ownership import APPLICATION
from carbonstream.connectors.sinks.timescale.tables import STAGE_TOTAL, write_totals
from carbonstream.ops.load import load_files
from carbonstream.processors.directory import ENTRY, Directory
from carbonstream.processors.totals import Changes, total_changes
from carbonstream.schemas.settings import Settings

from .conftest import NOW, Connection, Write
from .files import COEFFICIENTS, FEED, METERS, SITES, STEEL

# ENT-1 and ENT-2 share class and park; ENT-1 has a second site in another park, and one without a park
OTHER = STEEL.replace("0001", "0002").replace("ENT-1,湖钢,Huzhou Steel", "ENT-2,二,two")
SECOND = STEEL.replace("0001", "0003").replace("PARK-1,南太湖园,South Taihu", "PARK-2,二园,second park")
THIRD = STEEL.replace("0001", "0004").replace("PARK-1,南太湖园,South Taihu", ",,")
OWN = "electricity,electricity_average,enterprise:ENT-1,2024-01,0.1,kgCO2/kWh,绿电合同,2024-02-01,me"
SNAPSHOT = """
select 1 as grain, bucket, entity, class, carrier, shard, readings, quantity, estimated from total_hour
union all select grain, bucket, entity, class, carrier, shard, readings, quantity, estimated from total_period
"""


@pytest.fixture
def readings(connection: Connection, write: Write) -> Changes:
    """Four sites with a meter each, and 800 stored rows of two months."""
    meters = [FEED.replace("0001/", f"000{n}/") for n in range(1, 5)]
    files = {
        "sites": write("sites", SITES, STEEL, OTHER, SECOND, THIRD),
        "meters": write("meters", METERS, *meters),
    }
    load_files(connection, files, NOW)
    numbers = np.array([row[0] for row in connection.execute("select number from meter order by 1")])
    chance = np.random.default_rng(1)
    start = 1_706_000_000_000 + chance.integers(0, 20 * 86_400, 800) * 1_000
    ones = np.ones(800, np.int64)
    return Changes(chance.choice(numbers, 800), start, ones, chance.integers(0, 10**9, 800), ones * 0)


def store(connection: Connection, readings: Changes) -> None:
    """As the sink does."""
    connection.execute(STAGE_TOTAL)
    connection.execute("delete from stage_total")
    with connection.cursor() as cursor:
        write_totals(cursor, total_changes(readings, directory(connection)))


def directory(connection: Connection) -> Directory:
    """The registered meters, as far as totals need them."""
    rows = connection.execute(
        """
        select m.number, s.entity, s.enterprise, coalesce(s.park, 0), s.class, m.carrier, s.shard
        from meter m join site s using (site_id)
        """
    ).fetchall()
    entries = np.zeros(max(row[0] for row in rows) + 1, ENTRY)
    for number, *values in rows:
        for name, value in zip(
            ("site", "enterprise", "park", "class", "carrier", "shard"), values, strict=True
        ):
            entries[name][number] = value
        entries["boundary"][number] = True
    return Directory(entries)


def snapshot(connection: Connection) -> set[tuple[object, ...]]:
    return set(connection.execute(SNAPSHOT).fetchall())


def give_own(connection: Connection, write: Write) -> None:
    load_files(connection, {"coefficients": write("coefficients", COEFFICIENTS, OWN)}, NOW)


def test_totals_are_what_they_had_been_if_the_class_had_been_its_own_from_the_start(
    connection: Connection, write: Write, readings: Changes
) -> None:
    store(connection, readings)
    before = snapshot(connection)
    give_own(connection, write)
    moved = snapshot(connection)
    assert moved != before
    connection.execute("delete from total_hour")
    connection.execute("delete from total_period")
    store(connection, readings)
    assert moved == snapshot(connection)


def test_the_enterprise_is_counted_with_its_own_coefficient_and_its_region_with_both(
    connection: Connection, write: Write, readings: Changes
) -> None:
    store(connection, readings)
    give_own(connection, write)
    rows = connection.execute(
        """
        select e.id, sum(t.quantity), sum(t.co2_kg) from entity e cross join lateral
          totals_of(array[e.number], 3::smallint, '2024-01-01', '2025-01-01') t
        where e.id in ('enterprise:ENT-1', 'enterprise:ENT-2', 'region:330502') group by 1
        """
    ).fetchall()
    quantity = {id_: wh for id_, wh, _ in rows}
    co2 = {id_: kg for id_, _, kg in rows}
    assert quantity["region:330502"] == quantity["enterprise:ENT-1"] + quantity["enterprise:ENT-2"]
    assert co2["enterprise:ENT-1"] == quantity["enterprise:ENT-1"] * Decimal("0.1") / 1000
    assert co2["enterprise:ENT-2"] == quantity["enterprise:ENT-2"] * Decimal("0.4974") / 1000
    assert co2["region:330502"] == co2["enterprise:ENT-1"] + co2["enterprise:ENT-2"]


def test_the_new_class_is_published_before_the_sites_and_meters_that_name_it(
    connection: Connection, write: Write, readings: Changes
) -> None:
    del readings
    connection.execute("delete from outbox")
    give_own(connection, write)
    rows = connection.execute("select topic, key, value from outbox order by id").fetchall()
    assert [(topic, key.partition(":")[0]) for topic, key, _ in rows if topic != "ref.coefficients"] == [
        ("ref.sites", "class"),
        ("ref.sites", "330502-0001"),
        ("ref.sites", "330502-0003"),
        ("ref.sites", "330502-0004"),
        *(("ref.meters", key) for topic, key, _ in rows if topic == "ref.meters"),
    ]
    assert rows[0][2]["scopes"][0] == "enterprise:ENT-1"
    assert {value["class"] for topic, _, value in rows if topic == "ref.meters"} == {rows[0][2]["class"]}


def test_a_later_site_of_the_enterprise_joins_its_class_and_a_second_coefficient_moves_nothing(
    connection: Connection, write: Write, readings: Changes
) -> None:
    del readings
    give_own(connection, write)
    later = OWN.replace("2024-01,0.1", "2024-02,0.2")
    fourth = STEEL.replace("0001", "0005")
    load_files(
        connection,
        {"sites": write("sites", SITES, fourth), "coefficients": write("coefficients", COEFFICIENTS, later)},
        NOW,
    )
    assert connection.execute(
        "select count(distinct s.class) from site s join entity e on e.number = s.enterprise "
        "where e.id = 'enterprise:ENT-1'"
    ).fetchone() == (1,)
    assert connection.execute("select count(*) from class where enterprise is not null").fetchone() == (1,)


def test_a_sink_that_knows_the_old_classes_loses_its_session(
    connection: Connection, packaged_settings: Settings, write: Write, readings: Changes
) -> None:
    del readings
    with psycopg.connect(packaged_settings.database, application_name=APPLICATION, autocommit=True) as sink:
        sink.execute("select 1")
        give_own(connection, write)
        with pytest.raises(psycopg.OperationalError):
            sink.execute("select 1")
