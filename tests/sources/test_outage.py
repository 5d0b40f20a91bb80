"""A broker is killed under the sources: nothing that was accepted is lost, nothing comes twice."""

import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.http.delivery import DELIVERY_TIMEOUT_S
from carbonstream.connectors.sources.replay import Options, replay
from carbonstream.ops.local import addresses, kill, start, stop
from carbonstream.ops.local.servers import existing
from carbonstream.schemas.settings import Settings
from tests.running import eventually
from tests.topics import create_topics, frames, readings

from .files import write_csv
from .pushing import PATH, pushing, served

PROFILE = "outage"  # a broker of its own: killing the shared one would disturb other tests
NOW = wall_ms()


@pytest.fixture(scope="module")
def own_broker() -> Iterator[str]:
    if existing("kafka"):
        pytest.skip("CARBONSTREAM_KAFKA names a broker that is not ours to kill")
    start(PROFILE, only="kafka")
    yield addresses(PROFILE).kafka
    stop(PROFILE, only="kafka")


@pytest.fixture
def settings(own_broker: str, tmp_path: Path) -> Settings:
    made = Settings(
        kafka=own_broker,
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        partitions=2,
        state_dir=tmp_path / "state",
        metrics_port=0,
        log_level="error",
    )
    create_topics(made)
    return pushing(made)


def kill_broker(settings: Settings) -> None:
    """Returns when its port is closed, too."""
    kill(PROFILE, "kafka")
    host, port = settings.kafka.split(":")

    def is_closed() -> bool:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return True
        return False

    eventually(is_closed, "the broker's port is closed")


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
        kill_broker(settings)
        began = time.monotonic()
        eventually(
            lambda: push(1_000) == 202 or client.get("/health/ready").status_code == 503,
            "the edge knows that Kafka is away",
        )
        assert time.monotonic() - began < 2 * DELIVERY_TIMEOUT_S
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
        began = time.monotonic()
        assert push(1_001) == 503
        assert time.monotonic() - began < 1  # at once, without waiting for a delivery
        start(PROFILE, only="kafka")
        eventually(lambda: push(2_000) == 202, "readings are accepted again")
        assert [push(i) for i in range(3_000, 3_050)] == [202] * 50
    found = frames(settings)
    assert Counter(accepted) - Counter(readings(found)) == Counter()
    assert max(Counter((f.shard, f.seq) for f in found).values()) == 1
    seqs = [f.seq for f in found]
    assert seqs == sorted(seqs)


def test_a_replay_waits_for_a_killed_broker_and_sends_every_frame_once(
    settings: Settings, tmp_path: Path
) -> None:
    sent = write_csv(tmp_path / "file.csv", 2_000)
    under_way = threading.Event()

    def restart() -> None:
        under_way.wait()
        kill_broker(settings)
        start(PROFILE, only="kafka")

    def progress(done: int, of: int) -> None:
        if done > 0.1 * of:
            under_way.set()

    restarting = threading.Thread(target=restart)
    restarting.start()
    report = replay(settings, tmp_path / "file.csv", Options("file", tick_s=900), progress=progress)
    restarting.join()
    found = frames(settings)
    assert report.frames_sent == report.frames == len(found)
    assert Counter(readings(found)) == Counter(sent)
    by_shard: dict[int, list[int]] = {}
    for frame in found:
        by_shard.setdefault(frame.shard, []).append(frame.seq)
    for seqs in by_shard.values():
        assert all(b == a + 1 for a, b in pairwise(seqs))
