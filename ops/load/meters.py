"""meters.csv: meters of registered sites, with their dense numbers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields
from carbonstream.ops.load.changes import MAX_THOUSANDTHS, add_versions, multiplier
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.own_classes import fence_sinks
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.schemas.carriers import (
    CARRIER_BY_ID,
    CARRIER_BY_NUMBER,
    THOUSANDTHS,
    UNITS,
    thousandths_in,
    units_of,
)
from carbonstream.schemas.codes import MeterKind
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.shards import SHARDS, shard_of, site_of

COLUMNS: Final = (
    "meter_id", "carrier", "kind", "unit", "multiplier", "modulus", "interval_s", "boundary",
    "valid_from", "valid_to",
)  # fmt: skip
INCOMING: Final = (
    "meter_id", "site_id", "shard", "carrier", "kind", "unit", "multiplier", "modulus", "interval_s",
    "boundary", "valid_from", "valid_to",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Meter:
    row: Row
    meter_id: str
    carrier: str
    kind: str
    unit: str
    multiplier: Decimal
    modulus: Decimal | None
    interval_s: int
    boundary: bool
    valid_from: datetime
    valid_to: datetime | None


def load_meters(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Register meters, or change what may change of them.

    A meter keeps its carrier and kind, without which its stored quantities mean nothing, and whether it is a
    boundary meter, by which they were summed. Another multiplier counts from `now` on.
    """
    meters = _read(path, refusals)
    _refuse_unknown_sites(cursor, meters, refusals)
    _refuse_other_meaning(cursor, meters)
    _refuse_corrected(cursor, meters)
    meters = {id_: meter for id_, meter in meters.items() if meter.row.sound}
    _stage(cursor, meters)
    _version_multipliers(cursor, now)
    added = _add(cursor, now)
    changed = _change(cursor, now)
    return Counts(len(meters), added, changed)


def _read(path: Path, refusals: Refusals) -> dict[str, _Meter]:
    meters: dict[str, _Meter] = {}
    seen: dict[str, Row] = {}
    for row in read_rows(path, COLUMNS, refusals):
        meter = _Meter(
            row,
            row.take("meter_id", _meter_id),
            row.take("carrier", _carrier),
            row.take("kind", _kind),
            row.take("unit", _unit),
            row.take("multiplier", multiplier),
            row.take_optional("modulus", fields.positive),
            row.take("interval_s", fields.seconds),
            row.take("boundary", fields.flag),
            row.take("valid_from", fields.instant),
            row.take_optional("valid_to", fields.instant),
        )
        if row.sound:
            _check_together(meter)
        if unique(seen, row, "meter_id", row.values["meter_id"]) and row.sound:
            meters[meter.meter_id] = meter
    return meters


def _meter_id(text: str) -> str:
    try:
        site_of(text)
    except InvalidReading as error:
        raise ValueError(error.detail) from error
    return fields.identifier(text)


_carrier = fields.one_of(CARRIER_BY_ID)
_kind = fields.one_of([kind.value for kind in MeterKind])
_unit = fields.one_of(UNITS)


def _check_together(meter: _Meter) -> None:
    """What concerns two fields at once."""
    row, carrier = meter.row, CARRIER_BY_ID[meter.carrier]
    base, scale = THOUSANDTHS[meter.unit]
    fits = thousandths_in(meter.unit, carrier.base_unit) is not None
    if not fits:
        fitting = ", ".join(units_of(carrier.base_unit))
        row.refuse("unit", f"does not measure {meter.carrier}: take one of {fitting}")
    if meter.modulus is not None:
        thousandths = meter.modulus * Decimal(str(scale))
        if meter.kind != MeterKind.REGISTER:
            row.refuse("modulus", "only a register rolls over: leave it empty, or make the kind register")
        elif fits and base is not carrier.base_unit:
            row.refuse("modulus", f"is known in units of {carrier.base_unit} only: give unit and modulus so")
        elif thousandths != int(thousandths) or thousandths > MAX_THOUSANDTHS:
            row.refuse("modulus", f"must be whole thousandths of a {base} and at most 2^62 of them")
    if meter.valid_to is not None and meter.valid_to <= meter.valid_from:
        row.refuse("valid_to", f"must be after valid_from, {meter.row.values['valid_from']}")


def _refuse_unknown_sites(cursor: Rows, meters: dict[str, _Meter], refusals: Refusals) -> None:
    sites = {id_: site_of(id_) for id_ in meters}
    cursor.execute("select site_id from site where site_id = any(%s)", [sorted(set(sites.values()))])
    known = {site_id for (site_id,) in cursor}
    for id_, meter in meters.items():
        if sites[id_] in known:
            continue
        if f"site:{sites[id_]}" in refusals.unsound:
            meter.row.sound = False
        else:
            meter.row.refuse("meter_id", f"site {sites[id_]} is not registered: load it with --sites")


