"""Declarations in the database, and on their way to meter.readings.

Exactly once: an approval gives the declaration the next seq of its shard, and what is approved and not marked sent is
sent again in that order under a lock; convert takes a seq once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg

from carbonstream.connectors import kafka
from carbonstream.connectors.locks import SPACE, Only
from carbonstream.connectors.sources.framing import Columns, Stamp, headers, record
from carbonstream.connectors.sources.replay.sending import GAPLESS
from carbonstream.ops.load import fields
from carbonstream.ops.load.rows import Refusals, Row, read_rows
from carbonstream.processors.declared import MAX_DAYS, SOURCE, by_days, by_stock, in_thousandths
from carbonstream.processors.plain_text import not_negative
from carbonstream.schemas import topics
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER, UNITS
from carbonstream.schemas.codes import MeterKind, Mode
from carbonstream.schemas.errors import LoadRefused, NotReady
from carbonstream.schemas.periods import DAY_MS, SHANGHAI, to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of, shard_of, site_of

Connection = psycopg.Connection[Any]
FLUSH_S: Final = 30.0
COLUMNS: Final = (
    "meter_id", "first_day", "last_day", "opening", "purchases", "closing", "amount", "unit", "document",
)  # fmt: skip
STOCK: Final = ("opening", "purchases", "closing")
ALL: Final = """
select id, meter_id, first_day, last_day, amount::text, unit, document, declared_by, approved_by,
       case when sent_at is not null then 'sent' when approved_by is not null then 'approved' else 'pending' end
