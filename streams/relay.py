"""relay: what the database decided, told to Kafka: reference changes, totals, warnings.

One process at a time (an advisory lock), one fixed transactional.id. A pass deletes outbox rows and change marks,
reads absolute totals in the same snapshot, produces, commits Kafka, then commits the database. A crash between the
two commits repeats absolute values and equal ids; nothing is told before it is committed, and nothing is left untold.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
import psycopg
from confluent_kafka import Producer

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.database import connect, one_row
from carbonstream.connectors.locks import Only, wait_for_lock
from carbonstream.connectors.rounds import run_rounds
from carbonstream.processors.expectation import Metering, coverage, readings_due
from carbonstream.processors.expectation import Span as Validity
from carbonstream.processors.total_records import Key, Known, Part, Span, restated_keys, spans, total_record
from carbonstream.schemas import frames, topics
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import next_bucket, to_datetime, to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of, shard_of
from carbonstream.streams.relay_beside import beside

TRANSACTIONAL_ID: Final = "carbonstream-relay"
OUTBOX_PASS: Final = 10_000
MARKS_PASS: Final = 200
POLL_S: Final = 0.02
# Totals may take at most a quarter of the time, unless there is a backlog: under load they come less often, not at the
# readings' cost. Warnings and the rest of the outbox never wait for that.
REST: Final = 3.0
LONGEST_REST_S: Final = 5.0
KEYS_REMEMBERED: Final = 200_000

TAKE_OUTBOX: Final = """
delete from outbox where id in (select id from outbox order by id limit %s) returning id, topic, shard_key, key, value
"""
TAKE_MARKS: Final = """
delete from change_mark where id in (select id from change_mark order by id limit %s) returning entity, grain, bucket
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
TYPES: Final = {  # of what the outbox holds
    topics.WARNINGS: frames.TYPE_WARNING,
    topics.TOTALS: frames.TYPE_RESTATED,
}


@dataclass(slots=True)
class Masters:
    """What the relay knows of entities; read again when reference data have changed."""

    ids: dict[int, str] = field(default_factory=dict)
    wholes: dict[int, list[int]] = field(default_factory=dict)  # part -> entities it counts to
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
class Pass:
    """What a pass did."""

    told_reference: bool
    told_totals: bool
    is_behind: bool  # there is more to tell


