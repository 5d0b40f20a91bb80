"""With Kafka gone every request is answered 503, and what was answered 202 is there when it is back."""

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.http.delivery import DELIVERY_TIMEOUT_S
from carbonstream.ops.local import addresses, kill, start, stop
from carbonstream.ops.local.servers import existing
from carbonstream.schemas.settings import Settings

from .pushing import PATH, pushing, served
from .topic import create_topics, frames, readings

PROFILE = "outage"  # a broker of its own: killing the shared one would disturb other tests
NOW = wall_ms()


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    if existing("kafka"):
        pytest.skip("CARBONSTREAM_KAFKA names a broker that is not ours to kill")
    start(PROFILE, only="kafka")
    made = Settings(
        kafka=addresses(PROFILE).kafka,
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        state_dir=tmp_path,
        metrics_port=0,
        log_level="error",
    )
    create_topics(made)
    yield pushing(made)
    stop(PROFILE, only="kafka")


def test_a_killed_broker_gives_503_and_loses_nothing_that_was_accepted(settings: Settings) -> None:
    accepted: list[tuple[str, int, float]] = []
    with served(settings) as client:

        def push(i: int) -> int:
            row = ("330502-0001/E01", NOW - i, float(i))
            answer = client.post(PATH, json=dict(zip(("meter", "end", "value"), row, strict=True)))
            if answer.status_code == 202:
                accepted.append(row)
            else:
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
                assert answer.json()["code"] == "busy"
            return answer.status_code

        assert [push(i) for i in range(50)] == [202] * 50
        kill(PROFILE, "kafka")
        began = time.monotonic()
        while push(1_000) == 503 and client.get("/health/ready").status_code == 200:
            continue  # until the edge knows that Kafka is away
        assert time.monotonic() - began < 2 * DELIVERY_TIMEOUT_S
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
        began = time.monotonic()
        assert push(1_001) == 503
        assert time.monotonic() - began < 1  # at once, without waiting for a delivery
        start(PROFILE, only="kafka")
        while push(2_000) != 202:
            continue
        assert [push(i) for i in range(3_000, 3_050)] == [202] * 50
    found = frames(settings)
    assert Counter(accepted) - Counter(readings(found)) == Counter()
    assert max(Counter((f.shard, f.seq) for f in found).values()) == 1
    seqs = [f.seq for f in found]
    assert seqs == sorted(seqs)
