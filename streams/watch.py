"""watch: carbon.emissions -> carbon.signals (each source partition's tick) and meter.rejects.

At least once, with ids that derive from the answered record; it keeps no state, so a restart may tell its
last records again. Records with neither tick nor rejects are acked without being decoded.

Run as `python -m carbonstream.streams.watch --loop uvloop worker --without-web` (`carbonstream run watch`).
"""

from __future__ import annotations

import asyncio
from typing import Any

import faust

from carbonstream.connectors import kafka, telemetry
from carbonstream.processors.watch import FirstCopies, heads, rejects_frame, tick_signal
from carbonstream.schemas import topics
from carbonstream.schemas.frames import TYPE_REJECTS, TYPE_SIGNAL, cloud_event_headers
from carbonstream.schemas.settings import Settings, settings
from carbonstream.streams.faust_app import end_process, faust_app, raw_topic
from carbonstream.streams.watchdog import Watchdog

IN_FLIGHT = 256  # records passed on but not yet acknowledged by the broker


class Watch:
    """The agent's shell."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.log = telemetry.configure(config, "watch")
        # what is sent goes to partitions named by number
        kafka.partitioned_topic_ids(config, [topics.EMISSIONS, topics.SIGNALS, topics.REJECTS])
        self.first_copies = FirstCopies()
        self.at: dict[int, int] = {}  # offset of carbon.emissions up to which everything is passed on
        self.pending: asyncio.Queue[tuple[list[Any], Any]] = asyncio.Queue(IN_FLIGHT)

    async def run(self, stream: Any, signals: Any, rejects: Any) -> None:
        """Pass on for ever. Any error ends the process: Faust would lose the event otherwise."""
        async for event in stream.noack().events():
            futures = await self._pass_on(event.message, event.value, signals, rejects)
            if futures:
                await self.pending.put((futures, event))
            else:
                self._done(event)  # Faust commits up to the first gap: what waits before it is safe

    async def _pass_on(self, message: Any, payload: bytes, signals: Any, rejects: Any) -> list[Any]:
        said = heads(message.headers)
        if said.tick is None and not said.rejects:
            return []
        if not self.first_copies.take(message.partition, said.origin):
            telemetry.FAULTS.labels("watch", "second copy").inc()
            return []
        futures = []
        if said.tick is not None:
            to = message.partition % self.config.partitions_of(topics.SIGNALS)
            headers = cloud_event_headers(TYPE_SIGNAL, "watch", f"{said.id}/tick")
            value = tick_signal(message.partition, said.tick)
            futures.append(await signals.send(key=None, value=value, partition=to, headers=headers))
        if said.rejects:
            headers = cloud_event_headers(TYPE_REJECTS, "watch", f"{said.id}/rejects")
            value = rejects_frame(payload)
            futures.append(
                await rejects.send(key=None, value=value, partition=message.partition, headers=headers)
            )
        return futures

    async def confirm(self) -> None:
        """The one task that awaits what was sent, in order, then acks."""
        while True:
            futures, event = await self.pending.get()
            for future in futures:
                await future
            self._done(event)

    def _done(self, event: Any) -> None:
        event.ack()
        message = event.message
        self.at[message.partition] = max(message.offset, self.at.get(message.partition, -1))
        self.watchdog.progress()

    def drop(self, partition: int) -> None:
        """The partition is another worker's now."""
        self.first_copies.drop(partition)
        self.at.pop(partition, None)

    watchdog: Watchdog


def create() -> Any:
    """The Faust app; importing this module has no effect until this is called."""
    config = settings()
    watch = Watch(config)
    app = faust_app(config, "watch", fetch_wait_ms=100)
    emissions = raw_topic(app, config, topics.EMISSIONS)
    signals = raw_topic(app, config, topics.SIGNALS)
    rejects = raw_topic(app, config, topics.REJECTS)
    watch.watchdog = Watchdog(config, "watch", app, config.topic(topics.EMISSIONS), lambda: watch.at)

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(_: faust.App, revoked: Any, **__: Any) -> None:
        for tp in revoked:
            watch.drop(tp.partition)

    @app.agent(emissions, concurrency=1, name="watch")
    async def agent(stream: Any) -> None:
        try:
            await asyncio.gather(watch.run(stream, signals, rejects), watch.confirm(), watch.watchdog.run())
        except Exception as error:
            end_process(watch.log, error)

    return app