class Relay:
    """Runs passes until stopped."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.log = telemetry.configure(config, "relay")
        self.stopping = threading.Event()

    def stop(self) -> None:
        """End after the pass under way."""
        self.stopping.set()

    def run(self) -> None:
        """Passes for ever; outages of either side are waited out."""
        run_rounds(self._round, self.stopping, self.log)

    def _round(self) -> None:
        with connect(self.config, application="relay", autocommit=True) as connection:
            if not wait_for_lock(connection, Only.RELAY, self.stopping):
                return
            connection.autocommit = False
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            producer = kafka.producer(self.config, transactional_id=TRANSACTIONAL_ID)
            producer.init_transactions(30)
            masters = load_masters(connection)
            rested = 0.0  # monotonic: when totals may be told again
            while not self.stopping.is_set():
                began = time.monotonic()
                done = self._pass(connection, producer, masters, totals=began >= rested)
                if done is None:
                    self.stopping.wait(POLL_S)
                    continue
                took = time.monotonic() - began
                telemetry.SECONDS.labels("relay", "pass").observe(took)
                if done.told_reference:
                    masters = load_masters(connection)
                if done.told_totals and not done.is_behind:
                    rest = min(REST * took, LONGEST_REST_S)
                    rested = began + took + max(self.config.relay_period_ms / 1_000 - took, rest)

    def _pass(
        self, connection: psycopg.Connection, producer: Producer, masters: Masters, *, totals: bool
    ) -> Pass | None:
        """One pass over the outbox and, where `totals`, the change marks; None: there was nothing to tell."""
        with connection.transaction():
            rows = connection.execute(
                "select exists (select from outbox), %(totals)s and exists (select from change_mark), "
                "%(totals)s and exists (select from restatement)",
                {"totals": totals},
            ).fetchone()
            if not rows or not any(rows):
                return None
            outbox = sorted(connection.execute(TAKE_OUTBOX, (OUTBOX_PASS,)).fetchall()) if rows[0] else []
            marks = connection.execute(TAKE_MARKS, (MARKS_PASS,)).fetchall() if rows[1] else []
            restated = connection.execute(TAKE_RESTATED).fetchall() if rows[2] else []
            keys = changed_keys(marks, masters) | restated_keys(restated)
            producer.begin_transaction()
            try:
                for _, topic, shard_key, key, value in outbox:
                    type_ = type_of(topic, value)
                    self._tell(producer, topic, type_, shard_key, key, value)
                for record in self._totals(connection, keys, masters):
                    key = f"{record['entity']}|{record['grain']}|{record['bucket']}"
                    self._tell(producer, topics.TOTALS, frames.TYPE_TOTAL, record["entity"], key, record)
                producer.commit_transaction(30)
            except BaseException:
                producer.abort_transaction(10)
                raise
        telemetry.RECORDS.labels("relay", "outbox").inc(len(outbox))
        return Pass(
            told_reference=any(topic in topics.REFERENCE for _, topic, *_ in outbox),
            told_totals=bool(marks or restated),
            is_behind=len(outbox) == OUTBOX_PASS or len(marks) == MARKS_PASS,
        )

    def _tell(self, producer: Producer, topic: str, type_: str, shard_key: str, key: str, value: Any) -> None:
        partitions = self.config.partitions_of(topic)
        headers = frames.cloud_event_headers(type_, "relay", key)
        while True:
            try:
                producer.produce(
                    self.config.topic(topic),
                    None if value is None else orjson.dumps(value),
                    key.encode(),
                    partition_of(shard_of(shard_key), partitions),
                    headers=headers,  # type: ignore[arg-type]
                )
                producer.poll(0)
                return
            except BufferError:
                producer.poll(0.1)

    def _totals(
        self, connection: psycopg.Connection, keys: set[Key], masters: Masters
    ) -> Iterable[dict[str, Any]]:
        computed = time.time_ns() // 1_000_000  # when it was read, for the reader's information only
        tick, any_missing = one_row(connection, STANDING)
        whole = spans(keys)
        aside = beside(connection, whole)
        for span in whole:
            found = {
                key: parts
                for key, parts in self._read(connection, span).items()
                if key in keys and key.entity in masters.ids
            }
            missing = self._missing(connection, found) if any_missing else {}
            due = masters.due(found)
            for key, parts in found.items():
                expected, covered = due[key]
                fuels, declared = aside.inferred.get(key, ()), aside.declared.get(key, {})
                known = Known(expected, covered, missing.get(key), tick, computed, fuels, declared)
                yield total_record(masters.ids[key.entity], key.grain, key.bucket, parts, known)

    def _missing(self, connection: psycopg.Connection, keys: Iterable[Key]) -> dict[Key, int]:
        """Start of the oldest interval known to be missing, UTC ms."""
        asked = {(key.entity, to_datetime(key.bucket)): key for key in keys}
        upto = [to_datetime(next_bucket(key.grain, key.bucket)) for key in asked.values()]
        rows = (
            connection.execute(OLDEST_MISSING, (*map(list, zip(*asked, strict=True)), upto)) if asked else ()
        )
        return {asked[entity, since]: to_ms(start) for entity, since, start in rows}

    def _read(self, connection: psycopg.Connection, span: Span) -> dict[Key, list[Part]]:
        until = next_bucket(span.grain, span.last)
        found: dict[Key, list[Part]] = {}
        for entity, bucket, *part in connection.execute(
            TOTALS, (sorted(span.entities), int(span.grain), to_datetime(span.first), to_datetime(until))
        ):
            found.setdefault(Key(entity, span.grain, to_ms(bucket)), []).append(Part(*part))
        return found


def type_of(topic: str, value: Any) -> str:
    """CloudEvents type of an outbox row."""
    if topic == topics.WARNINGS and "operation" in value:
        return frames.TYPE_OPERATION
    return TYPES.get(topic, f"carbonstream.{topic}.v1")


def changed_keys(marks: Iterable[tuple[Any, ...]], masters: Masters) -> set[Key]:
    """Totals that change marks name, and those of the entities they count to."""
    changed = {key for mark in marks for key in zip(*mark, strict=True)}
    return {
        Key(whole, Grain(grain), to_ms(bucket))
        for entity, grain, bucket in changed
        for whole in masters.wholes.get(entity, ())
    }


def load_masters(connection: psycopg.Connection) -> Masters:
    """Entities, what they are made of, and what is expected of them."""
    masters = Masters()
    with connection.transaction():
        masters.ids = dict(connection.execute("select number, id from entity").fetchall())
        for entity, part in connection.execute("select entity, part from entity_part"):
            masters.wholes.setdefault(part, []).append(entity)
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
