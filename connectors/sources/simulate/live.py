"""Send a simulated park: the day so far first, then every reading as its interval ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from confluent_kafka import KafkaError, Message, Producer

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.framing import Columns, Stamp, by_shard, frames, frames_needed, headers
from carbonstream.connectors.sources.sequence import SequenceStore, write_durably
from carbonstream.connectors.sources.simulate.park import DEMO_PARK, Park
from carbonstream.processors.load_faults import Fault, read_faulty
from carbonstream.processors.load_shapes import Ints
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Grain, Mode
from carbonstream.schemas.periods import DAY_MS, bucket_start
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of

SOURCE: Final = "simulate/park"
DELIVERY_TIMEOUT_MS: Final = 10_000
PROMPT: Final[dict[str, Any]] = {"delivery.timeout.ms": DELIVERY_TIMEOUT_MS}
# Readings made at once while catching up: 500,000 are 40 MB of columns and 25 MB of frames.
CHUNK_READINGS: Final = 500_000
CATCHING_UP: Final = 3  # intervals; what lies further back is sent in mode backfill
MAX_CATCH_UP_MS: Final = 7 * DAY_MS
NO_FAULTS: Final[Mapping[Fault, float]] = {}


def live_park(
    settings: Settings,
    stop: threading.Event,
    park: Park = DEMO_PARK,
    *,
    source: str = SOURCE,
    faults: Mapping[Fault, float] = NO_FAULTS,
    seed: int = 1,
    catch_up: bool = True,
    now_ms: Callable[[], int] = wall_ms,
) -> None:
    """Send until `stop` is set. Begins with today's readings (or where an earlier run of today stood);
    without `catch_up` with the next one. An outage of Kafka is caught up with afterwards.

    faults: share of each, see load_faults. Raises SourceInUse.
    """
    log = telemetry.configure(settings, "simulate")
    store = SequenceStore(settings.state_dir, source, now_ms())
    producer = kafka.producer(settings, **PROMPT)
    standing = store.folder / "simulated.json"
    step = int(park.loads.interval_ms.max())
    upto = _begin(standing, now_ms(), step, catch_up)
    log.info("simulating", sites=len(park.sites), meters=len(park.meters), since_ms=upto)
    try:
        while not stop.is_set():
            due = now_ms() // step * step
            if due > upto:
                until = min(due, upto + max(CHUNK_READINGS // len(park.meters), 1) * step)
                mode = Mode.BACKFILL if due - upto > CATCHING_UP * step else Mode.LIVE
                if not send_between(producer, settings, store, park, upto, until, mode, faults, seed):
                    log.warning("Kafka does not acknowledge; trying again", since_ms=upto)
                    stop.wait(1.0)
                    continue
                upto = until
                write_durably(standing, orjson.dumps({"upto": upto}))
                continue
            stop.wait((step - now_ms() % step) / 1_000)
    finally:
        store.close()
        log.info("stopped", upto_ms=upto)


def _begin(standing: Path, now: int, step: int, catch_up: bool) -> int:
    """Up to where everything is sent, or need not be, UTC ms."""
    if not catch_up:
        return now // step * step
    try:
        sent_upto = int(orjson.loads(standing.read_bytes())["upto"])
    except FileNotFoundError:
        return int(bucket_start(Grain.DAY, np.array(now)))
    return min(max(sent_upto, now - MAX_CATCH_UP_MS), now // step * step)


def send_between(
    producer: Producer,
    settings: Settings,
    store: SequenceStore,
    park: Park,
    after_ms: int,
    until_ms: int,
    mode: Mode,
    faults: Mapping[Fault, float] = NO_FAULTS,
    seed: int = 1,
) -> bool:
    """Send every reading whose interval ends in (after_ms, until_ms], by time. Whether Kafka acknowledged
    them all; if not, send all of them again: repeats are recognised.
    """
    columns = readings_between(park, after_ms, until_ms, faults, seed)
    if not len(columns):
        return True
    stamp = Stamp(store.source, mode, wall_ms())
    topic, partitions = settings.topic(topics.READINGS), settings.partitions_of(topics.READINGS)
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error)

    for shard, its_columns in by_shard(columns):
        first_seq = store.take(mode, shard, frames_needed(len(its_columns)))
        for seq, value in frames(stamp, shard, first_seq, its_columns):
            producer.produce(
                topic,
                value,
                partition=partition_of(shard, partitions),
                headers=headers(stamp, shard, seq),  # type: ignore[arg-type]
                on_delivery=delivered,
            )
    left = producer.flush(DELIVERY_TIMEOUT_MS / 1_000 + 5)
    return not left and not failures


def readings_between(
    park: Park, after_ms: int, until_ms: int, faults: Mapping[Fault, float] = NO_FAULTS, seed: int = 1
) -> Columns:
    """The readings whose intervals end in (after_ms, until_ms], in the order of time."""
    loads = park.loads
    by_interval: list[tuple[Ints, Ints]] = []
    for interval in np.unique(loads.interval_ms).tolist():
        ends = np.arange(after_ms // interval + 1, until_ms // interval + 1) * interval
        meters = np.flatnonzero(loads.interval_ms == interval)
        by_interval.append((np.tile(meters, len(ends)), np.repeat(ends, len(meters))))
    meter = np.concatenate([m for m, _ in by_interval])
    end = np.concatenate([e for _, e in by_interval])
    order = np.argsort(end, kind="stable")
    sent = read_faulty(loads, meter[order], end[order], faults, seed)
    return Columns([m.meter_id for m in park.meters], sent.meter, None, sent.end, sent.value, None)
