"""The local servers as their users meet them: real Kafka, real TimescaleDB."""

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from carbonstream.ops import local
from carbonstream.ops.local import Addresses, kafka, postgres, process, runtime
from tests.running import eventually

COMMAND = [sys.executable, "-m", "carbonstream.ops.local"]


def pids(profile: str) -> tuple[int | None, ...]:
    return tuple(server.pid for server in local.status(profile))


def topics(addresses: Addresses) -> set[str]:
    return set(AdminClient({"bootstrap.servers": addresses.kafka}).list_topics(timeout=10).topics)


def create_topic(addresses: Addresses, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": addresses.kafka})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(timeout=10)
    eventually(lambda: name in topics(addresses), "the controller's word has come to the broker")


def query(addresses: Addresses, sql: str) -> object:
    with psycopg.connect(addresses.database, autocommit=True) as connection:
        cursor = connection.execute(sql)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def test_two_ups_at_once_from_nothing_start_one_pair_of_servers(clean_profile: str) -> None:
    local.reset(clean_profile)
    up = [*COMMAND, "up", "--profile", clean_profile]
    both = [subprocess.Popen(up, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for one in both:
        _, errors = one.communicate(timeout=120)
        assert one.returncode == 0, errors
    profile = runtime.profile(clean_profile)
    assert len(kafka.processes(profile)) == 1
    assert profile.state().postgres in postgres.processes(profile)
    addresses = local.start(clean_profile)
    create_topic(addresses, "first")
    version = query(addresses, "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'")
    assert str(version).startswith("2.19.")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("jit", "off"),
        ("TimeZone", "UTC"),
        ("timescaledb.license", "apache"),
        ("server_encoding", "UTF8"),
        ("data_checksums", "on"),
    ],
)
def test_the_database_runs_with_the_setting(running: Addresses, setting: str, value: str) -> None:
    assert query(running, f"SHOW {setting}") == value


def test_a_wrong_password_is_refused(running: Addresses) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(running.database, password="wrong")


def test_topics_are_not_created_by_asking_for_them(running: Addresses) -> None:
    admin = AdminClient({"bootstrap.servers": running.kafka, "allow.auto.create.topics": True})
    admin.list_topics("never-created", timeout=10)
    assert "never-created" not in topics(running)


def test_a_second_up_finds_the_servers_and_returns_within_a_second(
    running: Addresses, clean_profile: str
) -> None:
    before = pids(clean_profile)
    begun = time.monotonic()
    assert local.start(clean_profile) == running
    assert time.monotonic() - begun < 1
    assert pids(clean_profile) == before


def test_down_leaves_no_process_and_no_mount_and_up_brings_the_data_back(
    running: Addresses, clean_profile: str
) -> None:
    create_topic(running, "kept")
    query(running, "CREATE TABLE kept AS SELECT 7 AS seven")
    profile = runtime.profile(clean_profile)
    was = [*kafka.processes(profile), *postgres.processes(profile)]
    assert len(was) > 2

    local.stop(clean_profile)

    assert not any(process.alive(one) for one in was)
    assert kafka.processes(profile) == postgres.processes(profile) == []
    assert pids(clean_profile) == (None, None)
    again = local.start(clean_profile)
    assert again == running
    assert "kept" in topics(again)
    assert query(again, "SELECT seven FROM kept") == 7


def test_the_machine_sees_no_mount_while_the_database_runs(running: Addresses, clean_profile: str) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(runtime.profile(clean_profile).runtime) not in mounts


def test_up_after_kill_9_of_kafka_keeps_what_it_held(running: Addresses, clean_profile: str) -> None:
    create_topic(running, "before-kill")
    local.kill(clean_profile, "kafka")
    assert [server.ready for server in local.status(clean_profile)] == [False, True]
    assert "before-kill" in topics(local.start(clean_profile))


def test_up_after_kill_9_of_postgres_keeps_what_was_committed(running: Addresses, clean_profile: str) -> None:
    query(running, "CREATE TABLE committed AS SELECT 1 AS one")
    local.kill(clean_profile, "postgres")
    assert [server.ready for server in local.status(clean_profile)] == [True, False]
    assert query(local.start(clean_profile), "SELECT one FROM committed") == 1


def test_up_after_the_postmaster_alone_was_killed_waits_for_no_backend_it_left(
    running: Addresses, clean_profile: str
) -> None:
    profile = runtime.profile(clean_profile)
    postmaster = profile.state().postgres
    assert postmaster is not None
    # A backend at work does not look whether its postmaster lives; this one would be busy for a minute.
    with psycopg.connect(running.database) as busy:
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000)")
        process.send(postmaster, signal.SIGKILL)
        assert process.wait_gone(postmaster, timeout_s=5)
        assert query(local.start(clean_profile), "SELECT 1") == 1
        busy.close()


def test_a_server_whose_record_was_lost_is_found_and_stopped(running: Addresses, clean_profile: str) -> None:
    profile = runtime.profile(clean_profile)
    was = postgres.processes(profile)
    assert was
    profile.remember(postgres=None)
    local.start(clean_profile)
    assert not any(process.alive(one) for one in was)


def test_half_finished_data_folders_are_made_anew_and_one_server_alone_is_started(clean_profile: str) -> None:
    local.reset(clean_profile)
    folder = runtime.profile(clean_profile).folder
    for name in ("kafka.partial", "postgres.partial/cluster"):
        (folder / name).mkdir(parents=True)
        (folder / name / "half").write_text("written")
    addresses = local.start(clean_profile, only="postgres")
    assert query(addresses, "SELECT 1") == 1
    assert [server.running for server in local.status(clean_profile)] == [False, True]
    assert local.start(clean_profile) == addresses
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == ["kafka", "postgres"]


def test_the_state_file_is_for_its_owner_alone(running: Addresses, clean_profile: str) -> None:
    state_file = runtime.profile(clean_profile).state_file
    assert stat.S_IMODE(state_file.stat().st_mode) == 0o600


def test_status_for_programs_names_addresses_and_says_by_exit_code_whether_all_answer(
    running: Addresses, clean_profile: str
) -> None:
    ask = [*COMMAND, "status", "--json", "--profile", clean_profile]
    up = subprocess.run(ask, check=False, capture_output=True, text=True, timeout=30)
    answer = json.loads(up.stdout)
    assert up.returncode == 0
    assert answer["profile"] == clean_profile
    assert answer["kafka"] == {
        "running": True,
        "ready": True,
        "pid": pids(clean_profile)[0],
        "address": running.kafka,
    }
    local.stop(clean_profile, only="kafka")
    down = subprocess.run(ask, check=False, capture_output=True, text=True, timeout=30)
    assert down.returncode == 1
    assert json.loads(down.stdout)["kafka"]["running"] is False
