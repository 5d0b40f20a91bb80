"""The pair of servers of a profile as a whole: start, stop, kill, reset, status, addresses."""

import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

from carbonstream.ops.local import kafka, postgres, process, runtime
from carbonstream.ops.local.errors import LocalError
from carbonstream.ops.local.runtime import Profile

Server = Literal["kafka", "postgres"]
SERVERS: tuple[Server, ...] = ("kafka", "postgres")
MODULES = {"kafka": kafka, "postgres": postgres}
# Names an existing server, which is then used and ours not started.
EXISTING = {"kafka": "CARBONSTREAM_KAFKA", "postgres": "CARBONSTREAM_DATABASE"}

Report = Callable[[Server, str], None]


class Addresses(NamedTuple):
    """Where the servers of a profile are."""

    kafka: str
    """bootstrap.servers"""
    database: str
    """postgresql:// URL of a superuser"""


def existing(server: Server) -> str | None:
    """The address of a server that was given to us instead of ours."""
    return os.environ.get(EXISTING[server]) or None


def start(
    profile: str, only: Server | None = None, report: Report = lambda _server, _step: None
) -> Addresses:
    """Leaves the profile's servers running and answering, set up side by side; what runs is only asked.

    Raises LocalError, which says what to install or do; what was done until then is kept for the next try.
    """
    named = runtime.profile(profile)
    ours = [server for server in SERVERS if existing(server) is None]
    chosen = [server for server in ours if only in (None, server)]
    with runtime.exclusively(named.runtime, named.name):
        for server in ours:  # one after the other, so that they choose different ports
            if server in chosen or not MODULES[server].is_prepared(named):
                MODULES[server].prepare(named)
        with ThreadPoolExecutor(len(SERVERS)) as threads:
            starting = [threads.submit(_start, named, server, report) for server in chosen]
    errors = [error for future in starting if (error := future.exception())]
    if len(errors) > 1 and all(isinstance(error, LocalError) for error in errors):
        raise LocalError("\n".join(str(error) for error in errors))
    for error in errors:
        raise error
    return addresses(profile, only)


def _start(profile: Profile, server: Server, report: Report) -> None:
    MODULES[server].start(profile, lambda step: report(server, step))
    report(server, "ready")


def stop(profile: str, only: Server | None = None, signal: signal.Signals | None = None) -> None:
    """Stops the servers in good order, or with the given signal; kills what has not ended after its grace."""
    named = runtime.profile(profile)
    chosen = [MODULES[server] for server in SERVERS if only in (None, server)]
    arguments = (named,) if signal is None else (named, signal)
    with runtime.exclusively(named.runtime, named.name), ThreadPoolExecutor(len(SERVERS)) as threads:
        stopping = [threads.submit(module.stop, *arguments) for module in chosen]
    for future in stopping:
        future.result()


def kill(profile: str, which: Server) -> None:
    """kill -9 of every process of one server, for fault drills; returns when they are gone."""
    named = runtime.profile(profile)
    while found := MODULES[which].processes(named):  # again, for what it started meanwhile
        process.end(found, signal.SIGKILL, grace_s=10)


def reset(profile: str) -> None:
    """Stops the servers and deletes all their data, ports and password; the binaries stay."""
    named = runtime.profile(profile)
    stop(profile)
    with runtime.exclusively(named.runtime, named.name):
        shutil.rmtree(named.folder, ignore_errors=True)


def addresses(profile: str, only: Server | None = None) -> Addresses:
    """Where the servers are, running or not; LocalError when the profile was never started.

    only: the other server need not have been started; its address is then empty.
    """
    named = runtime.profile(profile)
    found: dict[str, str] = {}
    for server in SERVERS:
        prepared = MODULES[server].is_prepared(named)
        if existing(server) is None and not prepared and only in (None, server):
            raise LocalError(
                f"profile {profile} was never started: carbonstream local up --profile {profile}"
            )
        own = {"kafka": kafka.bootstrap, "postgres": postgres.url}[server]
        found[server] = existing(server) or (own(named) if prepared else "")
    return Addresses(found["kafka"], found["postgres"])


class Status(NamedTuple):
    """What is known of one server at this moment."""

    server: Server
    running: bool
    """its process lives"""
    ready: bool
    """it answers"""
    pid: int | None
    address: str | None


def status(profile: str) -> list[Status]:
    """Both servers of a profile, as they are now."""
    named = runtime.profile(profile)
    return [_status(named, server) for server in SERVERS]


def _status(profile: Profile, server: Server) -> Status:
    given = existing(server)
    if given is not None:
        return Status(server, running=True, ready=True, pid=None, address=given)
    state = profile.state()
    recorded = state.kafka if server == "kafka" else state.postgres
    running = recorded if process.alive(recorded) else None
    port = state.kafka_port if server == "kafka" else state.postgres_port
    return Status(
        server,
        running=running is not None,
        ready=running is not None and MODULES[server].is_ready(profile),
        pid=running.pid if running else None,
        address=f"127.0.0.1:{port}" if port else None,
    )
