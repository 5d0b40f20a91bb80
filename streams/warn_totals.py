"""What warn reads of the database at a judgement: targets, what is expected of entities, and their totals.

Everything of one judgement comes from one snapshot (repeatable read).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from carbonstream.processors.expectation import Span
from carbonstream.processors.indicators import CO2
from carbonstream.processors.pace import LOOK_BACK_DAYS
from carbonstream.processors.phasing import Part
from carbonstream.processors.targets import Target
from carbonstream.processors.warnings_closing import LOOK_AHEAD_DAYS
from carbonstream.processors.warnings_judging import Day
from carbonstream.processors.warnings_record import UsedCoefficient
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, to_datetime, to_ms

Connection = psycopg.Connection[Any]
Ints = NDArray[np.int64]

TARGETS: Final = """
select t.entity, e.number, t.indicator, t.grain, t.period, t.value, t.levels, t.price_year,
       (select coalesce(array_agg(p.days order by p.part), '{}') from target_phase p
        where (p.entity, p.indicator, p.grain, p.period) = (t.entity, t.indicator, t.grain, t.period)),
       (select coalesce(array_agg(p.value order by p.part), '{}') from target_phase p
        where (p.entity, p.indicator, p.grain, p.period) = (t.entity, t.indicator, t.grain, t.period))
from target t join entity e on e.id = t.entity
order by t.entity, t.indicator, t.grain, t.period
"""
EXPECTED: Final = """
select ep.entity, s.shard, m.interval_s, m.valid_from, m.valid_to, count(*)
from meter_counts m
join site s using (site_id)
cross join lateral (values (s.entity, 1), (s.enterprise, 2), (s.park, 4), (s.class, 8)) as p (entity, level)
join entity_part ep on ep.part = p.entity
join unnest(%s::int[]) as asked (entity) on asked.entity = ep.entity  -- all who have targets: too many for = any
where m.levels & p.level <> 0
group by 1, 2, 3, 4, 5
"""
DAYS: Final = """
select entity, bucket, case when bool_and(co2_kg is not null) then sum(co2_kg) end,
       case when bool_and(kgce is not null) then sum(kgce) end
from totals_of(%s::int[], 2::smallint, %s, %s)
group by 1, 2
"""
# A site has no days of its own: they are sums of its hours.
READINGS: Final = """
select ep.entity, t.shard, t.bucket, sum(t.readings)
from entity_part ep
join total_period t on t.entity = ep.part and t.grain = 2
where ep.entity = any (%(entities)s) and t.bucket >= %(start)s and t.bucket < %(end)s
group by 1, 2, 3
union all
select e.number, t.shard, date_trunc('day', t.bucket, 'Asia/Shanghai'), sum(t.readings)
from entity e
join total_hour t on t.entity = e.number
where e.number = any (%(entities)s) and e.kind = 'site' and t.bucket >= %(start)s and t.bucket < %(end)s
group by 1, 2, 3
"""
LIVE: Final = """
select distinct ep.entity from entity_part ep
where ep.entity = any (%s) and exists (select from total_hour t where t.entity = ep.part and t.bucket >= %s)
"""
HOURS: Final = (
    "select entity, bucket, sum({amount}) from totals_of(%s::int[], 1::smallint, %s, %s) group by 1, 2"
)
NEWEST: Final = """
select ep.entity, t.shard, max(t.bucket) from entity_part ep join total_hour t on t.entity = ep.part
where ep.entity = any (%s) and t.bucket >= %s and t.bucket < %s
group by 1, 2
"""
PARTS: Final = """
with part as (
  select * from totals_of(%(entities)s::int[], 2::smallint, %(start)s, %(day)s)
  union all
  select * from totals_of(%(entities)s::int[], 1::smallint, %(day)s, %(until)s)
)
select p.entity, to_char(p.bucket at time zone 'Asia/Shanghai', 'YYYY-MM') as month, p.class, p.carrier,
       sum(p.readings)::int, sum(p.quantity), sum(p.estimated), k.id, to_char(k.month, 'YYYY-MM'), k.value,
       sum(p.{amount})
from part p join coefficient k on k.id = p.{coefficient}
group by 1, 2, 3, 4, 8, 9, 10
order by 1, 2, 3, 4
"""


def _columns(base: str) -> dict[str, str]:
    if base == CO2:
        return {"amount": "co2_kg", "coefficient": "coefficient"}
    return {"amount": "kgce", "coefficient": "kgce_coefficient"}


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of some entities in one period, by entity number.

    daily: day's start (UTC ms), LOOK_BACK_DAYS before the period too -> kg CO2 and kgce, None where a
    coefficient is missing; readings: shard -> int64[days + LOOK_AHEAD_DAYS], by day; live: entities with
    readings of late.
    """

    daily: Mapping[int, Mapping[int, tuple[Decimal | None, Decimal | None]]]
    readings: Mapping[int, Mapping[int, Ints]]
    live: frozenset[int]


