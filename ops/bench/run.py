"""The benchmark: broker, database and all processes on this machine, in a runtime of its own, in virtual time."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect, one_row
from carbonstream.connectors.migrations import migrate
from carbonstream.ops.balance import ledger
from carbonstream.ops.bench.db_limit import db_limit
from carbonstream.ops.bench.fleet import BEGIN_MS, QUARTER_MS, SOURCE, Fleet, shard_loads
from carbonstream.ops.bench.published import Publication, api_client, factor_in_force
from carbonstream.ops.bench.servers import PROFILE, Say, bench_settings, in_force, servers_of_its_own
from carbonstream.ops.bench.visible import VisibleClock
from carbonstream.ops.bench.warned import Sent, WarnedClock, crossings, write_rules
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.ops.local.runtime import runtime_folder
from carbonstream.ops.local.servers import stop
from carbonstream.ops.supervisor import Supervisor
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

FRAME: Final = 200
# the bench has a source of its own and sends its own ticks; what looks at stored rows now and then is left out
SERVICES: Final = ("relay", "timescale", "convert", "watch", "ledger", "warn", "instant", "api")
SINKS: Final = 1
WARNINGS: Final = 500
WARM_ROUNDS: Final = 20  # two million readings: until the broker's JIT has settled
COUNTED: Final = "select coalesce(sum(readings), 0) from ledger where hop = %s and source = %s"
DRAINED_POLL_S: Final = 0.1  # a sum over some thousand lines of the ledger


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. Seconds are those of sending; draining comes on top."""

    sites: int = 1_000
    meters: int = 100_000
    mixed: bool = False
    throughput_s: int = 45
    latency_rate: int = 33_000
    latency_s: int = 25
    publication_rate: int = 10_000
    publication_s: int = 8


def bench(plan: Plan, say: Say) -> dict[str, Any]:
    """Run it all; ends by itself. The result is what `carbonstream bench --json` prints."""
    with servers_of_its_own(say):
        return _measured(plan, say)


def _measured(plan: Plan, say: Say) -> dict[str, Any]:
    fleet = Fleet(plan.sites, plan.meters, plan.mixed)
    settings, environment = bench_settings()
    supervisor = Supervisor(SERVICES, environment, logs=runtime_folder() / PROFILE / "logs")
    try:
        _prepare(settings, fleet, say)
        supervisor.start()
        in_force(settings, BEGIN_MS)
        say("warming up")
        warm = _source(environment, plan, (0, WARM_ROUNDS), 0, 60)
        warm_rate = warm["sent"] / (_drained(settings, warm["sent"]) - warm["began"])
        rounds = max(round(warm_rate * plan.throughput_s / plan.meters), 1)
        say(f"throughput: {rounds * plan.meters:,} readings in frames of {FRAME}, as fast as it goes")
        batches = _batches(settings)
        full = _source(environment, plan, (WARM_ROUNDS, WARM_ROUNDS + rounds), 0, 120)
        ended = _drained(settings, warm["sent"] + full["sent"], 4.0 * plan.throughput_s)
        rate = full["sent"] / (ended - full["began"])
        batch = round(full["sent"] / max(_batches(settings) - batches, 1))
        _drained(
            settings, warm["sent"] + full["sent"], hop="accepted"
        )  # a steady load has no backlog of a full one
        _judged(settings)
        say(f"{rate:,.0f} readings/s; latency at {plan.latency_rate:,}/s for {plan.latency_s} s")
        limits = _limits(settings, fleet, plan, full["next_round"])
        clock, watch = VisibleClock(settings), WarnedClock(settings)
        clock.start()
        watch.start()
        steady = _source(environment, plan, (full["next_round"], 10_000), plan.latency_rate, plan.latency_s)
        sent = warm["sent"] + full["sent"] + steady["sent"]
        _drained(settings, sent)
        clock.stop()
        seconds = clock.latencies_s(steady["acks"])
        watch.wait(len(limits), 30.0)
        watch.stop()
        warned = watch.latencies_s(limits, steady["acks"])
        say(f"a factor is published while {plan.publication_rate:,} readings/s flow")
        published, flowed = _published(settings, environment, plan, steady["next_round"])
        sent += flowed
        _drained(settings, sent)
        say("accounting")
        counted = ledger(settings, 120.0)
        lost, doubled = _lost_and_doubled(settings, sent, counted)
    finally:
        supervisor.end()
    say("what the database alone can take")
    stop(PROFILE, "kafka")
    numbers = _numbers(settings)
    limit = db_limit(settings, numbers, BEGIN_MS + 400 * 96 * QUARTER_MS, batch, SINKS)
    return {
        "throughput": {
            "readings_per_s": round(rate),
            "frame": FRAME,
            "db_limit_readings_per_s": limit["readings_per_s"],
            "share_of_db_limit": round(rate / limit["readings_per_s"], 3),
        },
        "latency": {
            "rate": plan.latency_rate,
            "achieved_rate": round(steady["sent"] / (steady["ended"] - steady["began"])),
            "p50_s": round(float(np.quantile(seconds, 0.5)), 3),
            "p99_s": round(float(np.quantile(seconds, 0.99)), 3),
            "max_s": round(float(seconds.max()), 3),
        },
        "warning": {
            "raised": int(np.isfinite(warned).sum()),
            "missing": int(np.isinf(warned).sum()),
            "p50_s": round(float(np.quantile(warned, 0.5)), 3),
            "p99_s": round(float(np.quantile(warned, 0.99)), 3),
        },
        "publication": published,
        "lost": lost,
        "doubled": doubled,
        "balanced": counted["balanced"],
        "readings": sent,
        "sinks": SINKS,
        "db_limit": limit,
    }


