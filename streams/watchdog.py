"""Ends a Faust process that has work and makes no progress: Faust may stop silently after a rebalance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException

from carbonstream.connectors import kafka, telemetry
from carbonstream.schemas.settings import Settings
from carbonstream.streams.faust_app import end_process


class Stall:
    """Notices that the process stood still (stopped, swapped out) so long that others have its partitions by now."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._last: float | None = None

    def turn(self, now: float) -> None:
        """The event loop turned; monotonic s. Raises TimeoutError where the turn before is too long ago."""
        if self._last is not None and now - self._last > self._limit_s:
            raise TimeoutError(
                f"stood still for {now - self._last:.1f} s: another process may have taken over; a restart goes on"
            )
        self._last = now


class Watchdog:
    """`progress()` on every confirmed record and on recovery; `run()` compares with the topic's end now and then."""

    def __init__(
        self, config: Settings, service: str, app: Any, topic: str, at: Callable[[], dict[int, int]]
    ) -> None:
        self._config, self._service, self._app, self._topic, self._at = config, service, app, topic, at
        self._last = time.monotonic()

    def progress(self) -> None:
        """Something got done."""
        self._last = time.monotonic()

    async def run(self) -> None:
        """Check for ever; ends the process on lag without progress."""
        consumer = kafka.reader(self._config)
        while True:
            await asyncio.sleep(self._config.watchdog_s / 6)
            assigned = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._topic}
            at, lag = self._at(), 0
            for partition in assigned:
                try:
                    _, end = await asyncio.to_thread(kafka.end_offsets_of, consumer, self._topic, partition)
                except KafkaException:
                    lag = 0  # the broker is away: nothing we could do faster
                    break
                behind = max(end - 1 - at.get(partition, -1), 0)
                telemetry.LAG.labels(self._service, str(partition)).set(behind)
                lag += behind
            if not lag:
                self.progress()
            elif time.monotonic() - self._last > self._config.watchdog_s:
                error = TimeoutError(f"{lag} records behind and no progress for {self._config.watchdog_s} s")
                end_process(telemetry.configure(self._config, self._service), error)
