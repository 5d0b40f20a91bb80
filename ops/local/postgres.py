"""One PostgreSQL 17 with TimescaleDB, run as postgres in a chroot whose mounts nobody else sees."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from carbonstream.ops.local import postgres_root
from carbonstream.ops.local.errors import LocalError, need_command, need_root, tail
from carbonstream.ops.local.process import Process, alive, end, spawn, working_in
from carbonstream.ops.local.runtime import Profile, choose_port

# Owns everything and may create roles and extensions, as migrations must; the services have lesser roles.
SUPERUSER = "carbonstream"
DATABASE = "carbonstream"
READY_TIMEOUT_S = 60
STOP_GRACE_S = 60
SHARED_BUFFERS_AT_MOST = 2 * 1024**3

# All mounts are in the caller's private mount namespace and vanish with its last process: removing the
# runtime can never reach the machine's /dev. $1 root, $2 data folder, $3 its place inside, then the program.
ENTER = """\
set -e
root=$1 data=$2 inside=$3
shift 3
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mkdir -p "$root$inside"
mount --bind "$data" "$root$inside"
exec chroot --userspec=postgres:postgres "$root" /usr/bin/env -i LANG=C.UTF-8 PATH=/usr/bin:/bin "$@"
"""

SETTINGS = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 200

shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.license = 'apache'
timescaledb.max_background_workers = 4
max_worker_processes = 16
# A hypertable's chunks are locked one by one.
max_locks_per_transaction = 256

# A commit that was acknowledged stands, here as in production.
fsync = on
synchronous_commit = on
full_page_writes = on
wal_compression = 'lz4'
# At 33,000 readings/s and 187 B of WAL each, 8 GB last for 20 minutes: checkpoints come by time.
max_wal_size = '8GB'
min_wal_size = '1GB'
checkpoint_timeout = '15min'
wal_buffers = '64MB'

shared_buffers = '{shared_buffers_mb}MB'
effective_cache_size = '{cache_mb}MB'
maintenance_work_mem = '256MB'
random_page_cost = 1.1
# Compiling costs more than our queries take.
jit = off

# Vacuum yields to what is being stored: a tenth of a core instead of half of one, 160 MB/s at most.
autovacuum_vacuum_cost_delay = '10ms'
log_autovacuum_min_duration = '1s'

timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
"""

HBA = "host all all 127.0.0.1/32 scram-sha-256\n"


def url(profile: Profile) -> str:
    """The superuser's URL of the profile's database, running or not."""
    state = profile.state()
    return f"postgresql://{SUPERUSER}:{state.password}@127.0.0.1:{state.postgres_port}/{DATABASE}"


def is_prepared(profile: Profile) -> bool:
    """Whether the server has an address, running or not."""
    return profile.state().postgres_port is not None


def prepare(profile: Profile) -> None:
    """Gives the server its port and password, unless it runs; ends what an earlier one has left.

    Backends outlive a killed postmaster until they look up from their work; no server starts beside them.
    """
    state = profile.state()
    if alive(state.postgres):
        return
    end(processes(profile), signal.SIGKILL, grace_s=10)
    port = choose_port(profile, state.postgres_port, profile.preferred_ports()[2])
    profile.remember(postgres_port=port, password=state.password or secrets.token_hex(16))


def start(profile: Profile, report: Callable[[str], None]) -> None:
    """Leaves a server running that answers queries: one that runs already is only asked.

    It is prepared, and the profile's lock is held by the caller.
    """
    if alive(profile.state().postgres):
        _wait_ready(profile)
        return
    need_root("Running PostgreSQL in its own folder")
    root = postgres_root.install(profile.runtime, report)
    data = _data(profile)
    if not data.exists():
        report("creating the database")
        _create(profile, root)
    (data / "postgresql.conf").write_text(_settings(profile.state().postgres_port))
    # No process works in this folder, we have just looked. PostgreSQL itself takes the zombie of a killed
    # postmaster, which stays for ever where pid 1 does not collect, for a living one.
    (data / "postmaster.pid").unlink(missing_ok=True)
    report("starting PostgreSQL")
    command = _inside(profile, root, data, [f"{postgres_root.BIN}/postgres", "-D", _place(profile)])
    profile.remember(postgres=spawn(command, _log(profile)))
    _wait_ready(profile)
    _create_database(profile)


