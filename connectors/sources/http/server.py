"""Start and stop HTTP push: uvicorn, Kafka, sequences and the tally as one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from carbonstream.connectors import telemetry
from carbonstream.connectors.sources.http.app import Push, create_app
from carbonstream.connectors.sources.http.delivery import DELIVERY_TIMEOUT_S, Broker, Delivery
from carbonstream.connectors.sources.http.refusals import Refusals
from carbonstream.connectors.sources.stopping import stop_on_signals
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

# A request under way is answered or given up when its delivery times out.
GRACE_S: Final = int(DELIVERY_TIMEOUT_S) + 2


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: the stop is ours."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Serve until `stop` is set, or SIGTERM or SIGINT comes where none is given: then accept nothing more,
    answer what is under way, flush, and write the sequence numbers.

    Raises SourceInUse, and NotReady when the port is taken or the producer cannot go on (start anew).
    """
    log = telemetry.configure(settings, "http")
    stop = stop or stop_on_signals()
    if not settings.push_tokens:
        log.warning("no tokens, so every request is refused; set CARBONSTREAM_PUSH_TOKENS")
    listening = _listen(settings)
    broker = Broker(settings)
    delivery = Delivery(settings, broker)
    refusals = Refusals(settings, log)
    config = uvicorn.Config(
        create_app(Push(settings, delivery, refusals), broker, log),
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # nothing here asks who the client is
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        http="httptools",
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    beside = [asyncio.create_task(task) for task in (broker.watch(), refusals.keep())]
    log.info("serving", url=f"http://{settings.host}:{settings.http_port}/v1/readings")
    ends = [asyncio.create_task(event.wait()) for event in (stop, delivery.broken)]
    try:
        await asyncio.wait([serving, *beside, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in (serving, *beside):
            if task.done():
                task.result()
        server.should_exit = True
        await serving
    finally:
        for end in (*beside, *ends):
            end.cancel()
        await delivery.close()
        await refusals.flush()
        log.info("stopped")
    if delivery.broken.is_set():
        raise NotReady("the Kafka producer cannot go on; this process must be started anew")


def _listen(settings: Settings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.http_port), backlog=1_024)
    except OSError as error:
        raise NotReady(
            f"cannot listen on {settings.host}:{settings.http_port} ({error}); "
            "free the port or set CARBONSTREAM_HTTP_PORT"
        ) from error
