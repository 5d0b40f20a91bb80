"""The Kafka clients of everything outside Faust: one configuration each for producing, consuming, administration."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from carbonstream.schemas.errors import LayoutChanged, NotReady
from carbonstream.schemas.settings import Settings

Headers = list[tuple[str, bytes]]
RETRIED: Final = (
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TRANSPORT,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
)
REPORT_S: Final = 0.001  # how often delivery reports are looked for while something is under way
LEADERLESS: Final = (
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)
FENCING_S: Final = 30.0  # as long as a broker may need after its start
COMMIT_S: Final = 5.0  # the longest wait for one answer to a commit
# For records that must follow each other without a gap: one given up while later ones get through would never be sent
# again, since whoever goes on looks at the last one that came. Rather never give up, and end where one is refused.
GAPLESS: Final[dict[str, Any]] = {"delivery.timeout.ms": 0, "enable.gapless.guarantee": True}


def client(settings: Settings) -> dict[str, Any]:
    """What every client of librdkafka is told: which brokers, and how to speak to them."""
    config: dict[str, Any] = {"bootstrap.servers": settings.kafka, "log_level": 2}
    if settings.kafka_security != "plaintext":
        config["security.protocol"] = settings.kafka_security
    if settings.kafka_security.startswith("sasl"):
        config["sasl.mechanism"] = settings.kafka_sasl
        config["sasl.username"], config["sasl.password"] = settings.kafka_user, settings.kafka_password
    if settings.kafka_security.endswith("ssl"):
        config["ssl.ca.location"] = settings.kafka_ca or "probe"  # where systems keep them
        if settings.kafka_certificate:
            for part in ("certificate", "key"):
                config[f"ssl.{part}.location"] = settings.kafka_certificate
    return config


def producer(settings: Settings, *, transactional_id: str | None = None, **overrides: Any) -> Producer:
    """An idempotent producer, acks=all; every call of produce() must name its partition."""
    config: dict[str, Any] = client(settings) | {
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 20,  # a request costs the broker as much as storing 100 readings
        "compression.type": "lz4",
        "queue.buffering.max.kbytes": 262_144,
        "message.max.bytes": 4 << 20,
    }
    if transactional_id is not None:
        config["transactional.id"] = settings.topic_prefix + transactional_id
    return Producer(config | overrides)


@contextmanager
def transaction(producer: Producer) -> Iterator[None]:
    """One transaction, committed at the end and given up on any error; raises that error. Waits for a broker that is
    away for as long as a transaction lasts (60 s)."""
    producer.begin_transaction()
    try:
        yield
        while not _is_committed(producer):
            pass
    except BaseException:
        with suppress(KafkaException):  # of giving up: the next producer of this id fences this one
            producer.abort_transaction(10)
        raise


def _is_committed(producer: Producer) -> bool:
    try:
        producer.commit_transaction(COMMIT_S)
    except KafkaException as error:
        if not error.args[0].retriable():
            raise
        return False
    return True


def keeper(settings: Settings, partition: int, **overrides: Any) -> Producer:
    """The one that writes a partition of meter.state, in transactions: who had it before can write no more.

    Raises KafkaException when there is no answer in time.
    """
    made = producer(settings, transactional_id=f"convert-{partition}", **overrides)
    made.init_transactions(FENCING_S)
    return made


# For a reader that keeps what it is assigned: an empty fetch may wait long, records still come at once. (One that goes
# from partition to partition would wait for the fetch of the one before.)
STAYING: Final = {"fetch.wait.max.ms": 500}


def reader(settings: Settings, **overrides: Any) -> Consumer:
    """A consumer for assign() only: no group, no commits; a lost offset is an error, never a silent skip."""
    return Consumer(
        client(settings)
        | {
            "group.id": settings.topic_prefix + "reader",  # required by the client, never used
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 50,
            "fetch.max.bytes": 16 << 20,
            "queued.max.messages.kbytes": 32_768,
        }
        | overrides
    )


SESSION_S: Final = 10  # by default 45 s, Faust 60 s: most of the recovery after a kill -9 would be waiting


def member(settings: Settings, group: str, **overrides: Any) -> Consumer:
    """A member of a consumer group, for subscribe(): what it stores (store_offsets) is committed within a second.

    With CARBONSTREAM_INSTANCE whoever comes with the name takes the place of the one that was killed; one that is
    stopped for good keeps its partitions for SESSION_S.
    """
    return Consumer(
        client(settings)
        | {
            "group.id": settings.topic_prefix + group,
            "enable.auto.offset.store": False,
            "auto.commit.interval.ms": 1_000,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": SESSION_S * 1_000,
        }
        | ({"group.instance.id": settings.instance} if settings.instance else {})
        | overrides
    )


def admin(settings: Settings) -> AdminClient:
    """An administration client."""
    return AdminClient(client(settings))


def topic_ids(settings: Settings, names: list[str], timeout_s: float = 15.0) -> dict[str, tuple[str, int]]:
    """Topic id and partition count of each topic that exists. Raises NotReady when no broker answers."""
    client = admin(settings)  # must outlive its futures
    try:
        described = client.describe_topics(TopicCollection(names), request_timeout=timeout_s)
    except KafkaException as error:
        raise NotReady(f"Kafka at {settings.kafka} does not answer: {error}") from error
    found: dict[str, tuple[str, int]] = {}
    for name, future in described.items():
        try:
            topic = future.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise NotReady(f"Kafka at {settings.kafka}: cannot describe {name}: {error}") from error
        found[name] = (str(topic.topic_id), len(topic.partitions))
    return found


def partitioned_topic_ids(settings: Settings, names: list[str]) -> dict[str, str]:
    """Topic id of each partitioned topic (catalogue names), after checking that all have the layout's partitions.

    Raises NotReady where one does not exist, LayoutChanged where one has other partitions.
    """
    found = topic_ids(settings, [settings.topic(name) for name in names])
    ids: dict[str, str] = {}
    for name in names:
        if settings.topic(name) not in found:
            raise NotReady(f"topic {name} does not exist; create the topics with `carbonstream topics`")
        ids[name], partitions = found[settings.topic(name)]
        if partitions != settings.partitions:
            raise LayoutChanged(f"{name} has {partitions} partitions, the layout {settings.partitions}")
    return ids


def end_offsets_of(
    consumer: Consumer, topic: str, partition: int, timeout_s: float = 10.0
) -> tuple[int, int]:
    """(first, end) offset of a partition. Waits while it has no leader: a topic just created, a broker just back.

    Raises KafkaException when there is no answer in time.
    """
    until = time.monotonic() + timeout_s
    while True:
        try:
            return consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=timeout_s, cached=False
            )
        except KafkaException as error:
            if error.args[0].code() not in LEADERLESS or time.monotonic() > until:
                raise
        time.sleep(0.05)


def read_range(consumer: Consumer, topic: str, partition: int, first: int, end: int) -> Iterator[Message]:
    """Every record of one partition in [first, end); returns when the position has passed the last, though
    compaction or aborted transactions may have removed it."""
    if first >= end:
        return
    begin = [TopicPartition(topic, partition, first if first >= 0 else OFFSET_BEGINNING)]
    consumer.assign(begin)
    is_sure = False
    try:
        silent_since = time.monotonic()
        while True:
            # one by one: a batch may hold back what was fetched around an assignment
            message = consumer.poll(0.2)
            if message is not None:
                check(message)
                silent_since = time.monotonic()
                at = message.offset() or 0
                if not is_sure and message.error() is None:
                    # a busy machine was once handed the last two of six records; what compaction removed stays away
                    is_sure = True
                    if at > first:
                        consumer.assign(begin)
                        continue
                if message.error() is None and at < end:
                    yield message
                if at >= end - 1:
                    return
            elif consumer.position([TopicPartition(topic, partition)])[0].offset >= end:
                return
            elif time.monotonic() - silent_since > 30:
                raise NotReady(f"{topic}[{partition}]: nothing more comes before offset {end}")
    finally:
        consumer.unassign()


def check(message: Message) -> None:
    """Raise KafkaException where a polled message is an error that the client will not mend by itself."""
    error = message.error()
    if error is not None and error.code() not in RETRIED:
        raise KafkaException(error)


def is_lost_position(message: Message) -> bool:
    """Whether a polled message says that its partition no longer holds the offset to go on from."""
    error = message.error()
    return error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET


def type_of(headers: Headers | None) -> str:
    """CloudEvents type of a record, '' where it has none."""
    for name, value in headers or ():
        if name == "ce_type":
            return (value or b"").decode(errors="replace")  # a header may be there without a value
    return ""


class AcknowledgedProducer:
    """asyncio face of a producer: `await send(...)` returns when Kafka has acknowledged with acks=all.

    Delivery reports are served in the event loop itself: a thread for them would fight with it for the GIL. A
    failed delivery raises KafkaException in the sender.
    """

    def __init__(self, settings: Settings, **overrides: Any) -> None:
        self._producer = producer(settings, **overrides)
        self._loop = asyncio.get_running_loop()
        self._sent = asyncio.Event()
        self._serving = self._loop.create_task(self._serve())

    async def _serve(self) -> None:
        while True:
            await self._sent.wait()
            while len(self._producer):
                self._producer.poll(0)
                await asyncio.sleep(REPORT_S)
            self._sent.clear()

    def send(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int,
        key: bytes | None = None,
        headers: Headers | None = None,
    ) -> asyncio.Future[int]:
        """Future of the record's offset. Raises BufferError when the producer's queue is full: answer 503."""
        future: asyncio.Future[int] = self._loop.create_future()

        def delivered(error: KafkaError | None, message: Message) -> None:
            _settle(future, error, message)

        self._producer.produce(
            topic,
            value,
            key,
            partition,
            on_delivery=delivered,
            headers=headers or [],  # type: ignore[arg-type]
        )
        self._sent.set()
        return future

    def __len__(self) -> int:
        """Records not yet acknowledged."""
        return len(self._producer)

    async def close(self) -> None:
        """Wait for what is under way (at most 10 s) and stop."""
        until = time.monotonic() + 10
        while len(self._producer) and time.monotonic() < until:
            await asyncio.sleep(REPORT_S)
        self._serving.cancel()


def _settle(future: asyncio.Future[int], error: KafkaError | None, message: Message) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(KafkaException(error))
    else:
        future.set_result(message.offset() or 0)
