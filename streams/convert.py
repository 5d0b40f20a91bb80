"""convert: meter.readings -> carbon.emissions, exactly one frame for every record, recovered from Kafka alone.

Faust delivers at least once; this agent makes it exactly once without Faust's tables. A checkpoint writes the
changed blocks of state to meter.state and only then acks the frames up to there, so the group's offset is a
checkpoint. It is one transaction under an id of the partition: who loads a partition fences who had it before. A
stalled old worker may still answer an offset a second time: consumers take the first copy.

What it writes goes through librdkafka, not through Faust's producer: that one costs 0.6 ms a record on two busy cores.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import faust
import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from carbonstream.connectors import kafka, telemetry
from carbonstream.processors.converter import Block, Converter, Layout
from carbonstream.processors.frames import Refusal, Tick, parse_record
from carbonstream.processors.judged import Limits
from carbonstream.processors.reference import Reference
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.errors import BrokenChain
from carbonstream.schemas.frames import HEADER_REJECTS, HEADER_TICK, TYPE_EMISSIONS, cloud_event_headers
from carbonstream.schemas.settings import Settings, settings
from carbonstream.streams.faust_app import end_process, faust_app, gather, raw_topic
from carbonstream.streams.reference_log import ReferenceLog
from carbonstream.streams.watchdog import Watchdog

STOP_POLL_S = 0.05
# Frames answered but not yet acknowledged by the broker: at 100 ms each, 8,000 small ones a second.
IN_FLIGHT = 1_024
REPORT_S = 0.01  # how often acknowledgements are looked for
IDLE_S = 0.25  # without a record it may be looked seldom, and the next one need not wait for others
# Kept long and read three times. zstd packs twice as tight as lz4; at level 1 as tight as at 3, in half the time. A
# request, one for each partition, costs the broker as much as storing 100 readings: what comes within 100 ms leaves
# together.
PACKED: dict[str, Any] = {"compression.type": "zstd", "compression.level": 1}
WRITING: dict[str, Any] = PACKED | kafka.GAPLESS | {"linger.ms": 100}


class Partition:
    """A converter, and the frames of it that wait for their answer's acknowledgement and for a checkpoint.

    keeper: writes meter.state; nobody else can until another keeper of the partition is initialised.
    """

    def __init__(self, converter: Converter, answered: int, keeper: Producer) -> None:
        self.converter = converter
        self.keeper = keeper
        self.answered = answered  # S: the last source offset that carbon.emissions answers
        self.unacked: deque[Any] = deque()  # events whose answer is acknowledged, not yet acked to the group
        self.confirmed = converter.at  # source offset up to which answers are acknowledged


@dataclass(slots=True)
class Answered:
    """An event that was handled; acknowledged once Kafka holds its answer, at once where it was answered before."""

    partition: Partition
    event: Any
    is_acknowledged: bool = False

    def delivered(self, error: KafkaError | None, _: Message) -> None:
        """A delivery report. Raises KafkaException where Kafka did not take the answer."""
        if error is not None:
            raise KafkaException(error)
        self.is_acknowledged = True


class Convert:
    """The agent's shell: loads partitions, feeds converters, writes checkpoints."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.log = telemetry.configure(config, "convert")
        self.partitions: dict[int, Partition] = {}
        self.taken = 0  # records that partitions were taken up from
        self.reference = ReferenceLog(config)
        self.topic_ids = kafka.partitioned_topic_ids(
            config, [topics.READINGS, topics.EMISSIONS, topics.STATE]
        )
        self.producer = kafka.producer(config, **WRITING)
        self.pending: deque[Answered] = deque()  # in the order they were handled
        self.has_come = asyncio.Event()  # a record, since `confirm` last waited for one
        self.limits = Limits(
            config.live_max_age_s * 1_000,
            config.live_max_ahead_s * 1_000,
            config.backfill_max_ahead_s * 1_000,
        )

    def load(self, number: int) -> Partition:
        """Take a partition's state up from meter.state and carbon.emissions. Blocks."""
        keeper = kafka.keeper(self.config, number, **PACKED)
        count = self.config.partitions
        layout = Layout(self.topic_ids[topics.READINGS], self.topic_ids[topics.EMISSIONS], number, count)
        reference = Reference(number, count)
        converter = Converter(layout, self.limits, reference)
        in_force: dict[str, int] = {}
        consumer = kafka.reader(self.config)
        state, emissions = self.config.topic(topics.STATE), self.config.topic(topics.EMISSIONS)
        first, end = kafka.end_offsets_of(consumer, state, number)
        newest: dict[bytes, bytes] = {}
        for message in kafka.read_range(consumer, state, number, first, end):
            self.taken += 1
            key, value = message.key(), message.value()
            if key is not None and value is not None and key.startswith(b"convert/"):
                newest[bytes(key)] = value
        for key, value in newest.items():
            in_force |= converter.restore(key, value)
            self.taken += 1
        converter.restored()
        last = last_origin(self.config, consumer, emissions, number)
        answered = last["offset"] if last.get("topic_id") == layout.readings_topic else -1
        consumer.close()
        if answered >= 0 and not newest and answered > self._first_offset(number):
            self.log.warning("no checkpoint, replaying from the start", partition=number, answered=answered)
        if in_force:
            self.reference.catch_up(in_force)
            self.reference.apply(reference, in_force)
        if converter.tick is not None:
            reference.advance_clock(converter.tick)
        self.taken += 1
        self.log.info(
            "partition loaded", partition=number, at=converter.at, answered=answered, blocks=len(newest)
        )
        return Partition(converter, answered, keeper)

    def _first_offset(self, number: int) -> int:
        consumer = kafka.reader(self.config)
        first, _ = kafka.end_offsets_of(consumer, self.config.topic(topics.READINGS), number)
        consumer.close()
        return first

    async def run(self, stream: Any) -> None:
        """Answer events for ever. Any error ends the process: Faust would lose the event otherwise."""
        async for event in stream.noack().events():
            message = event.message
            self.has_come.set()
            partition = self.partitions.get(message.partition)
            if partition is None:
                partition = await asyncio.to_thread(self.load, message.partition)
                self.partitions[message.partition] = partition
            at = partition.converter.at
            if 0 <= at < message.offset - 1:
                await asyncio.to_thread(self.check_hole, message.partition, at + 1, message.offset)
            while len(self.pending) >= IN_FLIGHT:
                await asyncio.sleep(REPORT_S)
            if message.offset > at:
                await self._answer(partition, event)
            else:
                self.pending.append(Answered(partition, event, is_acknowledged=True))

    def check_hole(self, number: int, first: int, end: int) -> None:
        """Nobody was to get a record of meter.readings[first, end): a transaction's mark takes an offset and is none.

        Blocks. Raises BrokenChain where a record was there.
        """
        consumer, topic = kafka.reader(self.config), self.config.topic(topics.READINGS)
        try:
            retained, _ = kafka.end_offsets_of(consumer, topic, number)
            if retained <= first and not any(kafka.read_range(consumer, topic, number, first, end)):
                return
        finally:
            consumer.close()
        raise BrokenChain(
            f"meter.readings[{number}] goes on at {end}, state stands at {first - 1}: what lies "
            "between was not handed out, and a restart reads it again, or is gone (retention): then recreate "
            "meter.readings and carbon.emissions, and `carbonstream repair --new-epoch` books what was lost"
        )

    async def _answer(self, partition: Partition, event: Any) -> None:
        converter, message, payload = partition.converter, event.message, event.value
        appended_ms = int(message.timestamp * 1_000)
        record = parse_record(
            payload,
            kafka.type_of(header_list(message.headers)),
            self.config.latest_tick(appended_ms),
        )
        if isinstance(record, Tick) and not self.reference.has(record.reference):
            record = await asyncio.to_thread(self.reference.taken, record)
        if isinstance(record, Tick):
            self.reference.apply(converter.reference, record.reference)
            converter.reference.advance_clock(max(record.time, converter.tick or 0))
        answer = message.offset > partition.answered
        out = converter.handle(message.offset, record, payload, appended_ms, answer=answer)
        if isinstance(record, Refusal):
            self.log.warning(
                "record refused",
                code=Outcome(record.code).name.lower(),
                detail=record.detail,
                source=record.source,
                seq=record.seq,
                partition=message.partition,
                offset=message.offset,
            )
        if out is None:
            self.pending.append(Answered(partition, event, is_acknowledged=True))
            return
        id_ = f"{converter.layout.readings_topic}/{message.partition}/{message.offset}"
        headers = cloud_event_headers(TYPE_EMISSIONS, "convert", id_)
        if out.tick is not None:
            headers.append((HEADER_TICK, b"%d" % out.tick))
        if out.rejects:
            headers.append((HEADER_REJECTS, b"%d" % out.rejects))
        answered = Answered(partition, event)
        self.producer.produce(
            self.config.topic(topics.EMISSIONS), out.value, None, message.partition,
            on_delivery=answered.delivered, headers=headers,  # type: ignore[arg-type]
        )  # fmt: skip
        self.pending.append(answered)

    async def confirm(self, app: Any) -> None:
        """Take acknowledgements in for ever."""
        while True:
            self._confirm()
            if self.pending:
                await asyncio.sleep(REPORT_S)
                continue
            self.has_come.clear()
            gather(app, is_busy=await happens(self.has_come, IDLE_S))

    def _confirm(self) -> None:
        """Take acknowledgements in, in the order of the events. Raises KafkaException where one is refused."""
        self.producer.poll(0)
        while self.pending and self.pending[0].is_acknowledged:
            answered = self.pending.popleft()
            partition, event = answered.partition, answered.event
            partition.confirmed = max(partition.confirmed, event.message.offset)
            partition.unacked.append(event)

    async def checkpoints(self, app: Any) -> None:
        """Every checkpoint_s one of each partition, in turn, so that none waits for the others'; of all at once and
        again when the app is stopping or partitions move, since Faust waits for the acks of what it has handed out."""
        turn = 0
        while True:
            until = time.monotonic() + self.config.checkpoint_s / max(len(self.partitions), 1)
            while time.monotonic() < until and not is_leaving(app):
                await asyncio.sleep(STOP_POLL_S)
            if is_leaving(app):
                await self.checkpoint(list(self.partitions))
            elif self.partitions:
                turn += 1
                await self.checkpoint([sorted(self.partitions)[turn % len(self.partitions)]])
            await asyncio.sleep(STOP_POLL_S)

    async def checkpoint(self, numbers: Sequence[int]) -> None:
        """Write what changed, then ack. Never before answers are confirmed."""
        for number, partition in [(n, self.partitions[n]) for n in numbers]:
            at = partition.converter.at
            if not partition.unacked and partition.confirmed >= at:
                continue
            blocks = list(partition.converter.blocks())  # state as of `at`, taken before any await
            while partition.confirmed < at:
                await asyncio.sleep(REPORT_S)
                self._confirm()
            await asyncio.to_thread(self.keep, partition.keeper, number, blocks)
            while partition.unacked and partition.unacked[0].message.offset <= at:
                partition.unacked.popleft().ack()
        self._count()

    def keep(self, keeper: Producer, number: int, blocks: Sequence[Block]) -> None:
        """Write blocks of a partition's state, all or none. Blocks. Raises KafkaException, for one where another has
        loaded the partition since."""
        with kafka.transaction(keeper):
            for block in blocks:
                keeper.produce(self.config.topic(topics.STATE), block.value, block.key, number)

    def _count(self) -> None:
        for partition in self.partitions.values():
            outcomes = partition.converter.outcomes
            for code in outcomes.nonzero()[0].tolist():
                telemetry.READINGS.labels("convert", Outcome(code).name.lower()).inc(int(outcomes[code]))
            outcomes[:] = 0


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Whether the event happens within a time."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), within_s)
    return event.is_set()


