"""kill -9 of every part in the middle of a replay, and a part that wakes up when another has taken its place, change
nothing: same rows, totals, ledger, warnings."""

from __future__ import annotations

import gzip
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from carbonstream.connectors.sources.replay import Format, Options, replay
from carbonstream.ops.balance import ledger
from carbonstream.ops.local import kill, start, stop
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.frames import HEADER_TICK
from tests.running import STEEL, Running, eventually, running, supervised
from tests.topics import ends, messages

pytestmark = pytest.mark.timeout(900)  # replays with recoveries that wait for a session time-out
PROFILE = os.environ.get("CARBONSTREAM_FAULTS_PROFILE", "faults")
SOURCE = "replay/steel"
READINGS = 31 * 96  # a month of the year
QUARTER_S = 900
PIECES, PIECE_S = 26, 7  # the month is sent so slowly that the last victim is killed long before its end
BETWEEN = 25  # readings stored since the victim before was killed
SERVERS: dict[str, Literal["kafka", "postgres"]] = {"kafka": "kafka", "postgres": "postgres"}
STALLED = "a convert that stands still while another takes its place"
WITHOUT_DATABASE = "convert while the database is away"
DRILLS = ("convert", "timescale", "relay", "warn", "watch", "kafka", "postgres", WITHOUT_DATABASE, STALLED)


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
    return [orjson.loads(message.value() or b"") for message in messages(run.settings, topic)]


def send(run: Running, part: Path, speed: float = 0.0) -> None:
    """Replay a part; a replay that Kafka left alone goes on where it stood."""
    options = Options(SOURCE, Format.UCI_STEEL, "330502-steel/E01", 2_191, Mode.BACKFILL, speed)

    def is_sent() -> bool:
        try:
            replay(run.settings, part, options)
        except NotReady:
            return False
        return True

    eventually(is_sent, "the part is sent", 120)


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
    read = dict(run.query("select partition, next_offset from warn_position where topic = %s", topics.TOTALS))
    # the last offset may be a transaction's marker
    return all(read.get(n, 0) >= end - 1 for n, end in enumerate(ends(run.settings, topics.TOTALS)) if end)


def cut(folder: Path, pieces: int) -> list[Path]:
    """The month as files that follow each other."""
    head, *lines = gzip.decompress(STEEL.read_bytes()).decode("utf-8-sig").splitlines()
    marks = [READINGS * n // pieces for n in range(pieces + 1)]
    paths = [folder / f"{end}.csv" for end in marks[1:]]
    for path, (begin, end) in zip(paths, pairwise(marks), strict=True):
        path.write_text("\n".join([head, *lines[begin:end], ""]), encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    """The month in one go, nothing killed. Its servers end with the module."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with running(folder, profile=PROFILE) as run:
        send(run, *cut(folder, 1))
        undisturbed = settled(run)
    yield undisturbed
    stop(PROFILE)


def test_a_month_survives_the_death_of_every_part(undisturbed: Outcome, tmp_path: Path) -> None:
    hurry = threading.Event()
    with (
        running(tmp_path, profile=PROFILE) as run,
        ThreadPoolExecutor(1) as pool,
        ExitStack() as leaving,
    ):
        leaving.callback(hurry.set)

        def send_all() -> None:
            for piece in cut(tmp_path, PIECES):
                send(run, piece, 0.0 if hurry.is_set() else READINGS / PIECES * QUARTER_S / PIECE_S)

        sending = pool.submit(send_all)
        for victim in DRILLS:
            until_stored(run, max(run.stored(SOURCE), 0) + BETWEEN)
            assert not sending.done(), "the replay must still be going on"
            if victim in SERVERS:
                kill(PROFILE, SERVERS[victim])
                start(PROFILE, only=SERVERS[victim])
            elif victim == WITHOUT_DATABASE:
                kill(PROFILE, "postgres")
                run.kill("convert")
                before = _emissions(run)
                eventually(lambda before=before: _emissions(run) > before + 3, "carbon.emissions flows")
                assert run.stored(SOURCE) == -1
                start(PROFILE, only="postgres")
            elif victim == STALLED:
                stalled = run.pid("convert")
                os.kill(stalled, signal.SIGSTOP)
                other = run.settings.model_copy(
                    update={"instance": "second", "state_dir": tmp_path / "second"}
                )
                before = _emissions(run)
                leaving.enter_context(supervised(other, "convert"))
                eventually(lambda before=before: _emissions(run) > before + 3, "the other answers")
                os.kill(stalled, signal.SIGCONT)  # with a checkpoint to write that is not its own any more
            else:
                run.kill(victim)
        hurry.set()
        sending.result(300)
        disturbed = settled(run)
    assert disturbed == undisturbed
    assert len(disturbed.history) > 2  # the month's target was in danger


def _emissions(run: Running) -> int:
    found = messages(run.settings, topics.EMISSIONS)
    return sum(HEADER_TICK not in dict(message.headers() or ()) for message in found)
