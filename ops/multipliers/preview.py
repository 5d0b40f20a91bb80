"""What a corrected multiplier would change: entities' totals before and after, and the months that were reported."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np

from carbonstream.ops.multipliers.registers import Connection, Register
from carbonstream.processors.apportion import apportion
from carbonstream.processors.metering import Level
from carbonstream.processors.recomputing import Recomputed
from carbonstream.processors.total_records import EXACT, exact, text
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.periods import month_index, month_text, to_ms

SPANS: Final = "select valid_from, valid_to, levels from meter_counts where meter = %s"
ENTITIES: Final = """
select p.level, e.number, e.id
from site s
cross join lateral (values (1, s.entity), (2, s.enterprise), (4, s.park), (8, s.class)) as p (level, part)
join entity_part ep on ep.part = p.part
join entity e on e.number = ep.entity and e.kind <> 'class'
where s.site_id = %s
"""
TOTALS: Final = """
select t.entity, sum(t.quantity) filter (where t.carrier = %(carrier)s),
       case when bool_and(t.co2_kg is not null) then sum(t.co2_kg) end,
       case when bool_and(t.kgce is not null) then sum(t.kgce) end
from unnest(%(months)s::date[]) as m (month)
cross join lateral totals_of(%(entities)s::int[], 3::smallint, m.month::timestamp at time zone 'Asia/Shanghai',
  (m.month + interval '1 month')::timestamp at time zone 'Asia/Shanghai') t
group by 1
"""
COEFFICIENTS: Final = """
select m.month, k.value, e.value from unnest(%(months)s::date[]) as m (month)
join carrier c on c.number = %(carrier)s
left join lateral coefficient_for(%(class)s, c.number, c.co2_kind, m.month, 'infinity') k on true
left join lateral coefficient_for(%(class)s, c.number, 'calorific', m.month, 'infinity') e on true
"""
LOCKED: Final = """
select e.id, l.month, l.document from locked_period l join entity e on e.number = l.entity
where l.entity = any (%s) and l.month = any (%s) order by 2, 1
"""


@dataclass(frozen=True, slots=True)
class _Delta:
    """What is added to an entity: thousandths, kg CO2 and kgce (None: no coefficient)."""

    quantity: int
    figures: tuple[Decimal | None, Decimal | None]


def preview(connection: Connection, register: Register, wrong: Sequence[Recomputed]) -> dict[str, Any]:
    """Months, entities with their old and new totals of those months, and which of them were reported (locked)."""
    by_level = _by_level_and_month(connection, register, wrong)
    months = sorted({month for _, month in by_level})
    days = [date.fromisoformat(f"{month_text(month)}-01") for month in months]
    given = {"months": days, "carrier": register.carrier, "class": register.class_}
    values = {day: pair for day, *pair in connection.execute(COEFFICIENTS, given)}
    deltas: defaultdict[tuple[int, str], list[_Delta]] = defaultdict(list)
    for level, number, id_ in connection.execute(ENTITIES, [register.site_id]).fetchall():
        for month, day in zip(months, days, strict=True):
            if quantity := by_level.get((Level(level), month), 0):
                co2, kgce = (None if v is None else EXACT.multiply(Decimal(quantity), v) for v in values[day])
                deltas[number, id_].append(_Delta(quantity, (co2, kgce)))
    numbers = [number for number, _ in deltas]
    old = {n: found for n, *found in connection.execute(TOTALS, given | {"entities": numbers})}
    return {
        "months": [month_text(month) for month in months],
        "intervals": len(wrong),
        "entities": [_entity(id_, register, old[n], added) for (n, id_), added in sorted(deltas.items())],
        "locked": [
            {"entity": id_, "month": day.strftime("%Y-%m"), "document": document}
            for id_, day, document in connection.execute(LOCKED, [numbers, days])
        ],
    }


def _by_level_and_month(
    connection: Connection, register: Register, wrong: Sequence[Recomputed]
) -> dict[tuple[Level, int], int]:
    """Thousandths that are added at each level of totals in each local month."""
    if not wrong:
        return {}
    start = np.array([w.interval.start for w in wrong], np.int64)
    end = np.array([w.interval.end for w in wrong], np.int64)
    new = apportion(start, end, np.array([w.quantity for w in wrong], np.int64))
    before = apportion(start, end, np.array([w.interval.quantity for w in wrong], np.int64))
    delta, month = new.quantity - before.quantity, month_index(new.start)
    found: defaultdict[tuple[Level, int], int] = defaultdict(int)
    for since, until, levels in connection.execute(SPANS, [register.number]):
        within = new.start >= to_ms(since)
        if until is not None:
            within &= new.start < to_ms(until)
        for level in Level:
            if Level(levels) & level:
                for m in np.unique(month[within]).tolist():
                    found[level, m] += int(delta[within & (month == m)].sum())
    return found


def _entity(id_: str, register: Register, old: list[Decimal | None], added: list[_Delta]) -> dict[str, Any]:
    quantity, *figures = old
    after = EXACT.add(quantity or Decimal(0), Decimal(sum(d.quantity for d in added)))
    shown: dict[str, Any] = {
        "entity": id_,
        "carrier": CARRIER_BY_NUMBER[register.carrier].id,
        "quantity": {
            "old": exact(EXACT.scaleb(quantity or Decimal(0), -3)),
            "new": exact(EXACT.scaleb(after, -3)),
            "unit": register.unit,
        },
    }
    for i, name in enumerate(("co2_kg", "kgce")):
        new = figures[i]
        for delta in added:
            part = delta.figures[i]
            new = None if new is None or part is None else EXACT.add(new, EXACT.scaleb(part, -3))
        shown[name] = {"old": text(figures[i]), "new": text(new)}
    return shown
