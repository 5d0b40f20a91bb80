"""Run the API as a process: stops in good order on SIGTERM, ending the open streams first."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

from carbonstream.api.app import create_app
from carbonstream.api.services import Services
from carbonstream.connectors import telemetry
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

GRACE_S: Final = 5
BACKLOG: Final = 2_048  # a thousand boards come back at once after a restart
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Server(uvicorn.Server):
    """uvicorn, but a stop ends the streams, which would keep it waiting, and is an orderly exit, code 0."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def stop(self) -> None:
        """Stop soon."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT; uvicorn would raise them again at the end and so die of them."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then as uvicorn does."""
        services: Services = self._app.state.services
        services.hub.close()
        await super().shutdown(sockets)


async def serve(settings: Settings) -> None:
    """As carbonstream.api.serve."""
    if not settings.api_token:
        raise NotReady(
            "CARBONSTREAM_API_TOKEN is empty: set it to a long random text, or start with `carbonstream up`, "
            "which makes one"
        )
    log = telemetry.configure(settings, "api")
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    with listening(settings) as sock:
        log.info("listening", host=settings.host, port=sock.getsockname()[1])
        await Server(config, app).serve([sock])


@contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """A listening socket on settings.host:settings.api_port. Raises NotReady where the port is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((settings.host, settings.api_port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
                raise
            raise NotReady(
                f"cannot listen on {settings.host}:{settings.api_port} ({error.strerror}): "
                "set CARBONSTREAM_API_PORT"
            ) from error
        sock.listen(BACKLOG)
        yield sock
