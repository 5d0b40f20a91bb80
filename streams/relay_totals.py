"""The relay's totals: change marks are taken, absolute totals read in the same snapshot, and told on carbon.totals."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
import psycopg
from confluent_kafka import Producer

from carbonstream.connectors import kafka
from carbonstream.connectors.database import one_row
from carbonstream.processors.expectation import Metering, coverage, readings_due
from carbonstream.processors.expectation import Span as Validity
from carbonstream.processors.total_records import Key, Known, Part, Span, restated_keys, spans, total_record
from carbonstream.schemas import frames, topics
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import next_bucket, to_datetime, to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.streams.relay_beside import beside
from carbonstream.streams.relay_outbox import tell

MARKS_PASS: Final = 200
BUCKETS_PASS: Final = 50_000
# A pass that is not behind rests after every so many totals as long as they took, up to LONGEST_S in all: told in one
# go, ten seconds' worth of a thousand sites holds up readings on their way by half a second.
PACE: Final = 50
LONGEST_S: Final = 2.0
KEYS_REMEMBERED: Final = 200_000
Record = dict[str, Any]
GRAINS: Final = {int(grain): grain for grain in Grain}
ANY: Final = "select exists (select from change_mark), exists (select from restatement)"
# Marks repeat: a busy bucket is in every batch of the sink. One mark of a backfill names 10,000 buckets, so a pass is
# bounded by them too: it must end within a transaction of Kafka (60 s), at 0.1 ms a total. Ten seconds' marks of a full
# load name 100,000, most of them again and again; a fifth of the bound leaves a backlog, and the relay never rests.
# Last: marks that are left.
TAKE_MARKS: Final = """
with due as (
  select id, sum(cardinality(bucket)) over (order by id) - cardinality(bucket) as before
  from (select id, bucket from change_mark order by id limit %s) first
), taken as (
  delete from change_mark where id in (select id from due where before < %s) returning entity, grain, bucket
), changed as (
  select distinct c.entity, c.grain, c.bucket
  from taken t, unnest(t.entity, t.grain, t.bucket) as c (entity, grain, bucket)
)
select distinct p.entity, c.grain, (extract(epoch from c.bucket) * 1000)::bigint,
  (select count(*) from change_mark) - (select count(*) from taken)
from changed c join entity_part p on p.part = c.entity
"""
# a few entities of one month at a time, behind what has just changed: a restated year does not hold up the live hour
TAKE_RESTATED: Final = """
delete from restatement where id = (select id from restatement order by id limit 1) returning month, entities
"""
TOTALS: Final = """
select entity, bucket, class, carrier, readings, quantity, estimated, co2_kg, kgce, coefficient,
       to_char(coefficient_month, 'YYYY-MM')
