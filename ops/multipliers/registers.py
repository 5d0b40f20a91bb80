"""A register as the database knows it: its multipliers and exchanges over time, and its stored rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import psycopg

from carbonstream.processors.recomputing import ALWAYS, StoredRow
from carbonstream.processors.register_history import History, StoredExchange, StoredVersion, history_of
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import MeterKind
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import to_datetime
from carbonstream.schemas.shards import shard_of

Connection = psycopg.Connection[Any]
METER: Final = """
select m.number, m.site_id, m.carrier, m.kind, m.unit, m.multiplier, m.modulus, s.class
from meter m join site s using (site_id) where m.meter_id = %s
"""
VERSIONS: Final = """
select version, valid_from, multiplier, superseded_by is null from meter_multiplier where meter_id = %s
order by valid_from nulls first
"""
EXCHANGES: Final = """
select at, final_index, initial_index, modulus from register_exchange where meter_id = %s order by at
"""
# From the index at or before `since` on, up to the first one behind `until`.
ROWS: Final = """
select (extract(epoch from time) * 1000)::bigint, (extract(epoch from start) * 1000)::bigint, quantity, raw_index,
       multiplier_version, quality, flags
from reading
where meter = %(meter)s
  and time >= coalesce((select max(time) from reading where meter = %(meter)s and raw_index is not null
                        and time <= %(since)s::timestamptz), '-infinity')
  and time <= coalesce((select min(time) from reading where meter = %(meter)s and raw_index is not null
                        and time > %(until)s::timestamptz), 'infinity')
order by time
"""


@dataclass(frozen=True, slots=True)
class Register:
    """A meter of kind register. milli_of: every version's multiplier in thousandths, superseded ones too."""

    meter_id: str
    number: int
    site_id: str
    class_: int
    carrier: int
    history: History
    milli_of: dict[int, int]

    @property
    def shard(self) -> int:
        """Of its site."""
        return shard_of(self.site_id)

    @property
    def unit(self) -> str:
        """The base unit its indexes are sent again in."""
        return CARRIER_BY_NUMBER[self.carrier].base_unit.value


def register(connection: Connection, meter_id: str) -> Register:
    """A registered register. Raises LoadRefused where there is none of this id."""
    found = connection.execute(METER, [meter_id]).fetchone()
    if found is None:
        raise LoadRefused([f"meter: {meter_id!r}: is no registered meter: load it with `carbonstream load`"])
    number, site_id, carrier, kind, unit, multiplier, modulus, class_ = found
    if kind != MeterKind.REGISTER:
        raise LoadRefused(
            [
                f"meter: {meter_id!r}: keeps no indexes: send its readings again in mode backfill, with right values"
            ]
        )
    versions = connection.execute(VERSIONS, [meter_id]).fetchall() or [(1, None, multiplier, True)]
    history = history_of(
        unit,
        multiplier,
        modulus,
        [StoredVersion(*version) for *version, is_in_force in versions if is_in_force],
        [StoredExchange(*exchange) for exchange in connection.execute(EXCHANGES, [meter_id])],
    )
    return Register(
        meter_id, number, site_id, class_, carrier, history, {v: milli(value) for v, _, value, _ in versions}
    )


def milli(multiplier: Decimal) -> int:
    """A multiplier in thousandths."""
    return int(multiplier * 1_000)


def stored_rows(connection: Connection, number: int, since: int, until: int | None) -> list[StoredRow]:
    """Rows of the intervals that end after `since` and begin no later than `until` (UTC ms, ALWAYS, None: no end)."""
    values = {
        "meter": number,
        "since": "-infinity" if since == ALWAYS else to_datetime(since),
        "until": "infinity" if until is None else to_datetime(until),
    }
    return [StoredRow(*row) for row in connection.execute(ROWS, values)]


def as_instant(at: int | None) -> datetime | None:
    """UTC ms as the tables have them; None for ALWAYS and for no end."""
    return None if at is None or at == ALWAYS else to_datetime(at)