def load_targets(connection: Connection) -> list[Target]:
    """All targets."""
    return [
        Target(
            entity,
            number,
            indicator,
            Grain(grain),
            period,
            value,
            tuple(levels),
            tuple(Part(n, share) for n, share in zip(days, shares, strict=True)),
            price_year,
        )
        for entity, number, indicator, grain, period, value, levels, price_year, days, shares in connection.execute(
            TARGETS
        )
    ]


def load_expected(connection: Connection, entities: Iterable[int]) -> dict[int, dict[int, list[Span]]]:
    """What each shard of each entity expects."""
    found: defaultdict[int, defaultdict[int, list[Span]]] = defaultdict(lambda: defaultdict(list))
    for entity, shard, interval_s, valid_from, valid_to, meters in connection.execute(
        EXPECTED, (sorted(set(entities)),)
    ):
        until = None if valid_to is None else to_ms(valid_to)
        found[entity][shard].append(Span(interval_s * 1_000, to_ms(valid_from), until, meters))
    return {entity: dict(shards) for entity, shards in found.items()}


def stored_clock(connection: Connection, partitions: int) -> int:
    """UTC ms: all that came before this tick is in the totals; 0 before each partition's first."""
    row = connection.execute(
        "select min(tick_ms), count(*) from position where partition < %s", (partitions,)
    ).fetchone()
    return int(row[0]) if row and row[1] == partitions else 0


def read_totals(connection: Connection, entities: list[int], start: int, end: int, live_since: int) -> Totals:
    """Totals of entities in the period [start, end), UTC ms, and of the days before it that rule pace looks at."""
    daily: defaultdict[int, dict[int, tuple[Decimal | None, Decimal | None]]] = defaultdict(dict)
    first = start - LOOK_BACK_DAYS * DAY_MS
    for entity, bucket, co2, kgce in connection.execute(DAYS, (entities, _at(first), _at(end))):
        daily[entity][to_ms(bucket)] = co2, kgce
    days = (end - start) // DAY_MS + LOOK_AHEAD_DAYS
    readings: defaultdict[int, dict[int, Ints]] = defaultdict(dict)
    span = {"entities": entities, "start": _at(start), "end": _at(end + LOOK_AHEAD_DAYS * DAY_MS)}
    for entity, shard, bucket, count in connection.execute(READINGS, span):
        of_shard = readings[entity].setdefault(shard, np.zeros(days, np.int64))
        of_shard[(to_ms(bucket) - start) // DAY_MS] += count
    live = frozenset(row[0] for row in connection.execute(LIVE, (entities, _at(live_since))))
    return Totals(daily, readings, live)


def read_days(connection: Connection, base: str, entities: Iterable[int], start: int) -> dict[int, Day]:
    """The hours of one day (start, UTC ms) of each entity; base: co2 or energy."""
    sums: dict[int, dict[int, Decimal]] = {entity: {} for entity in entities}
    newest: dict[int, dict[int, int]] = {entity: {} for entity in sums}
    span = sorted(sums), _at(start), _at(start + DAY_MS)
    for entity, bucket, amount in connection.execute(HOURS.format(**_columns(base)), span):
        sums[entity][to_ms(bucket)] = amount
    for entity, shard, bucket in connection.execute(NEWEST, span):
        newest[entity][shard] = to_ms(bucket)
    return {entity: Day(sums[entity], newest[entity]) for entity in sums}


def read_parts(
    connection: Connection, base: str, entities: Iterable[int], start: int, until: int
) -> dict[int, list[UsedCoefficient]]:
    """What the total of each entity from `start` up to `until` (UTC ms) is made of; base: co2 or energy."""
    found: dict[int, list[UsedCoefficient]] = {entity: [] for entity in entities}
    day = until - (until - start) % DAY_MS
    span = {"entities": sorted(found), "start": _at(start), "day": _at(day), "until": _at(until)}
    for entity, *row in connection.execute(PARTS.format(**_columns(base)), span):
        found[entity].append(UsedCoefficient(*row))
    return found


def _at(ms: int) -> datetime:
    return to_datetime(ms)
