"""convert: meter.readings -> carbon.emissions, exactly one frame for every record, recovered from Kafka alone.

Faust delivers at least once; this agent makes it exactly once without Faust's tables. A checkpoint writes the
changed blocks of state to meter.state and only then acks the frames up to there, so the group's offset is a
checkpoint. A stalled old worker may answer an offset a second time: consumers take the first copy.

What it writes goes through librdkafka, not through Faust's producer: that one costs 0.6 ms a record on two busy cores.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import faust
import orjson
from confluent_kafka import KafkaError, KafkaException, Message

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
from carbonstream.streams.watchdog import Stall, Watchdog

Delivered = Callable[[KafkaError | None, Message], None]
STOP_POLL_S = 0.05
IN_FLIGHT = (
    1_024  # frames answered but not yet acknowledged by the broker: at 100 ms each, 8,000 small ones a second
)
REPORT_S = 0.01  # how often acknowledgements are looked for
IDLE_S = 0.25  # without a record it may be looked seldom, and the next one need not wait for others
# Kept long and read three times. zstd packs twice as tight as lz4; at level 1 as tight as at 3, in half the time. A
# request, one for each partition, costs the broker as much as storing 100 readings: what comes within 100 ms leaves
# together.
WRITING: dict[str, Any] = {"compression.type": "zstd", "compression.level": 1, "linger.ms": 100}


class Partition:
    """A converter, and the frames of it that wait for their answer's acknowledgement and for a checkpoint."""

    def __init__(self, converter: Converter, answered: int) -> None:
        self.converter = converter
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
        self.reference = ReferenceLog(config)
        self.topic_ids = kafka.partitioned_topic_ids(
            config, [topics.READINGS, topics.EMISSIONS, topics.STATE]
        )
        self.producer = kafka.producer(config, **WRITING)
        self.pending: deque[Answered] = deque()  # in the order they were handled
        self.has_come = asyncio.Event()  # a record, since `confirm` last waited for one
        self.stall = Stall(kafka.SESSION_S)
        self.limits = Limits(
            config.live_max_age_s * 1_000,
            config.live_max_ahead_s * 1_000,
            config.backfill_max_ahead_s * 1_000,
        )

    def load(self, number: int) -> Partition:
        """Take a partition's state up from meter.state and carbon.emissions. Blocks."""
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
            key, value = message.key(), message.value()
            if key is not None and value is not None and key.startswith(b"convert/"):
                newest[bytes(key)] = value
        for key, value in newest.items():
            in_force |= converter.restore(key, value)
        converter.restored()
        answered = last_answered(self.config, consumer, emissions, number)
        consumer.close()
        if answered >= 0 and not newest and answered > self._first_offset(number):
            self.log.warning("no checkpoint, replaying from the start", partition=number, answered=answered)
        if in_force:
            self.reference.catch_up(in_force)
            self.reference.apply(reference, in_force)
        if converter.tick is not None:
            reference.advance_clock(converter.tick)
        self.log.info(
            "partition loaded", partition=number, at=converter.at, answered=answered, blocks=len(newest)
        )
        return Partition(converter, answered)

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
                self.watchdog.progress()
            at = partition.converter.at
            if 0 <= at < message.offset - 1:
                raise BrokenChain(
                    f"meter.readings[{message.partition}] goes on at {message.offset}, state stands at {at}: what lies "
                    "between is gone (retention) or was not handed out; a restart reads it again while it is there"
                )
            while len(self.pending) >= IN_FLIGHT:
                await asyncio.sleep(REPORT_S)
            if message.offset > at:
                await self._answer(partition, event)
            else:
                self.pending.append(Answered(partition, event, is_acknowledged=True))

    async def _answer(self, partition: Partition, event: Any) -> None:
        converter, message, payload = partition.converter, event.message, event.value
        record = parse_record(payload, kafka.type_of(header_list(message.headers)))
        if isinstance(record, Tick):
            if not self.reference.has(record.reference):
                await asyncio.to_thread(self.reference.catch_up, record.reference)
            self.reference.apply(converter.reference, record.reference)
            converter.reference.advance_clock(max(record.time, converter.tick or 0))
        answer = message.offset > partition.answered
        out = converter.handle(message.offset, record, payload, int(message.timestamp * 1_000), answer=answer)
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
        self._write(topics.EMISSIONS, message.partition, None, out.value, answered.delivered, headers)
        self.pending.append(answered)

    def _write(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes,
        delivered: Delivered,
        headers: kafka.Headers | None = None,
    ) -> None:
        self.producer.produce(
            self.config.topic(topic), value, key, partition,
            on_delivery=delivered, headers=headers or [],  # type: ignore[arg-type]
        )  # fmt: skip

    async def confirm(self, app: Any) -> None:
        """Take acknowledgements in for ever."""
        while True:
            self.stall.turn(time.monotonic())
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
            self.watchdog.progress()

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
        """Write changed blocks, then each partition's own record, then ack. Never before answers are confirmed."""
        for number, partition in [(n, self.partitions[n]) for n in numbers]:
            at = partition.converter.at
            if not partition.unacked and partition.confirmed >= at:
                continue
            blocks = list(partition.converter.blocks())  # state as of `at`, taken before any await
            while partition.confirmed < at:
                await asyncio.sleep(REPORT_S)
                self._confirm()
            *changed, own = blocks
            await self._write_blocks(number, changed)
            await self._write_blocks(number, [own])
            while partition.unacked and partition.unacked[0].message.offset <= at:
                partition.unacked.popleft().ack()
        self._count()

    async def _write_blocks(self, number: int, blocks: Sequence[Block]) -> None:
        """Write blocks of state, and return when Kafka holds them."""
        under_way = len(blocks)

        def delivered(error: KafkaError | None, _: Message) -> None:
            nonlocal under_way
            if error is not None:
                raise KafkaException(error)
            under_way -= 1

        # of state the newest record counts, not the first: ours must not be late
        self.stall.turn(time.monotonic())
        for block in blocks:
            self._write(topics.STATE, number, block.key, block.value, delivered)
        while under_way:
            await asyncio.sleep(REPORT_S)
            self._confirm()

    def _count(self) -> None:
        for partition in self.partitions.values():
            outcomes = partition.converter.outcomes
            for code in outcomes.nonzero()[0].tolist():
                telemetry.READINGS.labels("convert", Outcome(code).name.lower()).inc(int(outcomes[code]))
            outcomes[:] = 0

    watchdog: Watchdog


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


def last_answered(config: Settings, consumer: Any, topic: str, partition: int) -> int:
    """Source offset the last record of carbon.emissions answers; -1 where there is none."""
    first, end = kafka.end_offsets_of(consumer, topic, partition)
    answered = -1
    for message in kafka.read_range(consumer, topic, partition, max(first, end - 1), end):
        answered = orjson.loads(message.value() or b"{}")["origin"]["offset"]
    return answered


def create() -> Any:
    """The Faust app; importing this module has no effect until this is called."""
    config = settings()
    convert = Convert(config)
    app = faust_app(config, "convert")
    readings = raw_topic(app, config, topics.READINGS)
    convert.watchdog = Watchdog(config, "convert", app, config.topic(topics.READINGS), lambda: {
        n: p.converter.at for n, p in convert.partitions.items()
    })  # fmt: skip

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
                convert.watchdog.run(),
            )
        except Exception as error:
            end_process(convert.log, error)

    return app
