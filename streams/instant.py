"""instant: judges instant rules on carbon.emissions and writes down what became of their warnings.

Records are taken in the order of their ticks over all partitions (processors.instant.merge), so that a source whose
meters lie in several is judged as one. A change is committed at once; state and positions now and then, together. A
restart goes back to its checkpoint and judges again what came after it: the same records give the same changes, with
the same ids, and those that stand in the history are not written twice.

Meters and rules are read from the database when a tick names newer reference offsets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import orjson
import psycopg
from confluent_kafka import Consumer, Message, TopicPartition

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.locks import Only
from carbonstream.connectors.rounds import OnlyService
from carbonstream.connectors.warning_rules import load_rule_book
from carbonstream.processors.instant.judge import InstantRules
from carbonstream.processors.instant.merge import Merge
from carbonstream.processors.instant.readings import Frame
from carbonstream.processors.instant.told import Told, record_of
from carbonstream.processors.watch import FirstCopies
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings
from carbonstream.streams.instant_book import (
    Position,
    load_fleet,
    load_positions,
    load_state,
    write_checkpoint,
    write_new,
)

Connection = psycopg.Connection[Any]
# every fetch costs the broker as much as storing 200 readings
GATHERING: Final = {"fetch.min.bytes": 1 << 16, "fetch.wait.max.ms": 50}
FETCHED: Final = 500
POLL_S: Final = 0.2
# Of a partition ahead of the others so many records of some 12 kB wait here, the rest in Kafka.
WAITING: Final = 2_000
CHECKPOINT_S: Final = 15.0
QUIET_S: Final = 2.0  # the ticker ticks once a second: when nothing comes for longer, it is a good moment
FLEET: Final = (topics.REF_METERS, topics.REF_SITES)
RULES: Final = (topics.REF_RULES,)


class Instant(OnlyService):
    """Runs rounds until stopped."""

    name = "instant"
    only = Only.INSTANT

    def hold(self, connection: Connection) -> None:
        """Judge from the checkpoint on."""
        Judgement(self.config, self.log, connection).run(self.stopping)


class Judgement:
    """One round, from its checkpoint on."""

    def __init__(self, config: Settings, log: Any, connection: Connection) -> None:
        self.config, self.log, self.connection = config, log, connection
        self.topic = config.topic(topics.EMISSIONS)
        found = kafka.topic_ids(config, [self.topic])
        if self.topic not in found:
            raise NotReady(f"topic {self.topic} does not exist; create the topics with `carbonstream topics`")
        self.topic_id, partitions = found[self.topic]
        self.consumer: Consumer = kafka.reader(config, **GATHERING)
        self.positions = load_positions(connection, self.topic_id)
        for n in range(partitions):
            first, end = kafka.end_offsets_of(self.consumer, self.topic, n)
            at = self.positions.setdefault(n, Position(first))
            if at.next_offset < first:
                log.error(
                    "records are gone before they were judged",
                    partition=n,
                    first=at.next_offset,
                    last=first - 1,
                )
            at.next_offset = min(max(at.next_offset, first), end)
        self.merge: Merge[dict[str, Any]] = Merge({n: at.tick for n, at in self.positions.items()})
        self.first_copies = FirstCopies()
        for n, at in self.positions.items():
            self.first_copies.take(n, at.origin)
        self.rules = InstantRules()
        self.reference: dict[str, int] = {}
        self.fleet, self.book = load_fleet(connection), load_rule_book(connection)
        self.rules.begin(self.fleet, self.book, config.canary_meters)
        self.rules.unpack(*load_state(connection))

    def run(self, stopping: threading.Event) -> None:
        """Read and judge until stopping."""
        self.consumer.assign(
            [TopicPartition(self.topic, n, p.next_offset) for n, p in self.positions.items()]
        )
        paused: set[int] = set()
        written = came = time.monotonic()
        moved = False
        try:
            while not stopping.is_set():
                messages = self.consumer.consume(FETCHED, POLL_S)
                for message in messages:
                    self._queue(message)
                told = self._judge()
                moved, paused, now = moved or bool(messages), self._pause(paused), time.monotonic()
                came = now if messages else came
                is_due = moved and (now - written >= CHECKPOINT_S or now - came >= QUIET_S)
                if told or is_due:
                    self._commit(told, checkpoint=is_due)
                if is_due:
                    written, moved = time.monotonic(), False
            if moved:
                self._commit([], checkpoint=True)
        finally:
            self.consumer.close()

    def _queue(self, message: Message) -> None:
        kafka.check(message)
        if message.error() is not None:
            return
        n, document = message.partition() or 0, orjson.loads(message.value() or b"{}")
        document["offset"] = message.offset()
        is_tick = document.get("reference") is not None
        self.merge.put(n, document["tick"] if is_tick else None, document)

    def _judge(self) -> list[Told]:
        """Take what may be taken; the changes, in order."""
        told: list[Told] = []
        now = self.merge.now
        for n, document in self.merge.take():
            at = self.positions[n]
            at.next_offset, at.tick = document["offset"] + 1, self.merge.ticks[n]
            if not self.first_copies.take(n, document["origin"]["offset"]):
                continue
            at.origin = document["origin"]["offset"]
            if document.get("reference") is not None:
                self._refer(document["reference"])
            elif document["meter"]:
                told += self.rules.frame(Frame.of(document))
            if self.merge.now > now:
                now = self.merge.now
                told += self.rules.clock(now)
        return told

    def _refer(self, offsets: dict[str, int]) -> None:
        """Meters or rules changed up to these offsets of ref.*."""
        newer = {name for name in (*FLEET, *RULES) if offsets.get(name, 0) > self.reference.get(name, 0)}
        if not newer:
            return
        if not newer.isdisjoint(FLEET):
            self.fleet = load_fleet(self.connection)
        if not newer.isdisjoint(RULES):
            self.book = load_rule_book(self.connection)
        self.rules.begin(self.fleet, self.book, self.config.canary_meters)
        self.reference |= {name: offsets[name] for name in newer}

    def _pause(self, paused: set[int]) -> set[int]:
        ahead = {n for n in self.positions if self.merge.waiting(n) > WAITING}
        for n in ahead - paused:
            self.consumer.pause([TopicPartition(self.topic, n)])
        for n in paused - ahead:
            self.consumer.resume([TopicPartition(self.topic, n)])
        return ahead

    def _commit(self, told: Sequence[Told], *, checkpoint: bool) -> None:
        now = self.merge.now
        with self.connection.transaction():
            records = write_new(self.connection, [record_of(change, now) for change in told])
            if checkpoint:
                write_checkpoint(
                    self.connection, self.topic_id, self.positions, self.rules.pack(), self.rules.silence.take_blocks()
                )  # fmt: skip
        for record in records:
            self.log.info(
                "warning", id=record.id, version=record.version, state=record.state, backfill=record.backfill
            )
        telemetry.FAULTS.labels("instant", "late reading").inc(self.rules.limits.take_late())
