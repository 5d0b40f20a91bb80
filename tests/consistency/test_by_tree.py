"""Whatever the meter tree: totals as of a time, explanations and gaps count a meter where the sink does."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from carbonstream.api.explain_rows import ROWS
from carbonstream.connectors.sinks.timescale.sink import load_directory
from carbonstream.connectors.sinks.timescale.tables import STAGE_TOTAL, write_totals
from carbonstream.processors.total_records import Key, Span
from carbonstream.processors.totals import Changes, total_changes
from carbonstream.schemas.codes import Grain, Quality
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, to_datetime
from carbonstream.streams.relay_beside import beside

from .conftest import DAY, FROM, TREE_ROWS, Park

BORDER = DAY + 6 * HOUR_MS
HOURS = 12
METERS = ("op/M", "a/E", "a/S", "b/E", "b/G", "x/E")
TOTALS, AS_OF = "totals_of", "totals_as_of"
FIGURES = {
    TOTALS: "select entity, bucket, class, carrier, quantity, estimated, co2_kg "
    "from totals_of(%s::int[], %s::smallint, %s, %s) where quantity <> 0 or estimated <> 0 order by 1, 2, 3, 4",
    AS_OF: "select entity, bucket, class, carrier, quantity, estimated, co2_kg "
    "from totals_as_of(%s::int[], %s::smallint, %s, %s, %s) where quantity <> 0 or estimated <> 0 order by 1, 2, 3, 4",
}
Figures = list[tuple[Any, ...]]


@st.composite
def trees(draw: st.DrawFn) -> dict[str, tuple[int, int]]:
    """Levels of some meters before and after BORDER."""
    levels = st.tuples(st.integers(0, 15), st.integers(0, 15))
    return draw(st.dictionaries(st.sampled_from(METERS), levels))


CHANGES = st.dictionaries(
    st.tuples(st.sampled_from(METERS), st.integers(0, HOURS - 1)),
    st.tuples(st.integers(0, 900), st.sampled_from([int(Quality.VALID), int(Quality.REFERENCE_DAY)])),
    max_size=8,
)


def plant(park: Park, tree: dict[str, tuple[int, int]]) -> dict[str, int]:
    """The park with nothing stored but what these levels sum."""
    for table in ("correction", "reading", "total_hour", "total_period", "meter_counting", "ledger"):
        with park.connection.transaction():
            park.connection.execute(sql.SQL("delete from {}").format(sql.Identifier(table)))
    numbers = dict(park.rows("select meter_id, number from meter"))
    with park.connection.transaction():
        for meter, (before, after) in tree.items():
            park.connection.execute(
                "insert into meter_counting values (%s, '1970-01-01', %s, %s), (%s, %s, 'infinity', %s)",
                [numbers[meter], to_datetime(BORDER), before, numbers[meter], to_datetime(BORDER), after],
            )
    for i, meter in enumerate(METERS):
        park.store(meter, [100 * (i + 1) + hour for hour in range(HOURS)])
    return numbers


def correct(park: Park, numbers: dict[str, int], changes: dict[tuple[str, int], tuple[int, int]]) -> None:
    """Rows replaced, with their totals and corrections, as the sink does it."""
    directory = load_directory(park.connection)
    with park.connection.transaction(), park.connection.cursor() as cursor:
        cursor.execute(STAGE_TOTAL)
        for (meter, hour), (quantity, quality) in changes.items():
            end = to_datetime(DAY + (hour + 1) * HOUR_MS)
            row = [numbers[meter], end]
            cursor.execute("select quantity, quality from reading where meter = %s and time = %s", row)
            (old, was) = cursor.fetchone() or (0, 0)
            cursor.execute(
                "update reading set quantity = %s, quality = %s where meter = %s and time = %s",
                [quantity, quality, *row],
            )
            cursor.execute(
                "insert into correction values (clock_timestamp(), 0, %s, %s, %s, %s, %s, %s, 0, 0)",
                [end, numbers[meter], old, was, quantity, quality],
            )
            is_estimate = quality == Quality.REFERENCE_DAY
            one = np.ones(1, np.int64)
            added = Changes(
                one * numbers[meter], one * (DAY + hour * HOUR_MS), -one * is_estimate, one * (quantity - old),
                one * quantity * is_estimate,
            )  # fmt: skip
            cursor.execute("truncate stage_total")
            write_totals(cursor, total_changes(added, directory))


def figures(park: Park, call: str, *more: Any) -> Figures:
    """Totals of all entities by all stored grains, those of nothing left out."""
    entities = [n for (n,) in park.rows("select number from entity where kind <> 'class' order by 1")]
    return [
        (grain, *row)
        for grain in (1, 2, 3)
        for row in park.rows(
            FIGURES[call],
            entities, grain, to_datetime(DAY), to_datetime(DAY + DAY_MS), *more,
        )
    ]  # fmt: skip


def now(park: Park) -> datetime:
    ((at,),) = park.rows("select clock_timestamp()")
    assert isinstance(at, datetime)
    return at


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees(), changes=CHANGES)
def test_totals_as_of_are_the_totals_of_that_time(
    park: Park, tree: dict[str, tuple[int, int]], changes: dict[tuple[str, int], tuple[int, int]]
) -> None:
    numbers = plant(park, tree)
    before, at = figures(park, TOTALS), now(park)
    correct(park, numbers, changes)
    later = now(park) + timedelta(seconds=1)
    assert figures(park, AS_OF, at) == before
    assert figures(park, AS_OF, later) == figures(park, TOTALS)
    for when in (at, later):
        assert explained(park, when) == summed(figures(park, AS_OF, when))


def summed(found: Figures) -> dict[tuple[int, int], int]:
    return {(row[1], row[4]): int(q) for row in merged(found) if (q := row[5])}


def merged(found: Figures) -> Figures:
    """Day totals with their classes added up."""
    sums: defaultdict[tuple[Any, ...], int] = defaultdict(int)
    for grain, entity, bucket, _, carrier, quantity, *_ in found:
        if grain == 2:
            sums[grain, entity, bucket, None, carrier] += quantity
    return [(*key, quantity) for key, quantity in sums.items()]


def explained(park: Park, when: datetime) -> dict[tuple[int, int], int]:
    """The same from the rows that an explanation names."""
    found: defaultdict[tuple[int, int], int] = defaultdict(int)
    for (entity,) in park.rows("select number from entity where kind <> 'class'"):
        values = {"number": entity, "from": to_datetime(DAY), "to": to_datetime(DAY + DAY_MS), "as_of": when}
        with park.connection.transaction():
            for _, _, _, _, carrier, _, _, _, _, quantity, *_ in park.connection.execute(ROWS, values):
                found[entity, carrier] += int(quantity)
    return {key: quantity for key, quantity in found.items() if quantity}


def test_a_gap_is_told_where_the_meter_counts(park: Park) -> None:
    park.load(tree=TREE_ROWS)
    with park.connection.transaction():
        park.connection.execute(
            "insert into estimator_position (looked_to) values (%s)", [to_datetime(DAY + DAY_MS)]
        )
        park.connection.execute(
            "insert into gap select number, %s, %s from meter where meter_id in ('a/E', 'a/S')",
            [to_datetime(DAY), to_datetime(DAY + HOUR_MS)],
        )
    span = [to_datetime(DAY)], [to_datetime(DAY + DAY_MS)]
    found = {
        entity: park.rows(
            "select count(*) from oldest_missing((select array_agg(number) from entity where id = %s), %s, %s)",
            entity, *span,
        )[0][0]
        for entity in ("site:a", "enterprise:ENT-A", "region:330502", "park:P-1")
    }  # fmt: skip
    # the park is its master meter, which misses nothing
    assert found == {"site:a": 1, "enterprise:ENT-A": 1, "region:330502": 1, "park:P-1": 0}


RATIO = "electricity,ratio_natural_gas,CN,2026-03,0.5,m3/kWh,survey,2026-03-01,test"


def test_fuel_is_inferred_of_electricity_once_and_displaced_by_the_meter_that_counts(park: Park) -> None:
    park.load(tree=(*TREE_ROWS, f"b/G,sub,,{FROM},"), coefficients=(RATIO,))
    for meter, amount in (("op/M", 5_000), ("a/E", 2_000), ("b/E", 2_000)):
        park.store(meter, [amount] * 2)
    assert inferred(park) == {"site:a": 2_000, "site:b": 2_000, "park:P-1": 5_000, "region:330500": 4_000}


def test_a_tenants_fuel_meter_displaces_what_its_master_measures_of_it(park: Park) -> None:
    park.load(tree=TREE_ROWS, coefficients=(RATIO,))
    for meter, amount in (("op/M", 5_000), ("a/E", 2_000), ("b/E", 2_000)):
        park.store(meter, [amount] * 2)
    assert inferred(park) == {"site:a": 2_000, "park:P-1": 3_000, "region:330500": 2_000}


def test_a_parks_master_of_a_fuel_displaces_all_that_would_be_inferred_of_the_park(park: Park) -> None:
    park.load(tree=(*TREE_ROWS, f"b/G,master,,{FROM},"), coefficients=(RATIO,))
    park.store("op/M", [5_000] * 2)
    park.store("a/E", [2_000] * 2)
    assert inferred(park) == {"site:a": 2_000, "region:330500": 2_000}


def inferred(park: Park) -> dict[str, int]:
    """Thousandths of gas of the day."""
    rows = park.rows(
        "select e.id, sum(i.quantity)::bigint from entity e cross join lateral "
        "inferred_of(array[e.number], 2::smallint, %s, %s) i "
        "where e.id in ('site:a', 'site:b', 'park:P-1', 'region:330500') group by 1",
        to_datetime(DAY), to_datetime(DAY + DAY_MS),
    )  # fmt: skip
    return dict(rows)  # type: ignore[arg-type]


def test_what_is_inferred_stands_beside_a_total_of_a_day_or_month_and_of_no_hour(park: Park) -> None:
    park.load(tree=TREE_ROWS, coefficients=(RATIO,))
    park.store("op/M", [5_000] * 2)
    ((entity,),) = park.rows("select number from entity where id = 'park:P-1'")
    spans = [Span(grain, frozenset([entity]), DAY, DAY) for grain in (Grain.HOUR, Grain.DAY, Grain.MONTH)]
    with park.connection.transaction():
        found = beside(park.connection, spans)
    keys = [Key(entity, Grain.DAY, DAY), Key(entity, Grain.MONTH, DAY)]
    assert list(found.inferred) == keys
    for key in keys:
        (fuel,) = found.inferred[key]
        assert (fuel.carrier, fuel.quantity) == (10, 5_000)
