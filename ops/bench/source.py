"""The benchmark's source, a process of its own: sends rounds as fast as Kafka takes them, or at a steady rate.

`python -m carbonstream.ops.bench.source '{"rounds": [0, 60], "rate": 0, ...}'` prints what was sent as JSON and
writes when each frame was acknowledged to `acks` (npy: partition, offset, wall ms, readings, shard, seq).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.ticker import reference_ends, send_ticks
from carbonstream.ops.bench.fleet import BEGIN_MS, QUARTER_MS, SOURCE, Fleet, round_frames, shard_loads
from carbonstream.schemas import topics
from carbonstream.schemas.frames import TYPE_READINGS, cloud_event_headers
from carbonstream.schemas.settings import settings
from carbonstream.schemas.shards import partition_of

BULK: dict[str, Any] = {"linger.ms": 100}  # fewer requests, as one costs the broker half a millisecond
IN_FLIGHT = 2_000  # frames: a source does not run seconds ahead of the broker


def send(job: dict[str, Any]) -> dict[str, Any]:
    """Send rounds [first, end); rate 0: as fast as it goes, for at most `seconds`."""
    config = settings()
    producer = kafka.producer(config, **BULK)
    topic = config.topic(topics.READINGS)
    reference = reference_ends(kafka.admin(config), config)
    loads = shard_loads(Fleet(job["sites"], job["meters"], job["mixed"]), job["frame"])
    acks: list[tuple[int, int, float, int, int, int]] = []
    failed = 0

    def delivered(readings: int, shard: int, seq: int) -> Callable[[Any, Any], None]:
        def report(error: Any, message: Any) -> None:
            nonlocal failed
            if error is not None:
                failed += 1
            else:
                now = time.time() * 1_000
                acks.append((message.partition(), message.offset(), now, readings, shard, seq))

        return report

    rate, sent, rounds = job["rate"], 0, 0
    first, end = job["rounds"]
    began = time.time()
    for round_ in range(first, end):
        if time.time() - began > job["seconds"]:
            break
        send_ticks(producer, config, BEGIN_MS + (round_ + 1) * QUARTER_MS, reference)
        for shard, seq, readings, record in round_frames(loads, round_, int(time.time() * 1_000)):
            if rate:
                ahead = sent / rate - (time.time() - began)
                if ahead > 0.002:
                    producer.poll(0)
                    time.sleep(ahead)
            while len(producer) > IN_FLIGHT:
                producer.poll(0.005)
            producer.produce(
                topic,
                record,
                None,
                partition_of(shard, config.partitions),
                on_delivery=delivered(readings, shard, seq),
                headers=cloud_event_headers(TYPE_READINGS, SOURCE, f"{shard}/{seq}"),  # type: ignore[arg-type]
            )
            producer.poll(0)
            sent += readings
        rounds = round_ + 1
    producer.flush(30)
    np.save(job["acks"], np.array(acks, np.float64))
    return {"sent": sent, "began": began, "ended": time.time(), "next_round": rounds, "failed": failed}


if __name__ == "__main__":
    print(orjson.dumps(send(orjson.loads(sys.argv[1]))).decode())
