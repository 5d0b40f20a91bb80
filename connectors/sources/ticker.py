"""The ticker: once a second the time, and how far reference data have come, into every partition of
meter.readings.

A second ticker does no harm: a tick that is not later than the last is answered by an empty frame. On a
runtime in virtual time the ticks come from a test or a replay (`Ticks`, `send_ticks`) and the ticker sends
none.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import orjson
from confluent_kafka import IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.stopping import stop_on_signals
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.frames import TYPE_TICK, cloud_event_headers
from carbonstream.schemas.settings import Settings

PERIOD_MS: Final = 1_000
# A tick that could not be delivered within some periods is of no use: later ones say more.
DELIVERY_TIMEOUT_MS: Final = 5_000
PROMPT: Final[dict[str, Any]] = {"delivery.timeout.ms": DELIVERY_TIMEOUT_MS, "linger.ms": 0}
OFFSETS_TIMEOUT_S: Final = 5.0


def reference_ends(client: AdminClient, settings: Settings) -> dict[str, int]:
    """End offset of what is committed of each ref.* topic, by catalogue name, in one request.

    Raises NotReady when the broker does not answer or a topic is missing.
    """
    asked = {
        TopicPartition(settings.topic(name), 0): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for name in topics.REFERENCE
    }
    until = time.monotonic() + OFFSETS_TIMEOUT_S
    while True:
        answers = client.list_offsets(
            asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=OFFSETS_TIMEOUT_S
        )
        try:
            ends = {
                at.topic.removeprefix(settings.topic_prefix): answer.result(OFFSETS_TIMEOUT_S).offset
                for at, answer in answers.items()
            }
            if min(ends.values()) >= 0:
                return ends
            # a broker that was killed does not know at once how far transactions had come, and answers -1
            if time.monotonic() > until:
                raise NotReady(
                    f"Kafka at {settings.kafka} does not know yet where ref.* end; wait for its recovery"
                )
        except (KafkaException, TimeoutError) as error:
            moving = isinstance(error, KafkaException) and error.args[0].code() in kafka.LEADERLESS
            if not moving or time.monotonic() > until:
                raise NotReady(
                    f"Kafka at {settings.kafka} does not tell where ref.* end ({error}); "
                    "is it running, and were the topics created with `carbonstream topics`?"
                ) from error
        time.sleep(0.05)


def send_ticks(
    producer: Producer, settings: Settings, time_ms: int, reference: dict[str, int] | None = None
) -> None:
    """Queue one tick of `time_ms` (UTC ms) for every partition; flush() tells when they are delivered.

    reference: end offsets by catalogue name; asked of Kafka now where not given. Raises NotReady.
    """
    if reference is None:
        reference = reference_ends(kafka.admin(settings), settings)
    topic = settings.topic(topics.READINGS)
    for partition in range(settings.partitions_of(topics.READINGS)):
        producer.produce(
            topic,
            orjson.dumps({"tick": partition, "time": time_ms, "reference": reference}),
            partition=partition,
            headers=cloud_event_headers(TYPE_TICK, "ticker", f"{partition}/{time_ms}"),  # type: ignore[arg-type]
        )


class Ticks:
    """Ticks of virtual time through one producer, for a replay at speed: asks for the reference offsets at
    most once a wall second, since that round trip (0.5-1 ms) would otherwise be the slowest step.
    """

    def __init__(self, settings: Settings, producer: Producer) -> None:
        self._settings, self._producer = settings, producer
        self._client = kafka.admin(settings)
        self._reference: dict[str, int] | None = None
        self._asked = float("-inf")

    def send(self, time_ms: int) -> None:
        """Queue one tick for every partition. Through an outage the offsets known last go on.

        Raises NotReady where none were ever known, and BufferError when the producer's queue is full; sending the
        same tick again does no harm.
        """
        if time.monotonic() - self._asked >= PERIOD_MS / 1_000:
            try:
                self._reference = reference_ends(self._client, self._settings)
            except NotReady:
                if self._reference is None:
                    raise
            self._asked = time.monotonic()
        send_ticks(self._producer, self._settings, time_ms, self._reference)


def next_tick(wall: int, last: int) -> int:
    """Time of the next tick, UTC ms: the wall clock's, but never before the last one's."""
    return max(wall, last)


async def serve(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Tick until `stop` is set, or SIGTERM or SIGINT comes where none is given."""
    log = telemetry.configure(settings, "ticker")
    stop = stop or stop_on_signals()
    if settings.virtual_time:
        log.info("virtual time: ticks come from a replay or a test, none from here")
        await stop.wait()
        return
    producer = kafka.producer(settings, **PROMPT)
    client = kafka.admin(settings)
    reference: dict[str, int] | None = None
    last = 0
    log.info("ticking", partitions=settings.partitions_of(topics.READINGS))
    while not stop.is_set():
        try:
            reference = await asyncio.to_thread(reference_ends, client, settings)
        except NotReady as error:
            log.warning("reference offsets not known", error=str(error), ticking=reference is not None)
            telemetry.FAULTS.labels("ticker", "reference_offsets").inc()
        wall = wall_ms()
        if wall < last:
            log.warning("wall clock went back, ticks stand still", by_ms=last - wall)
            telemetry.FAULTS.labels("ticker", "clock_went_back").inc()
        last = next_tick(wall, last)
        if reference is not None:
            try:
                send_ticks(producer, settings, last, reference)
                telemetry.RECORDS.labels("ticker", topics.READINGS).inc(
                    settings.partitions_of(topics.READINGS)
                )
            except BufferError:
                telemetry.FAULTS.labels("ticker", "queue_full").inc()
        producer.poll(0)
        try:
            await asyncio.wait_for(stop.wait(), (PERIOD_MS - wall_ms() % PERIOD_MS) / 1_000)
        except TimeoutError:
            continue
    await asyncio.to_thread(producer.flush, DELIVERY_TIMEOUT_MS / 1_000)
    log.info("stopped", last_tick=last)
