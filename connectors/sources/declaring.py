"""Approved declarations on their way to meter.readings.

Exactly once: an approval gives the declaration the next seq of its shard, and what is approved and not marked sent is
sent again in that order under a lock; convert takes a seq once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import psycopg

from carbonstream.connectors import kafka
from carbonstream.connectors.locks import SPACE, Only
from carbonstream.connectors.sources.framing import Columns, Stamp, headers, record
from carbonstream.processors.declared import SOURCE, by_days
from carbonstream.schemas import topics
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.periods import DAY_MS, SHANGHAI, to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

Connection = psycopg.Connection[Any]
FLUSH_S: Final = 30.0
WAITING: Final = "select exists (select from declaration where approved_by is not null and sent_at is null)"
UNSENT: Final = """
select d.id, d.meter_id, d.first_day, d.last_day, d.thousandths, d.shard, d.seq, m.carrier
from declaration d join meter m using (meter_id)
where d.approved_by is not null and d.sent_at is null order by d.shard, d.seq
"""


def is_waiting(connection: Connection) -> bool:
    """Whether an approved declaration has not been sent."""
    row = connection.execute(WAITING).fetchone()
    return bool(row and row[0])


def send_approved(
    connection: Connection, config: Settings, now_ms: Callable[[], int] | None = None
) -> list[int]:
    """Send what is approved and not marked sent; the ids, once Kafka has acknowledged them.

    Raises NotReady where Kafka does not: call again to go on.
    """
    clock = now_ms or (lambda: time.time_ns() // 1_000_000)
    producer = kafka.producer(config, **kafka.GAPLESS)
    topic, partitions = config.topic(topics.READINGS), config.partitions_of(topics.READINGS)
    stamp = Stamp(SOURCE, Mode.BACKFILL, clock())
    errors: list[str] = []
    sent: list[int] = []
    with connection.transaction():
        # what another sender has marked while this one waited for its turn must be seen
        connection.execute("set transaction isolation level read committed")
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
