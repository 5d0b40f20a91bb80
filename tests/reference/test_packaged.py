"""What is packaged: regions, industries, and how they resolve."""

from __future__ import annotations

from decimal import Decimal

import pytest

from carbonstream.ops.load import load_files, load_packaged

from .conftest import NOW, Connection, Write
from .files import SITES

ASK = """
select k.scope, to_char(k.month, 'YYYY-MM'), k.value, k.document
from coefficient_for((select class from site where site_id = %s), 1::smallint, 'electricity_average', %s,
  %s) k
"""


def register(connection: Connection, write: Write, county: str) -> None:
    load_files(connection, {"sites": write("sites", SITES, f"S-1,一,one,ENT-1,企,ent,,,,{county},C31")}, NOW)


def test_loading_it_twice_publishes_nothing(connection: Connection) -> None:
    again = load_packaged(connection, NOW)
    assert {(counts.added, counts.changed) for counts in again.values()} == {(0, 0)}
    assert connection.execute("select count(*) from outbox").fetchone() == (0,)


def test_every_county_reaches_the_nation_and_one_grid_region(connection: Connection) -> None:
    counts = connection.execute(
        """
          select count(*) filter (where c.level = 'county'), count(*) filter (where c.level = 'county'
          and p.code = '330000' and p.grid = 'GRID-EC' and n.code = 'CN' and substr(c.code, 1, 4) || '00'
          = t.code)
        from region c join region t on t.code = c.parent join region p on p.code = t.parent
        join region n on n.code = p.parent
        """
    ).fetchone()
    assert counts == (90, 90)
    rows = connection.execute("select level, count(*) from region group by 1").fetchall()
    assert dict(rows) == {"nation": 1, "grid": 7, "province": 34, "city": 23, "county": 90}


def test_the_grid_regions_are_those_of_the_official_factors(connection: Connection) -> None:
    rows = connection.execute(
        "select grid, array_agg(substr(code, 1, 2) order by code) from region "
        "where level = 'province' group by 1"
    ).fetchall()
    assert {grid: " ".join(provinces) for grid, provinces in rows} == {
        "GRID-NC": "11 12 13 14 37",
        "GRID-NE": "21 22 23",
        "GRID-EC": "31 32 33 34 35",
        "GRID-CC": "36 41 42 43",
        "GRID-NW": "61 62 63 64 65",
        "GRID-SC": "44 45 46 52 53",
        "GRID-SW": "50 51 54",
        "CN": "71 81 82",
        None: "15",
    }


def test_every_division_of_mining_manufacturing_and_utilities_is_listed(connection: Connection) -> None:
    rows = connection.execute("select code from industry where code ~ '^[BCD]' order by code").fetchall()
    assert [code for (code,) in rows] == (
        [f"B{n:02}" for n in range(6, 13)] + [f"C{n}" for n in range(13, 44)] + ["D44", "D45", "D46"]
    )


def test_the_eight_domains_are_entities_and_every_industry_is_in_one(connection: Connection) -> None:
    domains = {id_ for (id_,) in connection.execute("select id from entity where kind = 'domain'")}
    assert len(domains) == 8
    used = {f"domain:{domain}" for (domain,) in connection.execute("select distinct domain from industry")}
    assert used == domains - {"domain:sinks"}


@pytest.mark.parametrize(
    ("as_of", "answer"),
    [
        ("infinity", ("330000", "2023-12", Decimal("0.4974"), "公告2025年第47号")),
        ("2025-12-31T00:00:00+08:00", ("330000", "2023-12", Decimal("0.4974"), "公告2025年第47号")),
        ("2025-12-30T00:00:00+08:00", ("330000", "2022-12", Decimal("0.5153"), "公告2024年第33号")),
        ("2024-06-01T00:00:00+08:00", ("330000", "2021-12", Decimal("0.5422"), "公告2024年第12号")),
        ("2024-01-01T00:00:00+08:00", None),
    ],
)
def test_zhejiang_in_may_2024_as_it_was_known_on_a_day(
    connection: Connection, write: Write, as_of: str, answer: tuple[str, str, Decimal, str] | None
) -> None:
    register(connection, write, "330502")
    assert connection.execute(ASK, ["S-1", "2024-05-01", as_of]).fetchone() == answer


@pytest.mark.parametrize(
    ("county", "scope", "value"),
    [
        ("540000", "GRID-SW", "0.2472"),
        ("710000", "CN", "0.5306"),
        ("810000", "CN", "0.5306"),
        ("820000", "CN", "0.5306"),
        ("150400", "150000", "0.6479"),
    ],
)
def test_a_province_without_a_value_falls_back_to_a_named_scope(
    connection: Connection, write: Write, county: str, scope: str, value: str
) -> None:
    register(connection, write, county)
    found = connection.execute(ASK, ["S-1", "2024-05-01", "infinity"]).fetchone()
    assert found is not None
    assert (found[0], found[2]) == (scope, Decimal(value))


@pytest.mark.parametrize(("league", "grid"), [("150500", "GRID-NE"), ("152500", "GRID-NC")])
def test_inner_mongolia_lies_in_two_grid_regions(
    connection: Connection, write: Write, league: str, grid: str
) -> None:
    register(connection, write, league)
    assert connection.execute("select grid from class").fetchone() == (grid,)
