"""How much of a total was declared, not measured: from the rows that bear the flag."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carbonstream.api.ranges import Range
from carbonstream.api.services import Services
from carbonstream.api.totalling import Tally
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import to_datetime, to_ms

# Few meters are declared: their rows have an index of their own.
SQL: Final = """
select date_trunc(%(unit)s, r.start, 'Asia/Shanghai') as bucket, m.carrier, sum(r.quantity)::bigint as quantity
from (select distinct meter_id from declaration where sent_at is not null) d
join meter_counts m using (meter_id)
join site s using (site_id)
cross join lateral (values (s.entity, 1), (s.enterprise, 2), (s.park, 4), (s.class, 8)) as p (entity, level)
join entity_part ep on ep.part = p.entity and ep.entity = %(entity)s
join reading r on r.meter = m.meter and r.flags & 8 <> 0 and r.start >= m.valid_from
  and (m.valid_to is null or r.start < m.valid_to)
where m.levels & p.level <> 0 and r.time > %(from)s and r.time <= %(to)s
group by 1, 2
"""


@dataclass(frozen=True, slots=True)
class _Row:
    bucket: datetime
    carrier: int
    quantity: int


async def add_declared(
    here: Services, entity: int, grain: Grain, within: Range, by_bucket: dict[int, Tally]
) -> None:
    """Set `declared` of the tallies of an entity, by bucket start (UTC ms); as long as rows are kept."""
    bounds = {"from": to_datetime(within.start), "to": to_datetime(within.end)}
    for row in await here.database.rows(_Row, SQL, {"entity": entity, "unit": grain.name.lower(), **bounds}):
        tally = by_bucket.get(to_ms(row.bucket))
        if tally is not None:
            tally.declared[row.carrier] = row.quantity
