"""convert: meter.readings -> carbon.emissions, exactly one frame for every record, recovered from Kafka alone.

Faust delivers at least once; this agent makes it exactly once without Faust's tables. A checkpoint writes the
changed blocks of state to meter.state and only then acks the frames up to there, so the group's offset is a
checkpoint. A stalled old worker may answer an offset a second time: consumers take the first copy.

Run as `python -m carbonstream.streams.convert --loop uvloop worker --without-web` (`carbonstream run convert`).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import faust
import orjson

from carbonstream.connectors import kafka, telemetry
from carbonstream.processors.checks import Limits
from carbonstream.processors.converter import Converter, Layout
from carbonstream.processors.frames import Refusal, Tick, parse_record
from carbonstream.processors.reference import Reference
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.errors import BrokenChain
from carbonstream.schemas.frames import HEADER_REJECTS, HEADER_TICK, TYPE_EMISSIONS, cloud_event_headers
from carbonstream.schemas.settings import Settings, settings
from carbonstream.streams.faust_app import end_process, faust_app, raw_topic
from carbonstream.streams.reference_log import ReferenceLog
from carbonstream.streams.watchdog import Watchdog

STOP_POLL_S = 0.05
IN_FLIGHT = 256  # frames answered but not yet acknowledged by the broker
# Answers of so long leave in one request: a request a frame cost a quarter of convert's time.
GATHER_S = 0.025


class Partition:
    """A converter, and the frames of it that wait for their answer's acknowledgement and for a checkpoint."""

    def __init__(self, converter: Converter, answered: int) -> None:
        self.converter = converter
        self.answered = answered  # S: the last source offset that carbon.emissions answers
        self.unacked: deque[Any] = deque()  # events whose answer is acknowledged, not yet acked to the group
        self.confirmed = converter.at  # source offset up to which answers are acknowledged


@dataclass(frozen=True, slots=True)
class Answered:
    """An event that was handled, and what is to be sent for it (None where it was answered before)."""

    partition: Partition
    event: Any
    value: bytes | None = None
    headers: kafka.Headers = field(default_factory=list)


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
        self.pending: asyncio.Queue[Answered] = asyncio.Queue(IN_FLIGHT)
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
            if message.offset > at:
                await self.pending.put(await self._answer(partition, event))
            else:
                await self.pending.put(Answered(partition, event))

    async def _answer(self, partition: Partition, event: Any) -> Answered:
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
            return Answered(partition, event)
        id_ = f"{converter.layout.readings_topic}/{message.partition}/{message.offset}"
        headers = cloud_event_headers(TYPE_EMISSIONS, "convert", id_)
        if out.tick is not None:
            headers.append((HEADER_TICK, b"%d" % out.tick))
        if out.rejects:
            headers.append((HEADER_REJECTS, b"%d" % out.rejects))
        return Answered(partition, event, out.value, headers)

    async def confirm(self, output: Any) -> None:
        """The one task that sends answers and awaits their acknowledgement, in order."""
        while True:
            gathered = [await self.pending.get()]
            await asyncio.sleep(GATHER_S)
            while not self.pending.empty():
                gathered.append(self.pending.get_nowait())
            futures = [
                await output.send(
                    key=None, value=a.value, partition=a.event.message.partition, headers=a.headers
                )
                for a in gathered
                if a.value is not None
            ]
            for future in futures:
                await future
            for answered in gathered:
                partition, event = answered.partition, answered.event
                partition.confirmed = max(partition.confirmed, event.message.offset)
                partition.unacked.append(event)
            self.watchdog.progress()

    async def checkpoints(self, app: Any, state: Any) -> None:
        """Every checkpoint_s one of all partitions; at once and again when the app is stopping, since Faust waits
        for the acks of what it has handed out."""
        while True:
            until = time.monotonic() + self.config.checkpoint_s
            while time.monotonic() < until and not app.should_stop:
                await asyncio.sleep(STOP_POLL_S)
            await self.checkpoint(state)
            await asyncio.sleep(STOP_POLL_S)

    async def checkpoint(self, state: Any) -> None:
        """Write changed blocks, then each partition's own record, then ack. Never before answers are confirmed."""
        for number, partition in list(self.partitions.items()):
            at = partition.converter.at
            if not partition.unacked and partition.confirmed >= at:
                continue
            blocks = list(partition.converter.blocks())  # state as of `at`, taken before any await
            while partition.confirmed < at:
                await asyncio.sleep(0.005)
            *changed, own = blocks
            for futures in (
                [await state.send(key=b.key, value=b.value, partition=number) for b in changed],
                [await state.send(key=own.key, value=own.value, partition=number)],
            ):
                for future in futures:
                    await future
            while partition.unacked and partition.unacked[0].message.offset <= at:
                partition.unacked.popleft().ack()
        self._count()

    def _count(self) -> None:
        for partition in self.partitions.values():
            outcomes = partition.converter.outcomes
            for code in outcomes.nonzero()[0].tolist():
                telemetry.READINGS.labels("convert", Outcome(code).name.lower()).inc(int(outcomes[code]))
            outcomes[:] = 0

    watchdog: Watchdog


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
    app = faust_app(config, "convert", fetch_wait_ms=50)
    readings = raw_topic(app, config, topics.READINGS)
    emissions = raw_topic(app, config, topics.EMISSIONS)
    state = raw_topic(app, config, topics.STATE)
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
                convert.confirm(emissions),
                convert.checkpoints(app, state),
                convert.watchdog.run(),
            )
        except asyncio.CancelledError:
            await convert.checkpoint(state)
            raise
        except Exception as error:
            end_process(convert.log, error)

    return app


if __name__ == "__main__":
    create().main()
