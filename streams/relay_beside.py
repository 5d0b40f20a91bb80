"""What stands beside a total's metered figures on carbon.totals: fuels inferred from electricity, declared amounts.

Days and months only: a ratio is of a month, a declared amount is spread over days. Where no ratio is published and
nothing was declared, two look-ups of a pass are all it costs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from carbonstream.connectors.database import one_row
from carbonstream.processors.total_records import Fuel, Key, Span
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import next_bucket, to_datetime, to_ms

USED: Final = """
select exists (select from coefficient where carrier = 1 and kind like 'ratio_%%'),
       exists (select from declaration where sent_at is not null)
"""
INFERRED: Final = """
select entity, bucket, carrier, quantity, co2_kg, kgce
from inferred_of(%(entities)s::int[], %(grain)s::smallint, %(from)s, %(to)s)
"""
DECLARED: Final = """
select ep.entity, date_trunc(%(unit)s, r.start, 'Asia/Shanghai'), c.carrier, sum(r.quantity)::bigint
from (select distinct meter_id from declaration where sent_at is not null) d
join meter m using (meter_id)
join counted_part c on c.meter = m.number
join entity_part ep on ep.part = c.part and ep.entity = any (%(entities)s::int[])
join reading r on r.meter = m.number and r.flags & 8 <> 0
  and (c.valid_from is null or r.start >= c.valid_from and r.start < c.valid_to)
where r.time > %(from)s and r.time <= %(to)s
group by 1, 2, 3
"""


@dataclass(slots=True)
class Beside:
    """By total: inferred fuels, and by carrier how much of its quantity was declared (thousandths)."""

    inferred: defaultdict[Key, list[Fuel]] = field(default_factory=lambda: defaultdict(list))
    declared: defaultdict[Key, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))


def beside(connection: psycopg.Connection[Any], spans: Sequence[Span]) -> Beside:
    """What stands beside the totals of these spans, in the caller's snapshot."""
    found = Beside()
    of_days = [span for span in spans if span.grain is not Grain.HOUR]
    if not of_days:
        return found
    has_ratios, has_declared = one_row(connection, USED)
    for span in of_days:
        values = {
            "entities": sorted(span.entities),
            "grain": int(span.grain),
            "unit": span.grain.name.lower(),
            "from": to_datetime(span.first),
            "to": to_datetime(next_bucket(span.grain, span.last)),
        }
        if has_ratios:
            for entity, bucket, *fuel in connection.execute(INFERRED, values):
                found.inferred[Key(entity, span.grain, to_ms(bucket))].append(Fuel(*fuel))
        if has_declared:
            for entity, bucket, carrier, quantity in connection.execute(DECLARED, values):
                found.declared[Key(entity, span.grain, to_ms(bucket))][carrier] = quantity
    return found
