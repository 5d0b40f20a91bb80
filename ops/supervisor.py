"""All services under one parent: restarts with back-off, passes signals on, stops in order."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import structlog

BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S: Final = (
    30.0  # a service that ran this long has recovered: its next failure starts at the shortest wait
)
STOP_S: Final = 20.0


@dataclass(slots=True)
class Child:
    """One service's process."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    again_at: float = 0.0


class Supervisor:
    """Runs the service of each name in a process of its own and keeps it running until stop()."""

    def __init__(
        self, names: Sequence[str], environment: dict[str, str] | None = None, logs: Path | None = None
    ):
        self.children = [Child(name) for name in names]
        self.environment = dict(os.environ if environment is None else environment)
        self.environment.setdefault("CARBONSTREAM_INSTANCE", socket.gethostname())
        self.logs = logs
        self.log = structlog.get_logger(service="supervisor")
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start every service at once."""
        for child in self.children:
            self._start(child)

    def run(self) -> None:
        """Watch until stop(); then end every service in order."""
        while not self._stopping.wait(0.1):
            self.watch()
        self.end()

    def stop(self) -> None:
        """Make run() end; safe in a signal handler."""
        self._stopping.set()

    def watch(self) -> None:
        """Restart what has ended and waited long enough."""
        now = time.monotonic()
        for child in self.children:
            if child.process is None:
                if now >= child.again_at:
                    self._start(child)
            elif (code := child.process.poll()) is not None:
                child.failures = 0 if now - child.started > STEADY_S else child.failures
                wait = BACK_OFF_S[min(child.failures, len(BACK_OFF_S) - 1)]
                self.log.warning("service ended", name=child.name, code=code, again_in_s=wait)
                child.failures += 1
                child.process, child.again_at = None, now + wait

    def pid(self, name: str) -> int | None:
        """Process id of a service while it runs."""
        child = next(c for c in self.children if c.name == name)
        return child.process.pid if child.process is not None else None

    def end(self) -> None:
        """SIGTERM in reverse order of starting (sources first), then SIGKILL for what is left after 20 s."""
        running = [(c, c.process) for c in reversed(self.children) if c.process is not None]
        for _, process in running:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + STOP_S
        for child, process in running:
            try:
                process.wait(max(until - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                self.log.warning("service killed, it did not end in time", name=child.name, within_s=STOP_S)
                process.kill()
                process.wait()

    def _start(self, child: Child) -> None:
        output: IO[Any] | None = None
        if self.logs is not None:
            self.logs.mkdir(parents=True, exist_ok=True)
            output = (self.logs / f"{child.name}.log").open("ab")
        child.process = subprocess.Popen(
            [sys.executable, "-m", "carbonstream.ops.services", child.name, str(os.getpid())],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,  # Ctrl-C of a terminal ends the supervisor, and that ends them in order
        )
        child.started = time.monotonic()
        if output is not None:
            output.close()
