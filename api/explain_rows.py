"""What an explanation reads of the database: rows, indexes, corrections, totals, coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

LIBRARY: Final = """
select id, carrier, kind, scope, month_index(month) as month, value, unit, components, document, data_year,
       published_at, (extract(epoch from published_at) * 1000)::bigint as published_ms, approver
from coefficient where carrier = any (%(carriers)s)
"""
LADDERS: Final = "select entity as class_, scopes from class where entity = any (%(classes)s)"
ROW: Final = """
select m.number, m.meter_id, m.site_id, m.kind, m.unit,
       coalesce(v.multiplier, m.multiplier) as multiplier, m.multiplier as meter_multiplier, m.modulus, m.boundary,
       m.carrier, s.class as class_, r.start, r.time as end, q.quantity, r.raw_index, r.multiplier_version,
       q.quality, r.flags, month_index(date(r.start at time zone 'Asia/Shanghai')) as month,
       q.quantity * k.value * 0.001 as co2_kg, q.quantity * e.value * 0.001 as kgce
from meter m join site s using (site_id) join carrier c on c.number = m.carrier
join lateral (
  select * from reading r where r.meter = m.number and r.time >= %(at)s and r.time <= %(latest)s and r.start <= %(at)s
  order by r.flags & 64, r.time limit 1  -- where a struck index left a row, the interval that spans it tells more
) r on true
left join meter_multiplier v on v.meter_id = m.meter_id and v.version = r.multiplier_version
left join lateral (
  select old_quantity, old_quality from correction x
  where x.meter = r.meter and x.time = r.time and x.recorded_at > %(as_of)s
  order by x.recorded_at, x.source_offset limit 1
) x on true
cross join lateral (
  select coalesce(x.old_quantity, r.quantity) as quantity, coalesce(x.old_quality, r.quality) as quality
) q
left join lateral coefficient_for(s.class, m.carrier, c.co2_kind,
  date_trunc('month', r.start at time zone 'Asia/Shanghai')::date, %(as_of)s) k on true
left join lateral coefficient_for(s.class, m.carrier, 'calorific',
  date_trunc('month', r.start at time zone 'Asia/Shanghai')::date, %(as_of)s) e on true
where m.meter_id = %(meter)s
"""
METER: Final = "select number, meter_id from meter where meter_id = %(meter)s"
CORRECTIONS: Final = """
select x.recorded_at, x.time as end, m.meter_id, x.old_quantity, x.old_quality, x.new_quantity, x.new_quality
from correction x join meter m on m.number = x.meter
where x.meter = any (%(meters)s) and x.time > %(from)s and x.time <= %(to)s
order by x.recorded_at desc limit %(limit)s
"""
ENTITY: Final = "select number, kind from entity where id = %(entity)s and kind <> 'class'"
STORED: Final = """
select coalesce(sum(readings), 0)::bigint as readings,
       case when bool_and(co2_kg is not null) then sum(co2_kg) end as co2_kg,
       case when bool_and(kgce is not null) then sum(kgce) end as kgce
from totals_as_of(array[%(number)s]::int[], %(grain)s::smallint, %(from)s, %(to)s, %(as_of)s)
"""
# Each row as it was at as_of: where a correction came later, what the first of them replaced.
ROWS: Final = """
with meters as (
  select m.number, m.meter_id, m.kind, m.multiplier, m.carrier, c.class, c.valid_from, c.valid_to
  from entity_part ep
  join counted_part c on c.part = ep.part
  join meter m on m.number = c.meter
  where ep.entity = %(number)s
)
select m.number, m.meter_id, m.kind, m.multiplier, m.carrier, m.class as class_,
       month_index(date(r.start at time zone 'Asia/Shanghai')) as month, coalesce(x.old_quality, r.quality) as quality,
       count(*)::int as readings, sum(coalesce(x.old_quantity, r.quantity))::numeric as quantity,
       min(r.raw_index) as first_index, max(r.raw_index) as last_index
from meters m
join reading r on r.meter = m.number
  and (m.valid_from is null or r.start >= m.valid_from and r.start < m.valid_to)
left join lateral (
  select old_quantity, old_quality from correction x
  where x.meter = r.meter and x.time = r.time and x.recorded_at > %(as_of)s
  order by x.recorded_at, x.source_offset limit 1
) x on true
where r.time > %(from)s and r.time <= %(to)s and r.start >= %(from)s and r.start < %(to)s
group by 1, 2, 3, 4, 5, 6, 7, 8
order by 2, 7, 8
"""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A stored interval with its meter, and its figures as the database computes them."""

    number: int
    meter_id: str
    site_id: str
    kind: str
    unit: str
    multiplier: Decimal  # of the row's version
    meter_multiplier: Decimal  # the newest
    modulus: Decimal | None
    boundary: bool
    carrier: int
    class_: int
    start: datetime
    end: datetime
    quantity: int
    raw_index: int | None
    multiplier_version: int
    quality: int
    flags: int
    month: int
    co2_kg: Decimal | None
    kgce: Decimal | None


@dataclass(frozen=True, slots=True)
class KnownMeter:
    """A registered meter."""

    number: int
    meter_id: str


@dataclass(frozen=True, slots=True)
class Correction:
    """A stored row that a later reading replaced."""

    recorded_at: datetime
    end: datetime
    meter_id: str
    old_quantity: int
    old_quality: int
    new_quantity: int
    new_quality: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """A class's scopes, nearest first."""

    class_: int
    scopes: list[str]


@dataclass(frozen=True, slots=True)
class KnownEntity:
    """An entity."""

    number: int
    kind: str


@dataclass(frozen=True, slots=True)
class StoredTotal:
    """A stored total."""

    readings: int
    co2_kg: Decimal | None
    kgce: Decimal | None


@dataclass(frozen=True, slots=True)
class RowSum:
    """Rows of one meter, month and quality as they were known. Quantities and indexes in thousandths."""

    number: int
    meter_id: str
    kind: str
    multiplier: Decimal
    carrier: int
    class_: int
    month: int
    quality: int
    readings: int
    quantity: Decimal
    first_index: int | None
    last_index: int | None
