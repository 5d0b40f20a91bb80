"""What surrounds every answer: security headers, and the request's duration for /metrics.

Plain ASGI, so that a stream passes through without a task of its own.
"""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import Counter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from carbonstream.connectors.telemetry import SECONDS

REQUESTS: Final = Counter("carbonstream_requests_total", "Requests answered", ["route", "status"])
STREAM: Final = "/v1/stream"  # lasts for hours by design: counted, not timed

# The page loads nothing from elsewhere. ECharts writes style attributes into its tooltips; scripts and style
# elements stay restricted to files of our own.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # a sign-in link holds its code
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers, time the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        private = scope["path"].startswith("/v1")

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY)
                if private:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        begun = time.perf_counter()
        try:
            await self._app(scope, receive, sending)
        finally:
            # the route's own pattern, never the path asked for: labels stay few
            route = getattr(scope.get("route"), "path", "other")
            REQUESTS.labels(route, str(status)).inc()
            if route != STREAM:
                SECONDS.labels("api", route).observe(time.perf_counter() - begun)