from declaration where %(id)s::bigint is null or id = %(id)s order by id
"""
UNSENT: Final = """
select d.id, d.meter_id, d.first_day, d.last_day, d.thousandths, d.shard, d.seq, m.carrier
from declaration d join meter m using (meter_id)
where d.approved_by is not null and d.sent_at is null order by d.shard, d.seq
"""


@dataclass(frozen=True, slots=True)
class _Declared:
    meter_id: str
    first: date
    last: date
    stock: tuple[Decimal | None, ...]
    amount: Decimal
    unit: str
    thousandths: int
    document: str


def declare(connection: Connection, path: Path, by: str, now: datetime) -> list[dict[str, Any]]:
    """Write down a file's declarations, to be approved: all of them or none.

    Raises LoadRefused with every error as FILE:LINE: FIELD: VALUE: REMEDY.
    """
    refusals = Refusals()
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("lock table declaration in share row exclusive mode")
        ids: list[int] = []
        for row in read_rows(path, COLUMNS, refusals):
            found = _read(cursor, row, now)
            if found is None or not _fits(cursor, row, found):
                continue
            cursor.execute(
                """
                insert into declaration (meter_id, first_day, last_day, opening, purchases, closing, amount, unit,
                  thousandths, document, declared_by, declared_at, shard)
                values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning id
                """,
                [found.meter_id, found.first, found.last, *found.stock, found.amount, found.unit,
                 found.thousandths, found.document, by, now, shard_of(site_of(found.meter_id))],
            )  # fmt: skip
            ids += [number for (number,) in cursor]
        refusals.raise_if_any()
    return [line for line in listed(connection) if line["id"] in ids]


def _read(cursor: psycopg.Cursor[Any], row: Row, now: datetime) -> _Declared | None:
    meter_id = row.take("meter_id", fields.identifier)
    first, last = row.take("first_day", _day), row.take("last_day", _day)
    unit, document = row.take("unit", fields.one_of(UNITS)), row.take("document", fields.name)
    stock = tuple(row.take_optional(column, not_negative) for column in STOCK)
    amount = row.take_optional("amount", not_negative)
    if not row.sound:
        return None
    opening, purchases, closing = stock
    if opening is not None and purchases is not None and closing is not None and amount is None:
        try:
            amount = by_stock(opening, purchases, closing)
        except ValueError as error:
            row.refuse("closing", str(error))
            return None
    elif amount is None or any(part is not None for part in stock):
        row.refuse("amount", "give either the amount, or opening, purchases and closing stock")
        return None
    if not first <= last < now.astimezone(SHANGHAI).date() or (last - first).days >= MAX_DAYS:
        row.refuse("last_day", f"must be past, not before first_day and within {MAX_DAYS} days of it")
        return None
    cursor.execute("select kind, multiplier, interval_s, carrier from meter where meter_id = %s", [meter_id])
    meter = cursor.fetchone()
    if meter is None:
        row.refuse("meter_id", "is no registered meter: load it with `carbonstream load meters.csv`")
        return None
    kind, multiplier, interval_s, carrier = meter
    if (kind, multiplier, interval_s * 1_000) != (MeterKind.INTERVAL, 1, DAY_MS):
        row.refuse(
            "meter_id", "declare for a meter of its own: kind interval, multiplier 1, interval_s 86400"
        )
        return None
    try:
        thousandths = in_thousandths(amount, unit, CARRIER_BY_NUMBER[carrier])
    except ValueError as error:
        row.refuse("unit", str(error))
        return None
    return _Declared(meter_id, first, last, stock, amount, unit, thousandths, document)


def _day(text: str) -> date:
    return fields.local_day(text).date()


def _fits(cursor: psycopg.Cursor[Any], row: Row, found: _Declared) -> bool:
    """Whether no other period of the meter overlaps; the same period again is a revision."""
    cursor.execute(
        "select id, first_day, last_day from declaration where meter_id = %s and first_day <= %s and last_day >= %s "
        "and (first_day, last_day) <> (%s, %s) limit 1",
        [found.meter_id, found.last, found.first, found.first, found.last],
    )
    other = cursor.fetchone()
    if other is not None:
        row.refuse(
            "first_day",
            f"overlaps declaration {other[0]} of {other[1]} to {other[2]}: declare that period again, or another one",
        )
    return other is None


def approve(connection: Connection, number: int, by: str, now: datetime) -> None:
    """Approve a declaration as a second person. Raises LoadRefused where it cannot be."""
    with connection.transaction():
        connection.execute("lock table declaration in share row exclusive mode")
        found = connection.execute(
            "select declared_by, approved_by, shard from declaration where id = %s", [number]
        ).fetchone()
        if found is None:
            raise LoadRefused(
                [f"declaration {number} is not known: `carbonstream declare --list` shows them"]
            )
        declared_by, approved_by, shard = found
        if approved_by is not None:
            raise LoadRefused([f"declaration {number} is approved already, by {approved_by}"])
        if declared_by == by:
            raise LoadRefused([f"declaration {number} is {by}'s own: a second person has to approve it"])
        connection.execute(
            """
            update declaration set approved_by = %s, approved_at = %s,
              seq = (select coalesce(max(seq), -1) + 1 from declaration where shard = %s)
            where id = %s
            """,
            [by, now, shard, number],
        )


def send_approved(
    connection: Connection, config: Settings, now_ms: Callable[[], int] | None = None
) -> list[int]:
    """Send what is approved and not marked sent; the ids, once Kafka has acknowledged them.

    Raises NotReady where Kafka does not: call again to go on.
    """
    clock = now_ms or (lambda: time.time_ns() // 1_000_000)
    producer = kafka.producer(config, **GAPLESS)
    topic, partitions = config.topic(topics.READINGS), config.partitions_of(topics.READINGS)
    stamp = Stamp(SOURCE, Mode.BACKFILL, clock())
    errors: list[str] = []
    sent: list[int] = []
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s, %s)", (SPACE, int(Only.DECLARE)))
        for number, meter_id, first, last, thousandths, shard, seq, carrier in connection.execute(
            UNSENT
        ).fetchall():
            columns = _columns(
                meter_id, by_days(thousandths, first, last), CARRIER_BY_NUMBER[carrier].base_unit
            )
            producer.produce(
                topic,
                record(stamp, shard, seq, columns),
                partition=partition_of(shard, partitions),
                headers=headers(stamp, shard, seq),  # type: ignore[arg-type]
                on_delivery=lambda error, _: errors.append(str(error)) if error is not None else None,
            )
            sent.append(number)
        if producer.flush(FLUSH_S) or errors:
            producer.purge()
            raise NotReady(
                f"Kafka did not take the declarations ({'; '.join(errors) or 'no answer'}); call again"
            )
        connection.execute("update declaration set sent_at = now() where id = any (%s)", [sent])
    return sent


def _columns(meter_id: str, days: list[tuple[date, int]], unit: str) -> Columns:
    starts = np.array([to_ms(datetime(d.year, d.month, d.day, tzinfo=SHANGHAI)) for d, _ in days], np.int64)
    amounts = (
        np.array([amount for _, amount in days], np.float64) / 1_000
    )  # convert rounds it back: below 2^53
    return Columns([meter_id], np.zeros(len(days), np.int64), starts, starts + DAY_MS, amounts, str(unit))


def listed(connection: Connection, number: int | None = None) -> list[dict[str, Any]]:
    """Declarations, oldest first."""
    names = (
        "id",
        "meter",
        "first_day",
        "last_day",
        "amount",
        "unit",
        "document",
        "declared_by",
        "approved_by",
        "state",
    )
    return [
        dict(zip(names, (row[0], row[1], str(row[2]), str(row[3]), *row[4:]), strict=True))
        for row in connection.execute(ALL, {"id": number})
    ]
