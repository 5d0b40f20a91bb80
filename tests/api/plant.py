"""A small world in a database: two enterprises, three sites, their readings, and totals summed from them by
SQL.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import psycopg

from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.shards import meter_number, shard_of

NOW: Final = datetime(2024, 3, 10, 12, 0, tzinfo=SHANGHAI)
STEEL, ANNEX, HEAT = "330502-0001", "330502-0002/annex", "330502-0003"
ELECTRICITY, GAS, STEAM = 1, 10, 2
QUARTER = timedelta(minutes=15)

REGIONS = [
    ("CN", "nation", None, None),
    ("GRID-EC", "grid", "CN", None),
    ("330000", "province", "CN", "GRID-EC"),
    ("330500", "city", "330000", None),
    ("330502", "county", "330500", None),
]
# carrier, scope, month, kind, value, published
COEFFICIENTS = [
    (
        ELECTRICITY,
        "region:330000",
        "2022-01-01",
        "electricity_average",
        "0.5153",
        "2024-01-01T00:00:00+08:00",
    ),
    (
        ELECTRICITY,
        "region:330000",
        "2023-01-01",
        "electricity_average",
        "0.4974",
        "2025-12-31T00:00:00+08:00",
    ),
    (ELECTRICITY, "region:CN", "2000-01-01", "calorific", "0.1229", "2020-10-01T00:00:00+08:00"),
    (STEAM, "region:CN", "2000-01-01", "heat", "0.110000000000000007", "2020-10-01T00:00:00+08:00"),
]


def found(connection: psycopg.Connection) -> None:
    """Reference data of the plant: everything but readings."""
    with connection.transaction():
        for code, level, parent, grid in REGIONS:
            connection.execute(
                "insert into region values (%s, %s, %s, %s, %s, %s)", (code, level, code, code, parent, grid)
            )
        connection.execute("insert into industry values ('3120', '炼钢', 'steelmaking', 'industry')")
        kinds = {"region": [r[0] for r in REGIONS], "industry": ["3120"], "domain": ["industry"]}
        kinds |= {"enterprise": ["ENT-1", "ENT-2"], "park": ["P-1"], "class": ["330502|3120"]}
        kinds |= {"site": [STEEL, ANNEX, HEAT]}
        for kind, ids in kinds.items():
            for id_ in ids:
                connection.execute(
                    "insert into entity (id, kind, name_zh, name_en) values (%s, %s, %s, %s)",
                    (f"{kind}:{id_}", kind, f"名{id_}", f"name {id_}"),
                )
        class_ = number(connection, "class:330502|3120")
        scopes = ["region:330502", "region:330500", "region:330000", "region:GRID-EC", "region:CN"]
        connection.execute(
            """insert into class
               values (%s, '330502', '330500', '330000', 'GRID-EC', '3120', 'industry', null, %s)""",
            (class_, scopes),
        )
        for kind, ids in kinds.items():
            for id_ in ids:
                itself = number(connection, f"{kind}:{id_}")
                part = class_ if kind in ("region", "industry", "domain") else itself
                connection.execute("insert into entity_part values (%s, %s)", (itself, part))
        for site, enterprise, park in (
            (STEEL, "ENT-1", "P-1"),
            (ANNEX, "ENT-2", None),
            (HEAT, "ENT-2", "P-1"),
        ):
            connection.execute(
                """insert into site (site_id, entity, shard, name_zh, name_en, enterprise, park, class)
                   values (%s, %s, %s, %s, %s, %s, %s, %s)""",
                (
                    site,
                    number(connection, f"site:{site}"),
                    shard_of(site),
                    site,
                    site,
                    number(connection, f"enterprise:{enterprise}"),
                    None if park is None else number(connection, f"park:{park}"),
                    class_,
                ),
            )
        meter(connection, STEEL, "E01", ELECTRICITY, "kWh")
        meter(connection, STEEL, "E02", ELECTRICITY, "kWh", boundary=False)
        meter(connection, ANNEX, "G01", GAS, "m3", kind="register")
        meter(connection, HEAT, "H01", STEAM, "MJ")
        for carrier, scope, month, kind, value, published in COEFFICIENTS:
            connection.execute(
                """insert into coefficient (carrier, scope, month, kind, value, unit, document, data_year,
                     published_at, approver)
                   values (%s, %s, %s, %s, %s::numeric, 'per unit', 'a document', 2022, %s, 'a person')""",
                (carrier, scope, month, kind, value, published),
            )


def number(connection: psycopg.Connection, entity: str) -> int:
    """An entity's number."""
    row = connection.execute("select number from entity where id = %s", (entity,)).fetchone()
    assert row is not None
    return int(row[0])


