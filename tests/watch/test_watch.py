"""watch on real servers, killed in the middle: every tick and every reject comes through."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Message

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Options
from carbonstream.connectors.sources.ticker import send_ticks
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import to_ms
from tests.topics import messages
from tests.warn.conftest import Pipeline, running
from tests.warn.steel import METER, SHANGHAI

NEW_YEAR = datetime(2024, 1, 1, tzinfo=SHANGHAI)
QUARTER = timedelta(minutes=15)
READINGS = 2_000


def id_of(message: Message) -> str:
    """The record's CloudEvents id."""
    value = dict(message.headers() or [])["ce_id"]
    assert isinstance(value, bytes)
    return value.decode()


def records(pipeline: Pipeline, name: str, partition: int) -> list[tuple[str, Any]]:
    """(ce_id, document) of all that a partition holds."""
    return [(id_of(m), orjson.loads(m.value() or b"")) for m in messages(pipeline.settings, name, partition)]


def newest_ticks(pipeline: Pipeline, name: str) -> list[int]:
    """The last tick in each partition of meter.readings or carbon.signals; a replay ends with one."""
    return [records(pipeline, name, n)[-1][1].get("time") for n in range(pipeline.settings.partitions)]


def every_other_in_cubic_metres(path: Path) -> Path:
    """Readings of an electricity meter, every second of them in a unit it cannot have."""
    lines = ["meter,time,value,unit"]
    lines += [
        f"{METER},{(NEW_YEAR + (i + 1) * QUARTER).isoformat()},1,{'m3' if i % 2 else 'kWh'}"
        for i in range(READINGS)
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.timeout(900)
def test_every_tick_and_reject_is_passed_on_though_watch_is_killed(tmp_path: Path) -> None:
    services = ("relay", "convert", "watch")
    with running(tmp_path, "", virtual_time=True, services=services) as pipeline:
        producer = kafka.producer(pipeline.settings)
        send_ticks(producer, pipeline.settings, to_ms(NEW_YEAR))
        producer.flush(30)
        file = every_other_in_cubic_metres(tmp_path / "readings.csv")
        pipeline.replay(file, Options("replay/units", mode=Mode.LIVE, tick_s=900))
        pipeline.until(
            "some ticks are forwarded", lambda: len(records(pipeline, topics.SIGNALS, 0)) > READINGS // 10
        )
        pipeline.kill("watch")
        newest = newest_ticks(pipeline, topics.READINGS)
        pipeline.until("all ticks are forwarded", lambda: newest_ticks(pipeline, topics.SIGNALS) == newest)
        rejected = 0
        for partition in range(pipeline.settings.partitions):
            emissions = records(pipeline, topics.EMISSIONS, partition)
            ticks = {f"{id_}/tick": d["tick"] for id_, d in emissions if d.get("reference") is not None}
            rejects = {f"{id_}/rejects": d["rejects"] for id_, d in emissions if d["rejects"]}
            rejected += sum(map(len, rejects.values()))
            signals = records(pipeline, topics.SIGNALS, partition)
            assert {id_: d["time"] for id_, d in signals} == ticks
            assert {d["partition"] for _, d in signals} == {partition}
            told = records(pipeline, topics.REJECTS, partition)
            assert {id_: d["rejects"] for id_, d in told} == rejects
        assert rejected == READINGS // 2
