"""HTTP push in this process, on a free port, in an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from carbonstream.connectors.sources.http import serve
from carbonstream.schemas.settings import Settings
from tests.running import eventually

TOKEN = "a-token-of-a-test"
SOURCE = "http/gw-7"
PATH = "/v1/readings"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pushing(settings: Settings) -> Settings:
    return settings.model_copy(update={"http_port": free_port(), "push_tokens": {TOKEN: SOURCE}})


@contextmanager
def served(settings: Settings, wait_ready: bool = True) -> Iterator[httpx.Client]:
    """A client of a running server; the server is stopped in good order afterwards."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            loop.run_until_complete(serve(settings, stop))
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    client = httpx.Client(
        base_url=f"http://127.0.0.1:{settings.http_port}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=30,
    )
    try:
        if wait_ready:
            eventually(lambda: bool(ended) or _is_ready(client), "the edge is ready")
        yield client
    finally:
        client.close()
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
        if ended and ended[0] is not None:
            raise ended[0]


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False