def _refuse_other_meaning(cursor: Rows, meters: dict[str, _Meter]) -> None:
    cursor.execute(
        "select meter_id, carrier, kind, boundary from meter where meter_id = any(%s)", [list(meters)]
    )
    for id_, carrier, kind, boundary in cursor:
        meter = meters[id_]
        for column, new, old in (
            ("carrier", meter.carrier, CARRIER_BY_NUMBER[carrier].id),
            ("kind", meter.kind, kind),
            ("boundary", str(meter.boundary).lower(), str(boundary).lower()),
        ):
            if new != old:
                meter.row.refuse(
                    column,
                    f"the meter is registered with {old} and its quantities are stored so: register a new id",
                )


def _refuse_corrected(cursor: Rows, meters: dict[str, _Meter]) -> None:
    """A file from before a correction must not bring the wrong multiplier back from now on."""
    cursor.execute(
        "select v.meter_id, v.multiplier, v.superseded_by, m.multiplier from meter_multiplier v "
        "join meter m using (meter_id) where v.meter_id = any(%s) and v.superseded_by is not null",
        [list(meters)],
    )
    for id_, wrong, correction, right in cursor:
        if meters[id_].row.sound and meters[id_].multiplier == wrong != right:
            meters[id_].row.refuse(
                "multiplier",
                f"was found wrong by correction {correction}: write {right.normalize():f}, or give a new one its date "
                "in multipliers.csv",
            )


def _stage(cursor: Rows, meters: dict[str, _Meter]) -> None:
    cursor.execute("drop table if exists incoming_meter")
    cursor.execute(
        """
        create temporary table incoming_meter (
          position int generated always as identity, meter_id text not null, site_id text not null,
          shard smallint not null, carrier smallint not null, kind text not null, unit text not null,
          multiplier numeric not null, modulus numeric, interval_s int not null, boundary boolean not null,
          valid_from timestamptz not null, valid_to timestamptz
        ) on commit drop
        """
    )
    with cursor.copy(f"copy incoming_meter ({', '.join(INCOMING)}) from stdin") as copy:
        for id_, m in meters.items():
            site = site_of(id_)
            carrier = CARRIER_BY_ID[m.carrier].number
            copy.write_row(
                (id_, site, shard_of(site), carrier, m.kind, m.unit, m.multiplier, m.modulus, m.interval_s,
                 m.boundary, m.valid_from, m.valid_to)
            )  # fmt: skip
    cursor.execute("analyze incoming_meter")


def _add(cursor: Rows, now: datetime) -> int:
    """New meters get the next slots of their shard, in the order of the file."""
    cursor.execute(
        """
        with added as (
          insert into meter (meter_id, number, site_id, carrier, kind, unit, multiplier, modulus,
                             interval_s, boundary, valid_from, valid_to, loaded_at)
          select i.meter_id,
                 (s.next + row_number() over (partition by i.shard order by i.position) - 1) * %(shards)s
                   + i.shard,
                 i.site_id, i.carrier, i.kind, i.unit, i.multiplier, i.modulus, i.interval_s, i.boundary,
                 i.valid_from, i.valid_to, %(now)s
          from incoming_meter i join slot s using (shard)
          where not exists (select from meter m where m.meter_id = i.meter_id)
          returning meter_id, number
        ), taken as (
          update slot set next = slot.next + a.meters
          from (select number %% %(shards)s as shard, count(*) as meters from added group by 1) a
          where slot.shard = a.shard
        )
        insert into changed select 'meter', meter_id from added
        """,
        {"shards": SHARDS, "now": now},
    )
    return cursor.rowcount


def _version_multipliers(cursor: Rows, now: datetime) -> None:
    cursor.execute(
        "select i.meter_id, i.multiplier from incoming_meter i join meter m using (meter_id) "
        "where i.multiplier <> m.multiplier order by i.position"
    )
    add_versions(cursor, [(meter_id, now, value) for meter_id, value in cursor.fetchall()], now)


def _change(cursor: Rows, now: datetime) -> int:
    cursor.execute(
        "select from incoming_meter i join meter m using (meter_id) where i.interval_s <> m.interval_s limit 1"
    )
    if cursor.fetchone() is not None:
        fence_sinks(cursor)  # they know which readings are due by it
    cursor.execute(
        """
        with updated as (
          update meter m set (unit, multiplier, modulus, interval_s, valid_from, valid_to, loaded_at) =
            (i.unit, i.multiplier, i.modulus, i.interval_s, i.valid_from, i.valid_to, %s)
          from incoming_meter i
          where i.meter_id = m.meter_id
            and (m.unit, m.multiplier, m.modulus, m.interval_s, m.valid_from, m.valid_to) is distinct from
                (i.unit, i.multiplier, i.modulus, i.interval_s, i.valid_from, i.valid_to)
          returning m.meter_id
        )
        insert into changed select 'meter', meter_id from updated
        """,
        [now],
    )
    return cursor.rowcount
