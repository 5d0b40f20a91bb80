"""kill -9 of every part in the middle of a replay changes nothing: same rows, totals, ledger, warnings."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.replay import Format, Options, replay
from carbonstream.ops.balance import ledger
from carbonstream.ops.local import kill, start, stop
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.frames import HEADER_TICK
from tests.running import STEEL, Running, eventually, running

pytestmark = pytest.mark.timeout(900)  # replays with recoveries that wait for a session time-out
PROFILE = os.environ.get("CARBONSTREAM_FAULTS_PROFILE", "faults")
SOURCE = "replay/steel"
READINGS = 91 * 96  # a quarter of the year
QUARTER_S = 900
PART_S = 12  # for one part of it, some of which is stored when the victim is killed
SERVERS: dict[str, Literal["kafka", "postgres"]] = {"kafka": "kafka", "postgres": "postgres"}
DRILLS = ("convert", "timescale", "relay", "warn", "watch", "kafka", "postgres", "convert")


@dataclass(frozen=True)
class Outcome:
    """All that must not depend on what was killed."""

    rows: list[tuple[Any, ...]]
    findings: list[tuple[Any, ...]]
    hours: list[tuple[Any, ...]]
    periods: list[tuple[Any, ...]]
    ledger: list[tuple[Any, ...]]
    warnings: list[tuple[Any, ...]]
    history: list[tuple[Any, ...]]
    told_warnings: list[tuple[Any, ...]]
    told_totals: dict[tuple[Any, ...], Any]


def outcome(run: Running) -> Outcome:
    """Read it all, by names instead of numbers."""
    return Outcome(
        run.query("select m.meter_id, r.time, r.start, r.quantity, r.raw_index, r.quality, r.flags "
                  "from reading r join meter m on m.number = r.meter order by 1, 2"),
        run.query('select m.meter_id, f.time, f."check", f.decision, f.size '
                  "from finding f join meter m on m.number = f.meter order by 1, 2, 3"),
        run.query("select e.id, t.bucket, t.carrier, t.shard, t.readings, t.quantity, t.estimated "
                  "from total_hour t join entity e on e.number = t.entity where e.kind <> 'class' order by 1, 2, 3"),
        run.query("select e.id, t.grain, t.bucket, t.carrier, t.shard, t.readings, t.quantity, t.estimated "
                  "from total_period t join entity e on e.number = t.entity where e.kind <> 'class' order by 1, 2, 3"),
        run.query("select source, site, day, hop, outcome, readings, quantity_wh from ledger order by 1, 2, 3, 4, 5"),
        run.query("select id, version, state, bucket from warning order by 1"),
        run.query("select id, version, state, bucket from warning_history order by 1, 2"),
        sorted({(r["id"], r["version"], r["state"]) for r in told(run, topics.WARNINGS) if "operation" not in r}),
        {  # the newest of each
            (r["entity"], r["grain"], r["bucket"]): (
                r["readings"], [(c["carrier"], c["quantity"], c["co2_kg"]) for c in r["carriers"]]
            )
            for r in told(run, topics.TOTALS)
        },
    )  # fmt: skip


def told(run: Running, topic: str) -> list[dict[str, Any]]:
    """What subscribers of a topic read, in the order of each partition, repetitions and all."""
    consumer = kafka.reader(run.settings)
    try:
        name = run.settings.topic(topic)
        return [
            orjson.loads(message.value() or b"")
            for n in range(run.settings.partitions_of(topic))
            for message in kafka.read_range(consumer, name, n, *kafka.end_offsets_of(consumer, name, n))
        ]
    finally:
        consumer.close()


def send(run: Running, part: Path, speed: float = 0.0) -> None:
    """Replay a part; a replay that Kafka left alone goes on where it stood."""
    options = Options(SOURCE, Format.UCI_STEEL, "330502-steel/E01", 2_191, Mode.BACKFILL, speed)
    while True:
        try:
            replay(run.settings, part, options)
            return
        except NotReady:
            start(PROFILE, only="kafka")


def until_stored(run: Running, readings: int) -> None:
    """Wait until so many readings are stored."""
    eventually(lambda: run.stored(SOURCE) >= readings, f"{readings} readings are stored", 300)


def settled(run: Running) -> Outcome:
    """The outcome once everything has passed and warn has nothing more to say."""
    eventually(lambda: run.stored(SOURCE) == READINGS, "every reading is stored", 300)
    account = ledger(run.settings, 60)
    assert account["balanced"], account["differences"]
    last: list[object] = [None]

    def quiet() -> bool:
        now = run.query("select count(*), max(changed_at) from warning_history")
        same, last[0] = now == last[0], now
        pending = run.query("select (select count(*) from change_mark) + (select count(*) from outbox)")[0][0]
        return same and pending == 0 and _warn_has_caught_up(run)

    eventually(quiet, "warn has judged all totals", 300)
    return outcome(run)


def _warn_has_caught_up(run: Running) -> bool:
    consumer = kafka.reader(run.settings)
    try:
        topic = run.settings.topic(topics.TOTALS)
        at = dict(
            run.query("select partition, next_offset from warn_position where topic = %s", topics.TOTALS)
        )
        for n in range(run.settings.partitions):
            first, end = kafka.end_offsets_of(consumer, topic, n)
            if end > first and at.get(n, 0) < end - 1:  # the last offset may be a transaction's marker
                return False
        return True
    finally:
        consumer.close()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, int]:
    """The quarter cut into a part for each drill, with the readings each part ends at."""
    head, *lines = gzip.decompress(STEEL.read_bytes()).decode("utf-8-sig").splitlines()
    marks = [READINGS * n // len(DRILLS) for n in range(len(DRILLS) + 1)]
    folder = tmp_path_factory.mktemp("parts")
    parts = {}
    for begin, end in pairwise(marks):
        part = folder / f"{end}.csv"
        part.write_text("\n".join([head, *lines[begin:end], ""]), encoding="utf-8")
        parts[part] = end
    return parts


@pytest.fixture(scope="module")
def undisturbed(parts: dict[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """The quarter as fast as it goes, nothing killed. Its servers end with the module."""
    with running(tmp_path_factory.mktemp("undisturbed"), profile=PROFILE) as run:
        for part in parts:
            send(run, part)
        undisturbed = settled(run)
    yield undisturbed
    stop(PROFILE)


def test_a_quarter_survives_the_death_of_every_part(
    undisturbed: Outcome, parts: dict[Path, int], tmp_path: Path
) -> None:
    with running(tmp_path, profile=PROFILE) as run:
        for victim, (part, end) in zip(DRILLS, parts.items(), strict=True):
            readings = READINGS // len(DRILLS)
            sending = threading.Thread(target=send, args=(run, part, readings * QUARTER_S / PART_S))
            sending.start()
            until_stored(run, end - readings * 3 // 4)
            assert sending.is_alive(), "the replay must still be going on"
            if victim in SERVERS:
                kill(PROFILE, SERVERS[victim])
                start(PROFILE, only=SERVERS[victim])
            else:
                run.kill(victim)
            sending.join(300)
            assert not sending.is_alive()
            until_stored(run, end)
        disturbed = settled(run)
    assert disturbed == undisturbed


def test_conversion_goes_on_without_the_database_even_after_a_restart(
    undisturbed: Outcome, parts: dict[Path, int], tmp_path: Path
) -> None:
    with running(tmp_path, profile=PROFILE) as run:
        kill(PROFILE, "postgres")
        run.kill("convert")
        before = _emissions(run)
        for part in parts:
            send(run, part)
        # frames of 500: all answered while nothing can be stored
        eventually(lambda: _emissions(run) >= before + READINGS // 500, "carbon.emissions flows", 90)
        assert run.stored(SOURCE) == -1
        start(PROFILE, only="postgres")
        assert settled(run) == undisturbed


def _emissions(run: Running) -> int:
    consumer = kafka.reader(run.settings)
    try:
        name = run.settings.topic(topics.EMISSIONS)
        return sum(
            HEADER_TICK not in dict(message.headers() or ())
            for n in range(run.settings.partitions)
            for message in kafka.read_range(consumer, name, n, *kafka.end_offsets_of(consumer, name, n))
        )
    finally:
        consumer.close()
