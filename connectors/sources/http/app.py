"""The FastAPI face of HTTP push: authorise, read, parse, send, answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import orjson
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from carbonstream.connectors import telemetry
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.http.body import read_body
from carbonstream.connectors.sources.http.delivery import Broker, Delivery
from carbonstream.connectors.sources.http.openapi import DESCRIPTION, HEALTH, PUSH
from carbonstream.connectors.sources.http.parse import media_type, mode_of, parse
from carbonstream.connectors.sources.http.problems import Refused, answer, problem, refused
from carbonstream.connectors.sources.http.refusals import UNKNOWN_SOURCE, Refusals
from carbonstream.connectors.sources.http.tokens import Tokens
from carbonstream.processors.frames import MAX_TIME_MS
from carbonstream.schemas.codes import Edge, Mode
from carbonstream.schemas.settings import Settings

# Each may hold a body of 4 MB and what is parsed from it, some 20 MB at the most.
MAX_REQUESTS: Final = 64

DROPPED_BYTES: Final = 64 << 20


class Push:
    """One request at a time through all its steps; many at once in the event loop."""

    def __init__(
        self,
        settings: Settings,
        delivery: Delivery,
        refusals: Refusals,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._settings, self._delivery, self._refusals, self._now_ms = settings, delivery, refusals, now_ms
        self._tokens = Tokens(settings.push_tokens)
        self._requests = 0

    async def answer(self, request: Request) -> Response:
        """202 with receipts, or a problem document; counted either way."""
        source = UNKNOWN_SOURCE
        self._requests += 1
        try:
            source = self._tokens.source(request.headers.get("authorization", ""))
            if self._requests > MAX_REQUESTS:
                raise refused(
                    "service", Edge.BUSY, f"{MAX_REQUESTS} requests are under way; send again later"
                )
            return await self._accept(source, request)
        except Refused as refusal:
            self._refusals.count(source, refusal.faults[0].code, self._now_ms())
            return answer(refusal, close=is_long(request.headers.get("content-length")))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        finally:
            self._requests -= 1

    async def _accept(self, source: str, request: Request) -> Response:
        media = media_type(request.headers.get("content-type", ""))
        query = request.query_params.get("mode")
        mode = None if query is None else mode_of(query)
        body = await read_body(
            request.stream(),
            request.headers.get("content-encoding", "").lower(),
            request.headers.get("content-length"),
        )
        began = time.perf_counter()
        pushed = parse(body, media, self._latest_ms())
        if mode is not None and pushed.mode not in (None, mode):
            raise refused("mode", Edge.WRONG_TYPE, f"{pushed.mode} here, {mode} in the query; send one")
        receipts = await self._delivery.send(source, mode or pushed.mode or Mode.LIVE, pushed.columns)
        telemetry.SECONDS.labels("http", "acknowledge").observe(time.perf_counter() - began)
        telemetry.READINGS.labels("http", "accepted").inc(len(pushed.columns))
        accepted = {
            "accepted": len(pushed.columns),
            "durable": "kafka",
            "frames": [receipt._asdict() for receipt in receipts],
        }
        return Response(orjson.dumps(accepted), 202, media_type="application/json")

    def _latest_ms(self) -> int:
        """The wall clock says nothing about what is too new in virtual time; convert does."""
        if self._settings.virtual_time:
            return MAX_TIME_MS
        return self._now_ms() + self._settings.backfill_max_ahead_s * 1_000


def is_long(content_length: str | None) -> bool:
    """Whether a refused body is cut off. A shorter one is read to its end and dropped: a client that is still
    sending would otherwise meet a closed connection and never see the answer."""
    if content_length is None or not content_length.isdecimal():
        return True
    return int(content_length) > DROPPED_BYTES


def create_app(push: Push, broker: Broker, log: Any) -> FastAPI:
    """The routes."""
    # The documentation pages would load scripts from elsewhere; /openapi.json is what programs read.
    app = FastAPI(
        title="Carbonstream HTTP push",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )

    @app.post("/v1/readings", **PUSH)
    async def push_readings(request: Request) -> Response:
        return await push.answer(request)

    @app.get("/health/live", **HEALTH["live"])
    async def live() -> Response:
        return Response(b'{"live":true}', media_type="application/json")

    @app.get("/health/ready", **HEALTH["ready"])
    async def ready() -> Response:
        if broker.is_away():
            return problem(503, "not ready", "Kafka does not answer", {"Retry-After": "5"}, ready=False)
        return Response(b'{"ready":true}', media_type="application/json")

    @app.exception_handler(HTTPException)
    async def not_served(request: Request, error: HTTPException) -> Response:
        detail = f"{request.method} {request.url.path} is not served; POST /v1/readings is"
        return problem(error.status_code, str(error.detail).lower(), detail, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("request failed", path=request.url.path, exc_info=error)
        telemetry.FAULTS.labels("http", type(error).__name__).inc()
        return problem(
            500,
            "our fault",
            "part of it may have been accepted: send all of it again, repeats are recognised, and report this",
            {},
        )

    return app
