"""The API while the database is away, and as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import httpx
import psycopg
import pytest

from carbonstream.ops.local import Addresses
from carbonstream.schemas.settings import Settings
from tests.api.conftest import TOKEN, served
from tests.api.listener import listening
from tests.databases import migrated_database
from tests.running import eventually

PROGRAM = """
import asyncio
from carbonstream.api import serve
from carbonstream.schemas.settings import settings
asyncio.run(serve(settings()))
"""


class Cable:
    """Passes bytes to the database; can be cut (connections refused and broken) and hung (bytes kept)."""

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._pairs: list[socket.socket] = []
        self._hung = threading.Event()
        self._listener: socket.socket | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.mend()

    def mend(self) -> None:
        self._hung.clear()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for end in self._pairs:
            end.close()
        self._pairs.clear()

    def hang(self) -> None:
        self._hung.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while received := source.recv(65_536):
                if self._hung.is_set():
                    return
                sink.sendall(received)
        except OSError:
            pass
        finally:
            if not self._hung.is_set():
                source.close()
                sink.close()


@pytest.fixture
def cable(settings: Settings) -> Iterator[Cable]:
    """A cable to the plant's database."""
    at = urlsplit(settings.database)
    cable = Cable((at.hostname or "", at.port or 0))
    yield cable
    cable.cut()


def through(settings: Settings, cable: Cable) -> Settings:
    at = urlsplit(settings.database)
    netloc = at.netloc.rpartition(":")[0] + f":{cable.port}"
    return settings.model_copy(update={"database": urlunsplit(at._replace(netloc=netloc))})


@pytest.mark.parametrize("how", ["cut", "hang"])
def test_without_the_database_every_read_is_refused_within_3_s_and_answered_after(
    settings: Settings, cable: Cable, how: str
) -> None:
    with served(through(settings, cable)) as running, running.client() as client:
        assert client.get("/v1/overview").status_code == 200
        getattr(cable, how)()
        for path in ("/v1/totals?entity=enterprise:ENT-1", "/v1/entities", "/v1/warnings"):
            began = time.monotonic()
            answer = client.get(path)
            assert time.monotonic() - began < 3
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/health/live").status_code == 200
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["database"]) == (503, "away")
        cable.cut()
        cable.mend()
        eventually(lambda: client.get("/v1/entities").status_code == 200, "it came back", 10)


def test_an_unmigrated_database_is_not_ready_and_says_what_to_do(
    settings: Settings, servers: Addresses
) -> None:
    with migrated_database(servers.database, "api") as of_it:
        with psycopg.connect(of_it.database, autocommit=True) as connection:
            connection.execute("delete from _yoyo_migration where migration_id like '0003%'")
        with (
            served(settings.model_copy(update={"database": of_it.database})) as running,
            running.client() as client,
        ):
            answer = client.get("/health/ready")
            assert answer.status_code == 503
            assert "0003" in answer.json()["database"]
            assert "carbonstream migrate" in answer.json()["database"]
            with psycopg.connect(of_it.database, autocommit=True) as connection:
                connection.execute("drop table _yoyo_migration")
            assert "carbonstream migrate" in client.get("/health/ready").json()["database"]


def process(settings: Settings, **changes: str) -> subprocess.Popen[str]:
    given = {
        f"CARBONSTREAM_{k.upper()}": str(v) for k, v in settings.model_dump(exclude={"push_tokens"}).items()
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=os.environ | given | changes, stderr=subprocess.PIPE, text=True
    )


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def is_live(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_sigterm_ends_the_process_in_order_also_with_a_stream_open(settings: Settings) -> None:
    port = free_port()
    running = process(settings, CARBONSTREAM_API_PORT=port)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False
        ) as client:
            eventually(lambda: running.poll() is not None or is_live(client), "it is live", 20)
            with listening(client) as events:
                next(events)
                running.send_signal(signal.SIGTERM)
                assert all(event.name in ("heartbeat", "reset") for event in events)
        assert running.wait(10) == 0
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"CARBONSTREAM_API_TOKEN": ""}, "CARBONSTREAM_API_TOKEN"), ({}, "CARBONSTREAM_API_PORT")],
)
def test_a_start_that_cannot_be_says_which_setting(
    settings: Settings, changes: dict[str, str], said: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = process(settings, CARBONSTREAM_API_PORT=str(taken.getsockname()[1]), **changes)
        _, errors = running.communicate(timeout=30)
    assert running.returncode != 0
    assert said in errors.splitlines()[-1]