from totals_of(%s::int[], %s::smallint, %s, %s)
"""
STANDING: Final = "select coalesce(max(tick_ms), 0), exists (select from gap) from position"
OLDEST_MISSING: Final = "select entity, since, start from oldest_missing(%s::int[], %s, %s)"


@dataclass(slots=True)
class Masters:
    """What the relay knows of entities; read again when sites or meters have changed."""

    ids: dict[int, str] = field(default_factory=dict)
    validity: dict[int, list[Validity]] = field(default_factory=dict)  # part -> what it expects
    parts: dict[int, list[int]] = field(default_factory=dict)
    metering: dict[int, list[Metering]] = field(default_factory=dict)  # part -> when its sites were metered
    known: dict[Key, tuple[int, float | None]] = field(default_factory=dict)

    def due(self, keys: Collection[Key]) -> dict[Key, tuple[int, float | None]]:
        """Readings due in each whole bucket, and its coverage; remembered, as a busy bucket is told again and again.

        An entity's buckets are worked out together: a backfilled year has 9,000 of each.
        """
        new: defaultdict[int, list[Key]] = defaultdict(list)
        for key in keys:
            if key not in self.known:
                new[key.entity].append(key)
        if len(self.known) > KEYS_REMEMBERED:
            self.known = {key: self.known[key] for key in keys if key in self.known}
        for entity, asked in new.items():
            parts = self.parts.get(entity, ())
            metering = [m for part in parts for m in self.metering.get(part, ())]
            starts, ends = [k.bucket for k in asked], [next_bucket(k.grain, k.bucket) for k in asked]
            spans = [v for part in parts for v in self.validity.get(part, ())]
            due = readings_due(np.array(starts), np.array(ends), spans).tolist()
            for key, end, expected in zip(asked, ends, due, strict=True):
                self.known[key] = expected, coverage(key.bucket, end, metering)
        return self.known


@dataclass(frozen=True, slots=True)
class Told:
    """What a pass has told. is_behind: more changed totals wait; is_restating: it told some of a restatement too."""

    is_behind: bool
    is_restating: bool


class Totals:
    """Passes over change marks and restatements. reference: set when sites or meters are about to be told.

    A mark of a new entity is not to be seen before that entity was told: readings are converted with what was told.
    So `reference` is asked after the marks were taken, and what it stands for is read in their snapshot. It is only
    cleared before the snapshot: what is committed later than that stands for the next pass.
    """

    def __init__(
        self,
        config: Settings,
        connection: psycopg.Connection[Any],
        producer: Producer,
        reference: threading.Event,
    ) -> None:
        self.config, self.connection, self.producer, self.reference = config, connection, producer, reference
        self.masters = load_masters(connection)

    def tell(self) -> Told | None:
        """One pass; None: there was nothing."""
        if not any(one_row(self.connection, ANY)):  # not worth a transaction, many times a second
            return None
        is_newer = self.reference.is_set()
        if is_newer:
            self.reference.clear()
        with self.connection.transaction():
            marks = self.connection.execute(TAKE_MARKS, (MARKS_PASS, BUCKETS_PASS)).fetchall()
            restated = self.connection.execute(TAKE_RESTATED).fetchall()
            if is_newer or self.reference.is_set():
                self.masters = load_masters(self.connection)
            keys = {Key(entity, GRAINS[grain], bucket) for entity, grain, bucket, _ in marks}
            keys |= restated_keys(restated)
            told = Told(bool(marks) and marks[0][3] > 0, bool(restated))
            rest_s = 0.0 if told.is_behind or told.is_restating else LONGEST_S
            with kafka.transaction(self.producer):
                for record in paced(self._records(keys), rest_s):
                    key = f"{record['entity']}|{record['grain']}|{record['bucket']}"
                    tell(
                        self.config,
                        self.producer,
                        topics.TOTALS,
                        frames.TYPE_TOTAL,
                        record["entity"],
                        key,
                        orjson.dumps(record),
                    )
        return told

    def _records(self, keys: set[Key]) -> Iterator[Record]:
        connection, masters = self.connection, self.masters
        computed = time.time_ns() // 1_000_000  # when it was read, for the reader's information only
        tick, any_missing = one_row(connection, STANDING)
        whole = spans(keys)
        aside = beside(connection, whole)
        for span in whole:
            found = {
                key: parts
                for key, parts in self._read(span).items()
                if key in keys and key.entity in masters.ids
            }
            missing = self._missing(found) if any_missing else {}
            due = masters.due(found)
            for key, parts in found.items():
                expected, covered = due[key]
                fuels, declared = aside.inferred.get(key, ()), aside.declared.get(key, {})
                known = Known(expected, covered, missing.get(key), tick, computed, fuels, declared)
                yield total_record(masters.ids[key.entity], key.grain, key.bucket, parts, known)

    def _missing(self, keys: Iterable[Key]) -> dict[Key, int]:
        """Start of the oldest interval known to be missing, UTC ms."""
        asked = {(key.entity, to_datetime(key.bucket)): key for key in keys}
        upto = [to_datetime(next_bucket(key.grain, key.bucket)) for key in asked.values()]
        if not asked:
            return {}
        rows = self.connection.execute(OLDEST_MISSING, (*map(list, zip(*asked, strict=True)), upto))
        return {asked[entity, since]: to_ms(start) for entity, since, start in rows}

    def _read(self, span: Span) -> dict[Key, list[Part]]:
        until = next_bucket(span.grain, span.last)
        found: dict[Key, list[Part]] = {}
        for entity, bucket, *part in self.connection.execute(
            TOTALS, (sorted(span.entities), int(span.grain), to_datetime(span.first), to_datetime(until))
        ):
            found.setdefault(Key(entity, span.grain, to_ms(bucket)), []).append(Part(*part))
        return found


def paced(items: Iterable[Record], rest_s: float) -> Iterator[Record]:
    """The same, resting after every so many as long as they took; at most `rest_s` in all."""
    began = time.monotonic()
    for number, item in enumerate(items, 1):
        yield item
        if number % PACE == 0 and rest_s > 0:
            rest = min(time.monotonic() - began, rest_s)
            rest_s -= rest
            time.sleep(rest)
            began = time.monotonic()


def load_masters(connection: psycopg.Connection) -> Masters:
    """Entities, what they are made of, and what is expected of them."""
    masters = Masters()
    with connection.transaction():
        masters.ids = dict(connection.execute("select number, id from entity").fetchall())
        for entity, part in connection.execute("select entity, part from entity_part"):
            masters.parts.setdefault(entity, []).append(part)
        for entity, interval_s, valid_from, valid_to, meters in connection.execute(
            "select entity, interval_s, valid_from, valid_to, sum(meters) from expectation group by 1, 2, 3, 4"
        ):
            to = None if valid_to is None else to_ms(valid_to)
            masters.validity.setdefault(entity, []).append(
                Validity(interval_s * 1_000, to_ms(valid_from), to, int(meters))
            )
        for entity, valid_from, valid_to, sites in connection.execute("select * from metering"):
            since, to = (None if at is None else to_ms(at) for at in (valid_from, valid_to))
            masters.metering.setdefault(entity, []).append(Metering(since, to, sites))
    return masters
