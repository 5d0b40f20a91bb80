"""Readings whose answers are gone, booked by `carbonstream repair` as rejected (MISSING_ANSWER) with their energy.

What they were worth is found as the ledger's own reader finds it, so that both hops agree again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import psycopg
from confluent_kafka import KafkaException

from carbonstream.connectors import kafka
from carbonstream.connectors.database import one_row
from carbonstream.connectors.sinks.timescale.tables import released_before, write_ledger, write_released
from carbonstream.processors.accepted import AcceptedCounter
from carbonstream.processors.frames import Frame, Refusal, Tick, parse_record
from carbonstream.processors.ledger import ELECTRICITY, Count, day_of, site_text
from carbonstream.processors.meters import NEVER
from carbonstream.processors.reference import Reference
from carbonstream.processors.release import Moved, Origin, release_of
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings
from carbonstream.streams.ledger import LedgerReader
from carbonstream.streams.reference_log import ReferenceLog

MISSING: Final = int(Outcome.MISSING_ANSWER)
# The newest index the sink has stored of each register: what a lost one moved on from.
NEWEST_INDEXES: Final = """
select m.number, (extract(epoch from r.time) * 1000)::bigint, r.raw_index
from meter m cross join lateral (
  select time, raw_index from reading r where r.meter = m.number and r.raw_index is not null order by time desc limit 1
) r
where m.kind = 'register' and m.carrier = %s and m.meter_id = any (%s)
"""
KEEP: Final = """
insert into reject (partition, source_offset, row, code, source, detail, payload) values (%s, %s, -1, %s, %s, %s, %s)
"""
# What the ledger counted and nothing became of; or what the sink stored and the ledger's reader had not counted yet.
IN_FLIGHT: Final = """
insert into ledger as l (source, site, day, hop, outcome, readings, quantity_wh, converted)
select source, site, day, case when n >= 0 then 'outcome' else 'accepted' end, case when n >= 0 then %s else 0 end,
  abs(n), case when n >= 0 then wh else -wh end, case when n >= 0 then c else 0 end
from (
  select source, site, day, sum(case hop when 'accepted' then readings else -readings end) as n,
    sum(case hop when 'accepted' then quantity_wh else -quantity_wh end) as wh,
    sum(case hop when 'accepted' then readings else -converted end) as c
  from ledger group by 1, 2, 3
) as t
where n <> 0 or wh <> 0
on conflict (source, site, day, hop, outcome) do update set readings = l.readings + excluded.readings,
  quantity_wh = l.quantity_wh + excluded.quantity_wh, converted = l.converted + excluded.converted
