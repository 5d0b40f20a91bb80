"""A replay sends every reading once, even when it is killed."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from carbonstream.connectors.sources.replay import Options, replay
from carbonstream.connectors.sources.sequence import SequenceStore
from carbonstream.processors.frames import Tick
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.errors import LayoutChanged, LoadRefused, NotReady, SourceInUse
from carbonstream.schemas.periods import DAY_MS
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of
from tests.topics import create_topics, delete_topics, frames, held, readings

from .files import BEGIN_MS, QUARTER_MS, write_csv


def test_every_reading_arrives_once_in_order_on_its_partition(
    kafka_settings: Settings, tmp_path: Path
) -> None:
    sent = write_csv(tmp_path / "file.csv", 1_200)
    told: list[tuple[int, int]] = []
    report = replay(
        kafka_settings, tmp_path / "file.csv", Options("file"), progress=lambda *p: told.append(p)
    )
    assert (report.readings, report.frames, report.frames_sent) == (3_600, 9, 9)
    assert Counter(readings(frames(kafka_settings))) == Counter(sent)
    assert told[-1] == (3_600, 3_600)
    for record in held(kafka_settings):
        assert record.headers["ce_type"] == "carbonstream.readings.v1"
        assert record.partition == partition_of(record.record.shard, kafka_settings.partitions)
    for frame in frames(kafka_settings):
        assert frame.mode is Mode.BACKFILL
        assert (frame.end[1:] >= frame.end[:-1]).all()


def test_a_known_file_is_not_sent_twice_but_under_another_name_it_is(
    kafka_settings: Settings, tmp_path: Path
) -> None:
    write_csv(tmp_path / "file.csv", 10)
    replay(kafka_settings, tmp_path / "file.csv", Options("file"))
    (tmp_path / "copy.csv").write_bytes((tmp_path / "file.csv").read_bytes())
    assert replay(kafka_settings, tmp_path / "copy.csv", Options("file")).already_sent
    assert len(readings(frames(kafka_settings))) == 30
    assert not replay(kafka_settings, tmp_path / "copy.csv", Options("again")).already_sent
    assert len(readings(frames(kafka_settings))) == 60


def test_a_recreated_topic_makes_a_known_file_new(kafka_settings: Settings, tmp_path: Path) -> None:
    write_csv(tmp_path / "file.csv", 10)
    replay(kafka_settings, tmp_path / "file.csv", Options("file"))
    elsewhere = kafka_settings.model_copy(update={"topic_prefix": kafka_settings.topic_prefix + "b."})
    create_topics(elsewhere)
    assert not replay(elsewhere, tmp_path / "file.csv", Options("file")).already_sent
    assert len(readings(frames(elsewhere))) == 30
    delete_topics(elsewhere)


def test_a_shift_moves_every_reading_by_whole_days(kafka_settings: Settings, tmp_path: Path) -> None:
    sent = write_csv(tmp_path / "file.csv", 10)
    replay(kafka_settings, tmp_path / "file.csv", Options("file", shift_days=-3, mode=Mode.LIVE))
    assert Counter(readings(frames(kafka_settings))) == Counter(
        (meter, end - 3 * DAY_MS, value) for meter, end, value in sent
    )
    assert {frame.mode for frame in frames(kafka_settings)} == {Mode.LIVE}


def test_a_shift_out_of_the_years_that_are_taken_sends_nothing(
    kafka_settings: Settings, tmp_path: Path
) -> None:
    write_csv(tmp_path / "file.csv", 1)
    with pytest.raises(LoadRefused, match="--shift-days 99999999: of the first reading"):
        replay(kafka_settings, tmp_path / "file.csv", Options("file", shift_days=99_999_999))
    assert not held(kafka_settings)


def test_in_virtual_time_a_tick_goes_before_the_readings_it_ends(
    kafka_settings: Settings, tmp_path: Path
) -> None:
    sent = write_csv(tmp_path / "file.csv", 40)
    replay(kafka_settings, tmp_path / "file.csv", Options("file", tick_s=900))
    assert Counter(readings(frames(kafka_settings))) == Counter(sent)
    for partition in range(kafka_settings.partitions):
        now = 0
        times = []
        for record in (h.record for h in held(kafka_settings) if h.partition == partition):
            if isinstance(record, Tick):
                assert record.time > now
                now = record.time
                times.append(now)
            else:
                assert set(record.end.tolist()) == {now}
        assert times == [BEGIN_MS + (q + 1) * QUARTER_MS for q in range(41)]


REPLAY = """
import sys
from pathlib import Path
from carbonstream.connectors.sources.replay import Options, replay
from carbonstream.schemas.settings import Settings
settings = Settings.model_validate_json(sys.argv[1])
options = Options("file", tick_s=900)
replay(settings, Path(sys.argv[2]), options, progress=lambda done, _: print(done, flush=True))
"""


def test_a_replay_killed_again_and_again_sends_every_reading_once(
    kafka_settings: Settings, tmp_path: Path
) -> None:
    sent = write_csv(tmp_path / "file.csv", 2_000)
    command = [sys.executable, "-c", REPLAY, kafka_settings.model_dump_json(), str(tmp_path / "file.csv")]
    for share in (0.05, 0.3, 0.6):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) >= share * len(sent):
                    process.kill()
                    break
        assert process.returncode == -signal.SIGKILL
        assert len(readings(frames(kafka_settings))) < len(sent)
    report = replay(kafka_settings, tmp_path / "file.csv", Options("file", tick_s=900))
    assert 0 < report.frames_sent < report.frames
    assert Counter(readings(frames(kafka_settings))) == Counter(sent)
    by_shard: dict[int, list[int]] = {}
    for frame in frames(kafka_settings):
        by_shard.setdefault(frame.shard, []).append(frame.seq)
    for seqs in by_shard.values():
        assert all(b == a + 1 for a, b in pairwise(seqs))
    assert replay(kafka_settings, tmp_path / "file.csv", Options("file", tick_s=900)).already_sent


def test_a_stopped_replay_goes_on_where_it_stood(kafka_settings: Settings, tmp_path: Path) -> None:
    sent = write_csv(tmp_path / "file.csv", 2_000)
    stop = threading.Event()

    def progress(done: int, _: int) -> None:
        if done > 0:
            stop.set()

    first = replay(
        kafka_settings, tmp_path / "file.csv", Options("file", tick_s=900), progress=progress, stop=stop
    )
    assert first.frames_sent < first.frames
    second = replay(kafka_settings, tmp_path / "file.csv", Options("file", tick_s=900))
    assert first.frames_sent + second.frames_sent == second.frames
    assert Counter(readings(frames(kafka_settings))) == Counter(sent)


def test_an_unfinished_file_wants_the_same_options_and_goes_before_others(
    kafka_settings: Settings, tmp_path: Path
) -> None:
    write_csv(tmp_path / "file.csv", 2_000)
    write_csv(tmp_path / "other.csv", 20)
    stop = threading.Event()
    stop.set()
    replay(kafka_settings, tmp_path / "file.csv", Options("file"), stop=stop)
    with pytest.raises(NotReady, match="same options"):
        replay(kafka_settings, tmp_path / "file.csv", Options("file", shift_days=1))
    with pytest.raises(NotReady, match=r"has not finished file\.csv"):
        replay(kafka_settings, tmp_path / "other.csv", Options("file"))


def test_a_faulty_file_sends_nothing(kafka_settings: Settings, tmp_path: Path) -> None:
    write_csv(tmp_path / "file.csv", 20)
    with (tmp_path / "file.csv").open("a") as file:
        file.write("330502-0001/E01,2024-01-05T00:00:00+08:00,oops\n")
    with pytest.raises(LoadRefused, match="line 62: value"):
        replay(kafka_settings, tmp_path / "file.csv", Options("file"))
    assert held(kafka_settings) == []


def test_a_source_in_use_is_refused(kafka_settings: Settings, tmp_path: Path) -> None:
    write_csv(tmp_path / "file.csv", 2)
    store = SequenceStore(kafka_settings.state_dir, "file", 1_717_171_717_000)
    with pytest.raises(SourceInUse):
        replay(kafka_settings, tmp_path / "file.csv", Options("file"))
    store.close()


def test_a_topic_of_another_partition_count_is_refused(kafka_settings: Settings, tmp_path: Path) -> None:
    write_csv(tmp_path / "file.csv", 2)
    with pytest.raises(LayoutChanged, match="has 2 partitions"):
        replay(kafka_settings.model_copy(update={"partitions": 4}), tmp_path / "file.csv", Options("file"))
