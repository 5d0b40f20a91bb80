"""A runtime folder and its profiles: where things lie, their ports, what runs, who may change it now."""

import fcntl
import json
import os
import re
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from carbonstream.ops.local.errors import LocalError
from carbonstream.ops.local.process import Process

# Kafka's listener, Kafka's controller, PostgreSQL.
PREFERRED_PORTS = {
    "demo": (19092, 19093, 15432),
    "test": (29092, 29093, 25432),
    "bench": (39092, 39093, 35432),
}
# Folders of the runtime that are no profile.
SHARED = ("kafka", "postgres-root", "locks", "state")

_changing_state = threading.Lock()


@dataclass(frozen=True, slots=True)
class State:
    """What a profile remembers between two runs."""

    kafka_port: int | None = None
    controller_port: int | None = None
    postgres_port: int | None = None
    password: str | None = None
    kafka: Process | None = None
    postgres: Process | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One pair of servers with data of its own. Its binaries are shared with the runtime's other profiles."""

    runtime: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.runtime / self.name

    @property
    def state_file(self) -> Path:
        return self.folder / "state.json"

    def preferred_ports(self) -> tuple[int, int, int]:
        if self.name in PREFERRED_PORTS:
            return PREFERRED_PORTS[self.name]
        # 70 slots of 100 ports from 20,000: below Linux's ephemeral range, which begins at 32,768.
        base = 20_000 + 100 * (zlib.crc32(self.name.encode()) % 70)
        return base + 60, base + 61, base + 50

    def state(self) -> State:
        try:
            content = json.loads(self.state_file.read_text())
        except FileNotFoundError:
            return State()
        except json.JSONDecodeError as error:
            raise LocalError(f"{self.state_file} is damaged ({error}): delete it and run up again") from error
        for server in ("kafka", "postgres"):
            if content.get(server) is not None:
                content[server] = Process(**content[server])
        known = {field.name for field in fields(State)}
        return State(**{name: value for name, value in content.items() if name in known})

    def remember(self, **changes: int | str | Process | None) -> State:
        """Changes fields of the state file, whole or not at all; only the owner may read it: the password."""
        with _changing_state:
            state = replace(self.state(), **changes)  # type: ignore[arg-type]  # names and types are State's own
            self.folder.mkdir(parents=True, exist_ok=True)
            written = self.state_file.with_suffix(".new")
            written.unlink(missing_ok=True)
            written.touch(mode=0o600, exist_ok=False)
            written.write_text(json.dumps(asdict(state), indent=2))
            written.replace(self.state_file)
            return state


def runtime_folder() -> Path:
    """The runtime of this process."""
    return Path(os.environ.get("CARBONSTREAM_RUNTIME") or ".runtime").resolve()


def profile(name: str) -> Profile:
    """The profile of that name in the runtime of this process; it need not exist yet."""
    if name in SHARED or not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name):
        raise LocalError(
            f"profile {name!r}: use lower-case letters, digits and dashes, and none of {', '.join(SHARED)}"
        )
    return Profile(runtime_folder(), name)


def profiles(runtime: Path) -> list[Profile]:
    """The profiles that were started at least once."""
    return [Profile(runtime, state.parent.name) for state in sorted(runtime.glob("*/state.json"))]


@contextmanager
def exclusively(runtime: Path, what: str) -> Iterator[None]:
    """One process at a time; the lock goes with its holder, however that ends."""
    lock = runtime / "locks" / what
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def choose_port(owner: Profile, recorded: int | None, preferred: int, besides: int | None = None) -> int:
    """The recorded port, else the preferred one, else the next one that is free and no other profile's.

    `besides` is a port the same server has chosen a moment ago and not bound yet.
    """
    states = [profile.state() for profile in profiles(owner.runtime) if profile != owner]
    taken = {
        port for state in states for port in (state.kafka_port, state.controller_port, state.postgres_port)
    }
    port = recorded or preferred
    while port in taken or port == besides or not _is_free(port):
        port += 1
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a port whose last connections still linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
