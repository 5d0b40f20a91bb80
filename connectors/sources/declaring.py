"""Approved declarations, and approved withdrawals of them, on their way to meter.readings.

Exactly once: an approval gives the declaration or withdrawal the next seq of its mode and shard, and what is approved
and not marked sent is sent again, in the order of approval, under a lock; convert takes a seq once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import psycopg

from carbonstream.connectors import kafka
from carbonstream.connectors.locks import SPACE, Only
from carbonstream.connectors.sources.framing import Columns, Stamp, headers, record
from carbonstream.processors.declared import by_days
from carbonstream.schemas import topics
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Mode, Quality
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.frames import SOURCE_DECLARED
from carbonstream.schemas.periods import DAY_MS, SHANGHAI, to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

Connection = psycopg.Connection[Any]
FLUSH_S: Final = 30.0
WAITING: Final = """
select exists (select from declaration where approved_by is not null and sent_at is null)
  or exists (select from declaration_withdrawal where approved_by is not null and sent_at is null)
"""
# thousandths: null of a withdrawal
UNSENT: Final = """
select d.id, d.meter_id, d.first_day, d.last_day, d.thousandths, d.shard, d.seq, m.carrier, d.approved_at
from declaration d join meter m using (meter_id) where d.approved_by is not null and d.sent_at is null
union all
select w.id, d.meter_id, d.first_day, d.last_day, null, w.shard, w.seq, m.carrier, w.approved_at
from declaration_withdrawal w join declaration d on d.id = w.declaration join meter m using (meter_id)
where w.approved_by is not null and w.sent_at is null
order by approved_at
"""


def is_waiting(connection: Connection) -> bool:
    """Whether an approved declaration or withdrawal has not been sent."""
    row = connection.execute(WAITING).fetchone()
    return bool(row and row[0])


def send_approved(
    connection: Connection, config: Settings, now_ms: Callable[[], int] | None = None
) -> list[int]:
    """Send what is approved and not marked sent; the ids of declarations, once Kafka has acknowledged all.

    Raises NotReady where Kafka does not: call again to go on.
    """
    clock = now_ms or (lambda: time.time_ns() // 1_000_000)
    producer = kafka.producer(config, **kafka.GAPLESS)
    topic, partitions = config.topic(topics.READINGS), config.partitions_of(topics.READINGS)
    now = clock()
    errors: list[str] = []
    sent: list[int] = []
    withdrawn: list[int] = []
    with connection.transaction():
        # what another sender has marked while this one waited for its turn must be seen
        connection.execute("set transaction isolation level read committed")
        connection.execute("select pg_advisory_xact_lock(%s, %s)", (SPACE, int(Only.DECLARE)))
        for number, meter_id, first, last, thousandths, shard, seq, carrier, _ in connection.execute(
            UNSENT
        ).fetchall():
            unit = CARRIER_BY_NUMBER[carrier].base_unit
            if thousandths is None:
                stamp, columns = Stamp(SOURCE_DECLARED, Mode.EDIT, now), _nothing(meter_id, first, last, unit)
            else:
                stamp = Stamp(SOURCE_DECLARED, Mode.BACKFILL, now)
                columns = _columns(meter_id, by_days(thousandths, first, last), unit)
            producer.produce(
                topic,
                record(stamp, shard, seq, columns),
                partition=partition_of(shard, partitions),
                headers=headers(stamp, shard, seq),  # type: ignore[arg-type]
                on_delivery=lambda error, _: errors.append(str(error)) if error is not None else None,
            )
            (withdrawn if thousandths is None else sent).append(number)
        if producer.flush(FLUSH_S) or errors:
            producer.purge()
            raise NotReady(
                f"Kafka did not take the declarations ({'; '.join(errors) or 'no answer'}); call again"
            )
        connection.execute("update declaration set sent_at = now() where id = any (%s)", [sent])
        connection.execute(
            "update declaration_withdrawal set sent_at = now() where id = any (%s)", [withdrawn]
        )
    return sent


def _columns(meter_id: str, days: list[tuple[date, int]], unit: str) -> Columns:
    starts = np.array([to_ms(datetime(d.year, d.month, d.day, tzinfo=SHANGHAI)) for d, _ in days], np.int64)
    amounts = (
        np.array([amount for _, amount in days], np.float64) / 1_000
    )  # convert rounds it back: below 2^53
    return Columns([meter_id], np.zeros(len(days), np.int64), starts, starts + DAY_MS, amounts, str(unit))


def _nothing(meter_id: str, first: date, last: date, unit: str) -> Columns:
    """The days of a withdrawn declaration, of which nothing is to stand."""
    days = _columns(meter_id, by_days(0, first, last), unit)
    return replace(
        days, value=np.full(len(days), np.nan), quality=np.full(len(days), int(Quality.EDITED), np.int64)
    )