"""


def book_in_flight(connection: psycopg.Connection) -> int:
    """Level both hops where meter.readings itself is gone; how many readings were accepted and are lost with it."""
    before = _missing(connection)
    connection.execute(IN_FLIGHT, (MISSING,))
    return _missing(connection) - before


def _missing(connection: psycopg.Connection) -> int:
    query = "select coalesce(sum(readings), 0)::bigint from ledger where hop = 'outcome' and outcome = %s"
    return int(one_row(connection, query, (MISSING,))[0])


def book_lost(
    settings: Settings, connection: psycopg.Connection, partition: int, first: int, last: int
) -> int:
    """Book the readings of meter.readings[first..last] and keep their records; how many readings there were.

    Raises NotReady where meter.readings no longer holds them.
    """
    if first > last:
        return 0
    try:
        records = _records(settings, partition, first, last)
    except KafkaException as error:
        raise NotReady(
            f"meter.readings[{partition}] no longer holds {first} to {last}: what it held cannot be counted ({error}); "
            "recreate meter.readings and carbon.emissions, then `carbonstream repair --new-epoch` books by the ledger "
            "what was in flight"
        ) from error
    lost = _Lost(settings, connection, partition, records)
    for offset, value, record in records:
        lost.add(offset, value, record)
    return lost.book()


Record = tuple[int, bytes, Frame | Tick | Refusal]


def _records(settings: Settings, partition: int, first: int, last: int) -> list[Record]:
    consumer = kafka.reader(settings)
    try:
        topic = settings.topic(topics.READINGS)
        records: list[Record] = []
        for message in kafka.read_range(consumer, topic, partition, first, last + 1):
            value, type_ = message.value() or b"", kafka.type_of(message.headers())  # type: ignore[arg-type]
            record = parse_record(value, type_, settings.latest_tick(message.timestamp()[1]))
            records.append((message.offset() or 0, value, record))
        return records
    finally:
        consumer.close()


class _Lost:
    """A counter that stands where the sink does, and what it finds behind."""

    def __init__(
        self, settings: Settings, connection: psycopg.Connection, partition: int, records: list[Record]
    ) -> None:
        self._connection, self._partition = connection, partition
        limits = LedgerReader(settings).limits
        reference = Reference(partition, settings.partitions)
        self._counter = AcceptedCounter(partition, settings.partitions, limits, reference)
        self._log = ReferenceLog(settings)
        self._moved: list[Moved] = []
        tick, in_force = one_row(
            connection, "select tick_ms, reference from position where partition = %s", (partition,)
        )
        self._counter.tick = tick or None
        self._apply(in_force)
        ids = {meter for *_, record in records if isinstance(record, Frame) for meter in record.meters}
        for number, end, index in connection.execute(NEWEST_INDEXES, (ELECTRICITY, sorted(ids))):
            self._counter.registers.put(number, (end, index), (NEVER, 0), moved=False)

    def _apply(self, offsets: dict[str, int]) -> None:
        self._log.catch_up(offsets)
        self._log.apply(self._counter.reference, offsets)

    def add(self, offset: int, value: bytes, record: Frame | Tick | Refusal) -> None:
        """Take one record in."""
        if isinstance(record, Tick):
            record = self._log.taken(record)
        if isinstance(record, Tick):
            self._apply(record.reference)
            self._counter.advance(record.time)
            return
        if isinstance(record, Frame):
            self._release(offset, record)
        self._counter.count(value)
        self._connection.execute(
            KEEP,
            (
                self._partition,
                offset,
                MISSING,
                record.source,
                "its answer was gone from carbon.emissions",
                value,
            ),
        )

    def _release(self, offset: int, frame: Frame) -> None:
        """Held readings that this frame would have released are lost with its answer, and no longer held."""
        release = release_of(frame.document, len(frame))
        if release is None:
            return
        with self._connection.cursor() as cursor:
            self._counter.released |= set(released_before(cursor, release.origins))
        known = self._counter.reference.shard(frame.shard).lookup(frame.meters).slot[frame.meter] >= 0
        at = Origin("", self._partition, offset, -1)
        ends = np.maximum(frame.end, 0).tolist()
        done = set(self._counter.released)
        for i in np.flatnonzero(known).tolist():
            origin, meter_id = release.origins[i], frame.meters[int(frame.meter[i])]
            if origin not in done:
                done.add(origin)
                self._moved.append(Moved(origin, at, release.source, meter_id, ends[i], MISSING))

    def book(self) -> int:
        """Write it all; how many readings were lost."""
        counts = [
            Count(c.source, c.site, c.day, MISSING, c.readings, c.quantity_wh, c.readings)
            for c in self._counter.take()[0]
        ]
        days = day_of(np.array([m.end for m in self._moved], np.int64)).tolist()
        for m, day in zip(self._moved, days, strict=True):
            line = m.source, site_text(m.meter_id), day
            counts += [Count(*line, int(Outcome.UNKNOWN_METER), -1, 0, -1), Count(*line, MISSING, 1, 0, 1)]
        with self._connection.cursor() as cursor:
            write_ledger(cursor, "outcome", counts)
            write_released(cursor, self._moved)
        return sum(count.readings for count in counts if count.outcome == MISSING)