def stop(profile: Profile, sig: signal.Signals = signal.SIGINT) -> None:
    """SIGINT is PostgreSQL's fast shutdown: sessions are ended, a checkpoint is written."""
    recorded = profile.state().postgres
    if recorded is not None:
        end([recorded], sig, STOP_GRACE_S)
    end(processes(profile), signal.SIGKILL, grace_s=10)
    if profile.state_file.exists():
        profile.remember(postgres=None)


def processes(profile: Profile) -> list[Process]:
    """Every process of this server, also those whose postmaster has died."""
    return working_in(_data(profile), "postgres")


def is_ready(profile: Profile, database: str = DATABASE) -> bool:
    """Asks the server SELECT 1."""
    import psycopg

    try:
        with psycopg.connect(url(profile), dbname=database, connect_timeout=2) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _wait_ready(profile: Profile) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not is_ready(profile, database="postgres"):
        if not alive(profile.state().postgres):
            raise LocalError(f"PostgreSQL ended while it started; its log says:\n{tail(_log(profile))}")
        if time.monotonic() > deadline:
            raise LocalError(
                f"PostgreSQL did not answer in {READY_TIMEOUT_S} s; its log says:\n{tail(_log(profile))}"
            )
        time.sleep(0.05)


def _create(profile: Profile, root: Path) -> None:
    """initdb beside the real folder, then a rename: half a database is never started."""
    partial = profile.folder / "postgres.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    uid, gid = _postgres_ids(root)
    password_file = partial / "password"
    password_file.write_text(f"{profile.state().password}\n")
    cluster = partial / "cluster"
    for path in (partial, password_file):
        os.chown(path, uid, gid)
    place = _place(profile)
    initdb = [f"{postgres_root.BIN}/initdb", f"--pgdata={place}/cluster", f"--username={SUPERUSER}"]
    initdb += [f"--pwfile={place}/password", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
    initdb += ["--data-checksums"]
    command = _inside(profile, root, partial, initdb)
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise LocalError(f"The database could not be created:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    (cluster / "pg_hba.conf").write_text(HBA)
    cluster.rename(_data(profile))
    shutil.rmtree(partial)


def _create_database(profile: Profile) -> None:
    """The database and its extension; each is looked for first, so an interrupted set-up is completed."""
    import psycopg

    with psycopg.connect(url(profile), dbname="postgres", autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
    with psycopg.connect(url(profile), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")


def _settings(port: int | None) -> str:
    memory = _memory_bytes()
    shared_buffers = min(memory // 4, SHARED_BUFFERS_AT_MOST)
    return SETTINGS.format(
        port=port, shared_buffers_mb=shared_buffers // 1024**2, cache_mb=memory // 2 // 1024**2
    )


def _memory_bytes() -> int:
    """This machine's memory, or this container's where it has less (cgroup v2)."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return machine if text == "max" else min(machine, int(text))


def _inside(profile: Profile, root: Path, data: Path, program: list[str]) -> list[str]:
    unshare = need_command("unshare", "util-linux")
    return [
        unshare,
        "--mount",
        "/bin/sh",
        "-c",
        ENTER,
        "enter",
        str(root),
        str(data),
        _place(profile),
        *program,
    ]


def _place(profile: Profile) -> str:
    """Where the profile's data folder is mounted in the shared root."""
    return f"/srv/{profile.name}"


def _postgres_ids(root: Path) -> tuple[int, int]:
    for line in (root / "etc/passwd").read_text().splitlines():
        entry = pwd.struct_passwd(line.split(":"))
        if entry.pw_name == "postgres":
            return int(entry.pw_uid), int(entry.pw_gid)
    raise LocalError(f"{root} holds no user postgres: delete it and run up again")


def _data(profile: Profile) -> Path:
    return profile.folder / "postgres"


def _log(profile: Profile) -> Path:
    return profile.folder / "postgres.log"