def _prepare(settings: Settings, fleet: Fleet, say: Say) -> None:
    migrate(settings)
    create_topics(settings)
    record_layout(settings)
    say(f"registering {fleet.meters:,} meters of {fleet.sites:,} sites")
    with tempfile.TemporaryDirectory() as folder, connect(settings, application="bench") as connection:
        now = datetime.now(UTC)
        with connection.transaction():
            load_packaged(connection, now)
            load_files(connection, fleet.write(Path(folder)), now)


def _limits(settings: Settings, fleet: Fleet, plan: Plan, first: int) -> dict[str, tuple[float, Sent]]:
    """Limits that readings of the steady load will cross, in force; none in its first round or its last."""
    rounds = max(plan.latency_rate * plan.latency_s // plan.meters - 2, 1)
    limits = crossings(shard_loads(fleet, FRAME), first + 1, rounds, WARNINGS)
    with tempfile.TemporaryDirectory() as folder, connect(settings, application="bench") as connection:
        rules = write_rules(limits, Path(folder) / "warning_rules.csv")
        load_files(connection, {"warning_rules": rules}, datetime.now(UTC))
        connection.commit()
    in_force(settings, BEGIN_MS)
    return limits


def _published(
    settings: Settings, environment: dict[str, str], plan: Plan, first: int
) -> tuple[dict[str, Any], int]:
    """What readers saw around the approval of a factor while readings flowed, and how many flowed."""
    with api_client(settings) as client, ThreadPoolExecutor(1) as pool:
        old = factor_in_force(client)
        publication = Publication(settings, old, (old * Decimal("0.97")).quantize(Decimal("0.0001")))
        rate, seconds = plan.publication_rate, plan.publication_s
        flowing = pool.submit(_source, environment, plan, (first, 10_000), rate, seconds)
        publication.start()
        try:
            publication.approve(client)
            publication.until_told(plan.sites)
            flowed = flowing.result()
        finally:
            publication.stop()
    achieved = round(flowed["sent"] / (flowed["ended"] - flowed["began"]))
    return {"rate": rate, "achieved_rate": achieved, **publication.report()}, int(flowed["sent"])


def _source(
    environment: dict[str, str], plan: Plan, rounds: tuple[int, int], rate: int, seconds: int
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        acks = Path(folder) / "acks.npy"
        job = {"rounds": rounds, "rate": rate, "seconds": seconds, "sites": plan.sites, "meters": plan.meters,
               "mixed": plan.mixed, "frame": FRAME, "acks": str(acks)}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "carbonstream.ops.bench.source", json.dumps(job)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds + 90,
            check=False,
        )
        if done.returncode:
            raise NotReady(f"the source failed: {done.stderr[-2_000:]}")
        return {**json.loads(done.stdout), "acks": np.load(acks)}


def _drained(settings: Settings, readings: int, timeout_s: float = 120.0, *, hop: str = "outcome") -> float:
    """Wall time (s) at which so many readings of ours were committed (hop accepted: counted by the ledger's reader)."""
    until = time.monotonic() + timeout_s
    with connect(settings, application="bench", autocommit=True) as connection:
        while time.monotonic() < until:
            if one_row(connection, COUNTED, (hop, SOURCE))[0] >= readings:
                return time.time()
            time.sleep(DRAINED_POLL_S)
    raise NotReady(f"not all of {readings:,} readings were stored within {timeout_s} s")


def _judged(settings: Settings, timeout_s: float = 120.0) -> None:
    """Wait until `instant` has judged all of carbon.emissions; it writes down where it stands when nothing comes."""
    consumer = kafka.reader(settings)
    topic = settings.topic(topics.EMISSIONS)
    ends = {n: kafka.end_offsets_of(consumer, topic, n)[1] for n in range(settings.partitions)}
    consumer.close()
    until = time.monotonic() + timeout_s
    with connect(settings, application="bench", autocommit=True) as connection:
        while time.monotonic() < until:
            rows = connection.execute("select partition, next_offset from instant_position").fetchall()
            at: dict[int, int] = dict(rows)
            if all(at.get(n, 0) >= end for n, end in ends.items()):
                return
            time.sleep(0.1)
    raise NotReady(f"instant has not judged everything within {timeout_s} s")


def _batches(settings: Settings) -> int:
    """How many transactions the sinks have made: each one that stores readings appends one change mark."""
    with connect(settings, application="bench") as connection:
        return int(one_row(connection, "select last_value from change_mark_id_seq")[0])


def _lost_and_doubled(settings: Settings, sent: int, counted: dict[str, Any]) -> tuple[int, int]:
    """Against the rows themselves: each reading sent must be one row, and counted once in the totals."""
    with connect(settings, application="bench") as connection:
        rows, baselines, in_totals = one_row(
            connection,
            "select (select count(*) from reading), (select count(*) from reading where flags & 4 <> 0), "
            "(select coalesce(sum(t.readings), 0) from total_hour t join entity e on e.number = t.entity "
            " where e.kind = 'site')",
        )
    lost = max(sent - rows, 0) + max(rows - baselines - in_totals, 0)
    doubled = max(counted["accepted"]["readings"] - sent, 0) + max(in_totals - (rows - baselines), 0)
    return lost, doubled


def _numbers(settings: Settings) -> np.ndarray[Any, np.dtype[np.int64]]:
    with connect(settings, application="bench") as connection:
        return np.array(
            [row[0] for row in connection.execute("select number from meter order by number")], np.int64
        )
