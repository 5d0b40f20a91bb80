"""A register's interval from its indexes: computed once more as convert does, beside what is stored of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from carbonstream.api.database import Snapshot
from carbonstream.api.explain_rows import StoredRow
from carbonstream.processors.explanation import base_units
from carbonstream.processors.register_history import StoredExchange, StoredVersion, history_of
from carbonstream.processors.total_records import text
from carbonstream.schemas.codes import MeterKind
from carbonstream.schemas.periods import local_iso, local_text, to_ms

# An interval is cut at local hours, and its last part alone bears the index it ends at.
INTERVAL: Final = """
select r.time as end, r.raw_index, b.time as previous_time, b.raw_index as previous, (
    select sum(p.quantity) from reading p where p.meter = r.meter and p.time > b.time and p.time <= r.time
  ) as quantity
from (select * from reading where meter = %(meter)s and time >= %(end)s and raw_index is not null
      order by time limit 1) r
left join lateral (
  select time, raw_index from reading b
  where b.meter = r.meter and b.time < r.time and b.raw_index is not null order by time desc limit 1
) b on true
"""
VERSIONS: Final = """
select version, valid_from, multiplier from meter_multiplier
where meter_id = %(meter_id)s and superseded_by is null order by valid_from nulls first
"""
EXCHANGES: Final = """
select at, final_index, initial_index, modulus from register_exchange where meter_id = %(meter_id)s order by at
"""


@dataclass(frozen=True, slots=True)
class _Interval:
    end: datetime
    raw_index: int
    previous_time: datetime | None  # None: it is the register's first index
    previous: int | None
    quantity: Decimal | None


async def indexes_of(snapshot: Snapshot, row: StoredRow) -> dict[str, Any] | None:
    """Both indexes of the interval that a row is of, exchanges within, and what lies between; None: no register.

    `equal`: whether that is what is stored of it, today; null where there is no index before. While the intervals of a
    corrected multiplier are recomputed, those to come are not equal.
    """
    if row.kind != MeterKind.REGISTER:
        return None
    values = {"meter": row.number, "meter_id": row.meter_id, "end": row.end}
    found = await snapshot.rows(_Interval, INTERVAL, values)
    if not found:
        return None
    interval = found[0]
    known: dict[str, Any] = {
        "index": base_units(interval.raw_index),
        "time": local_text(interval.end),
        "previous": None,
        "equal": None,
    }
    if interval.previous is None or interval.previous_time is None or interval.quantity is None:
        return known
    history = history_of(
        row.unit,
        row.meter_multiplier,
        row.modulus,
        await snapshot.rows(StoredVersion, VERSIONS, values),
        await snapshot.rows(StoredExchange, EXCHANGES, values),
    )
    start, end = to_ms(interval.previous_time), to_ms(interval.end)
    between = history.energy(start, interval.previous, end, interval.raw_index)
    return known | {
        "previous": base_units(interval.previous),
        "previous_time": local_text(interval.previous_time),
        "exchanges": [
            {
                "at": local_iso(x.at),
                "final": base_units(x.final),
                "initial": base_units(x.initial),
                "multiplier": text(Decimal(history.in_force(x.at).milli).scaleb(-3)),
            }
            for x in history.crossed(start, interval.previous, end)
        ],
        "between": None if between is None else base_units(between),
        "stored": base_units(interval.quantity),
        "equal": between is not None and between == interval.quantity,
    }
