"""notify: reads carbon.warnings into the queue, and delivers what is due. The two never wait for each other, nor
for what is due by the clock alone (tending.py).

One process at a time reads (an advisory lock); any number deliver.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from carbonstream.connectors import telemetry
from carbonstream.connectors.database import connect
from carbonstream.connectors.locks import Only, wait_for_lock
from carbonstream.connectors.rounds import run_rounds
from carbonstream.connectors.sinks.notify.delivering import serve_channel
from carbonstream.connectors.sinks.notify.queue import Lease, lease_channel
from carbonstream.connectors.sinks.notify.reading import Reader
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.connectors.sinks.notify.tending import tending
from carbonstream.schemas.settings import Settings

LOOK_S: Final = 0.25  # how often what is due is looked for


def wall_clock() -> datetime:
    """Notices go to people: their clock is theirs."""
    return datetime.now(UTC)


class Notify:
    """Runs until stopped."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.log = telemetry.configure(config, "notify")
        self.stopping = threading.Event()
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """End after the batch and the attempts under way."""
        self.stopping.set()

    def run(self) -> None:
        """Read and deliver; outages are waited out, any other error of either ends both."""
        reading = threading.Thread(target=self._guarded, args=(self._read_round,), name="reading")
        reading.start()
        scheduler = tending(self.config, wall_clock, self.log)
        scheduler.start()
        try:
            run_rounds(self._deliver_round, self.stopping, self.log)
        finally:
            self.stopping.set()
            scheduler.shutdown()
            reading.join()
        if self._failure is not None:
            raise self._failure

    def _guarded(self, one_round: Callable[[], object]) -> None:
        try:
            run_rounds(one_round, self.stopping, self.log)
        except BaseException as error:
            self._failure = error
            self.stopping.set()

    def _read_round(self) -> None:
        with connect(self.config, application="notify reader", autocommit=True) as connection:
            if not wait_for_lock(connection, Only.NOTIFY, self.stopping):
                return
            reader = Reader(self.config, connection, self.log)
            try:
                while not self.stopping.is_set():
                    reader.pass_(wall_clock())
            finally:
                reader.close()

    def _deliver_round(self) -> None:
        """Lease here, send in the pool: a worker is taken only by a channel that something is due for."""
        size = self.config.notify_workers
        free = threading.Semaphore(size)
        failed: list[BaseException] = []

        def done(future: Future[int]) -> None:
            if error := future.exception():
                failed.append(error)
            free.release()

        with (
            connect(self.config, application="notify", autocommit=True) as connection,
            ThreadPoolExecutor(size, thread_name_prefix="sending") as pool,
        ):
            while not self.stopping.is_set() and not failed:
                if not free.acquire(timeout=LOOK_S):
                    continue
                lease = lease_channel(connection, wall_clock())
                if lease is None:
                    free.release()
                    self.stopping.wait(LOOK_S)
                    continue
                pool.submit(self._serve, lease).add_done_callback(done)
        if failed:
            raise failed[0]

    def _serve(self, lease: Lease) -> int:
        """A turn, on a connection of its own: turns are few, and an idle service holds one connection."""
        began = time.monotonic()
        with connect(self.config, application="notify", autocommit=True) as connection:
            made = serve_channel(connection, lease, sender(self.config), wall_clock, self.log, self.stopping)
        telemetry.SECONDS.labels("notify", "turn").observe(time.monotonic() - began)
        return made