def meter(
    connection: psycopg.Connection,
    site: str,
    name: str,
    carrier: int,
    unit: str,
    *,
    kind: str = "interval",
    boundary: bool = True,
) -> None:
    """Register a quarter-hour meter, in service since 2024-01-01 local."""
    shard = shard_of(site)
    row = connection.execute(
        "update slot set next = next + 1 where shard = %s returning next - 1", (shard,)
    ).fetchone()
    assert row is not None
    connection.execute(
        """insert into meter (meter_id, number, site_id, carrier, kind, unit, multiplier, interval_s,
        boundary,
             valid_from) values (%s, %s, %s, %s, %s, %s, 1, 900, %s, '2024-01-01T00:00:00+08:00')""",
        (f"{site}/{name}", meter_number(shard, row[0]), site, carrier, kind, unit, boundary),
    )


def store(
    connection: psycopg.Connection,
    meter_id: str,
    first: datetime,
    quantities: list[int],
    *,
    quality: int = 0,
    raw_index: int | None = None,
    flags: int = 0,
) -> None:
    """Quarter-hours from `first` on, in thousandths; then all totals anew from the rows, in one
    transaction.
    """
    with connection.transaction():
        with connection.cursor() as cursor:
            cursor.executemany(
                """insert into reading (time, start, quantity, raw_index, meter, multiplier_version, quality,
                flags)
                   select %s, %s, %s, %s, number, 1, %s, %s from meter where meter_id = %s""",
                [
                    (first + (i + 1) * QUARTER, first + i * QUARTER, q, raw_index, quality, flags, meter_id)
                    for i, q in enumerate(quantities)
                ],
            )
        sum_up(connection)


def sum_up(connection: psycopg.Connection) -> None:
    """Totals of every entity from the rows, as the sink keeps them."""
    connection.execute("delete from total_hour")
    connection.execute("delete from total_period")
    part = """
        from reading r join meter m on m.number = r.meter and m.boundary join site s using (site_id)
        cross join lateral (values (s.entity), (s.enterprise), (s.park), (s.class)) p (entity)
        join entity e on e.number = p.entity
    """
    sums = (
        "count(*) filter (where r.quality not in (8, 9)), sum(r.quantity), "
        "coalesce(sum(r.quantity) filter (where r.quality in (8, 9)), 0)"
    )
    connection.execute(
        f"""insert into total_hour (bucket, entity, class, carrier, shard, readings, quantity, estimated)
            select date_trunc('hour', r.start), p.entity, s.class, m.carrier, s.shard, {sums} {part}
            group by 1, 2, 3, 4, 5"""
    )
    for grain, unit, only in ((2, "day", "where e.kind <> 'site'"), (3, "month", "")):
        connection.execute(
            f"""insert into total_period (bucket, entity, class, grain, carrier, shard, readings, quantity,
            estimated)
                select date_trunc('{unit}', r.start, 'Asia/Shanghai'), p.entity, s.class, {grain}, m.carrier,
                  s.shard, {sums} {part} {only} group by 1, 2, 3, 4, 5, 6"""
        )