def is_leaving(app: Any) -> bool:
    """Whether the app is stopping, or its partitions are being taken from it."""
    return bool(app.should_stop or not app.flow_control.is_active())


def header_list(headers: Any) -> kafka.Headers:
    """Faust gives headers as a mapping or a list."""
    if not headers:
        return []
    return list(headers.items()) if isinstance(headers, dict) else list(headers)


def last_origin(config: Settings, consumer: Any, topic: str, partition: int) -> dict[str, Any]:
    """What the last record of carbon.emissions answers; {} where there is none."""
    first, end = kafka.end_offsets_of(consumer, topic, partition)
    origin: dict[str, Any] = {}
    for message in kafka.read_range(consumer, topic, partition, max(first, end - 1), end):
        origin = orjson.loads(message.value() or b"{}")["origin"]
    return origin


def create() -> Any:
    """The Faust app; importing this module has no effect until this is called."""
    config = settings()
    convert = Convert(config)
    app = faust_app(config, "convert")
    readings = raw_topic(app, config, topics.READINGS)
    watchdog = Watchdog(
        config,
        "convert",
        app,
        config.topic(topics.READINGS),
        at=lambda: {n: p.converter.at for n, p in convert.partitions.items()},
        taken=lambda: convert.taken,
    )

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(_: faust.App, revoked: Any, **__: Any) -> None:
        for tp in revoked:
            convert.partitions.pop(tp.partition, None)

    @app.agent(readings, concurrency=1, name="convert")
    async def agent(stream: Any) -> None:
        try:
            await asyncio.gather(
                convert.run(stream),
                convert.confirm(app),
                convert.checkpoints(app),
                watchdog.run(),
            )
        except Exception as error:
            end_process(convert.log, error)

    return app
