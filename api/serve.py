"""Run the API as a process: stops in good order on SIGTERM, ending the open streams first."""

from __future__ import annotations

import socket
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


class _Server(uvicorn.Server):
    """uvicorn waits for open connections when it stops; a stream would keep it waiting for ever."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then as uvicorn does."""
        services: Services = self._app.state.services
        services.hub.close()
        await super().shutdown(sockets)


def serve(settings: Settings) -> None:
    """Serve on settings.host:settings.api_port until SIGTERM or SIGINT.

    Raises NotReady where settings.api_token is empty; SystemExit where the port is taken.
    """
    if not settings.api_token:
        raise NotReady(
            "CARBONSTREAM_API_TOKEN is empty: set it to a long random text, or start with `carbonstream up`, which makes one"
        )
    log = telemetry.configure(settings, "api")
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.api_port,
        backlog=BACKLOG,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    log.info("listening", host=settings.host, port=settings.api_port)
    _Server(config, app).run()
