"""Faust as we use it: raw bytes, no tables, no leader topic, no web server, manual acks."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from carbonstream.connectors.kafka import SESSION_S
from carbonstream.schemas.settings import Settings

EXIT_RESTART: Final = 75  # EX_TEMPFAIL: the supervisor starts us again
# A fetch costs the broker and us about a millisecond: while records come, waiting a moment for more makes them few.
GATHERED_BYTES: Final = 1 << 18
GATHERING_MS: Final = 50
IDLE_FETCH_MS: Final = 500
# Readings of one meter, one after the other, take ten times as long as those of many: a replayed file's frame of 500
# some 80 ms. So many of a partition are taken at a time, and so many wait in all, that live ones come soon.
TAKEN: Final = 8
BUFFERED: Final = 32
FETCHED_BYTES: Final = 1 << 20


class FairThread(driver.AIOKafkaConsumerThread):
    """Takes a few records of each partition in turn, where Faust would first hand out all it has fetched of one.

    Reads what is committed: a producer of somebody else's may write in transactions, and give one up. Faust would
    only do so in transactions of its own.
    """

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"  # taken up when it starts
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's own
        max_records: int | None = None,
    ) -> Mapping[TP, list[Any]]:
        found: dict[TP, list[Any]] = {}
        for partition in active_partitions:
            try:
                found |= await super()._fetch_records(consumer, {partition}, 0, TAKEN)
            except KafkaError:  # of this partition; it comes again with the next fetch
                if not found:
                    raise
        return found or await super()._fetch_records(consumer, active_partitions, timeout, TAKEN)


class FairConsumer(driver.Consumer):
    """With such a thread."""

    def _new_consumer_thread(self) -> FairThread:
        return FairThread(self, loop=self.loop, beacon=self.beacon)


class FairTransport(driver.Transport):
    """With such a consumer."""

    Consumer = FairConsumer


def faust_app(config: Settings, name: str) -> Any:
    """A Faust app of one service."""
    # aiokafka makes a debug record of every request, which costs as much as judging a frame
    logging.disable(logging.INFO)
    datadir = config.state_dir / "faust" / name
    datadir.mkdir(parents=True, exist_ok=True)
    brokers = ";".join(f"kafka://{server}" for server in config.kafka.split(","))
    app: Any = faust.App(
        config.topic_prefix + name,
        broker=brokers,
        broker_credentials=credentials(config),
        datadir=str(datadir),
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        producer_linger=0,  # while one request is under way the next gathers
        # aiokafka compresses lz4 at level 9, 43 MB/s here; zstd at its default does 264 MB/s and packs twice as tight
        producer_compression_type="zstd",
        producer_max_batch_size=1
        << 20,  # at the default of 16 kB every frame of 200 was a request of its own
        producer_acks=-1,
        producer_max_request_size=4 << 20,
        consumer_max_fetch_size=FETCHED_BYTES,
        stream_buffer_maxsize=BUFFERED,
        broker_commit_interval=1.0,
        broker_commit_every=1_000_000,
        consumer_auto_offset_reset="earliest",
        # static membership: whoever comes with the name takes the place of the one that was killed
        consumer_group_instance_id=config.instance or None,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=2,
        broker_max_poll_interval=120,
    )
    app.transport = FairTransport(app.conf.broker_consumer, app)
    return app


def credentials(config: Settings) -> Any:
    """What `connectors.kafka.client` says, for Faust's own client; None where nothing is asked for."""
    context = None
    if config.kafka_security.endswith("ssl"):
        context = ssl.create_default_context(cafile=config.kafka_ca or None)
        if config.kafka_certificate:
            context.load_cert_chain(config.kafka_certificate)
    if config.kafka_security.startswith("sasl"):
        return faust.SASLCredentials(
            username=config.kafka_user,
            password=config.kafka_password,
            ssl_context=context,
            mechanism=config.kafka_sasl,
        )
    return faust.SSLCredentials(context) if context else None


def gather(app: Any, *, is_busy: bool) -> None:
    """From its next fetch on the app waits for many records at once (is_busy), or for the first one."""
    # Faust has no setting for it; its version and aiokafka's are pinned
    fetcher = app.consumer._thread._consumer._fetcher
    if is_busy:
        fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = GATHERED_BYTES, GATHERING_MS
    else:
        fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = 1, IDLE_FETCH_MS


def raw_topic(app: Any, config: Settings, name: str) -> Any:
    """A catalogue topic as bytes; Faust neither creates nor decodes it."""
    return app.topic(
        config.topic(name), value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw"
    )


def end_process(log: Any, error: BaseException) -> NoReturn:
    """End at once, without a clean-up that could ack what was not done; the supervisor restarts us."""
    log.error("ending the process", error=repr(error), exc_info=error)
    os._exit(EXIT_RESTART)
