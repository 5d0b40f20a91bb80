"""Every error of the API as application/problem+json (RFC 9457): what is wrong, in which field, and what to
do.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any, Final

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from carbonstream.connectors.telemetry import FAULTS
from carbonstream.schemas.errors import CarbonstreamError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 2  # a restarted server answers 2-3 s after its start
TELL_S: Final = 1.0


class FieldProblem(BaseModel):
    """One faulty field of a request."""

    field: str = Field(examples=["from"])
    detail: str


class ProblemDocument(BaseModel):
    """Body of every answer of 400 and above."""

    type: str = "about:blank"
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["from: '2024-13' is not a month"])
    field: str | None = Field(None, description="the first faulty field")
    errors: list[FieldProblem] | None = None
    remedy: str | None = Field(None, description="what to do next")


class Problem(CarbonstreamError):
    """Raised by a route to answer with a problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        headers: dict[str, str] | None = None,
        errors: list[FieldProblem] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.field, self.remedy, self.headers, self.errors = (
            status,
            detail,
            field,
            remedy,
            headers,
            errors,
        )


def invalid(field: str, detail: str, remedy: str | None = None) -> Problem:
    """422 naming one field."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{field}: {detail}", field=field, remedy=remedy)


def unavailable(detail: str, remedy: str) -> Problem:
    """503 with Retry-After."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, detail, remedy=remedy, headers={"Retry-After": str(RETRY_AFTER_S)}
    )


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    log = structlog.get_logger(service="api")
    told_at = 0.0

    @app.exception_handler(Problem)
    async def _problem(_: Request, problem: Problem) -> Response:
        return _answer(problem, problem.errors)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        detail = error.detail
        if error.status_code == HTTPStatus.NOT_FOUND:
            detail = f"nothing at {request.url.path}; /openapi.json lists what there is"
        return _answer(Problem(error.status_code, detail, headers=dict(error.headers or {})))

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> Response:
        errors = [FieldProblem(field=_field(e["loc"]), detail=str(e["msg"])) for e in error.errors()]
        first = errors[0]
        problem = Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"{first.field}: {first.detail}", field=first.field
        )
        return _answer(problem, errors)

    for away in (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, asyncio.TimeoutError):

        @app.exception_handler(away)
        async def _away(request: Request, error: Exception) -> Response:
            nonlocal told_at
            FAULTS.labels("api", "database away").inc()
            if time.monotonic() - told_at > TELL_S:  # counted each, told once a second
                told_at = time.monotonic()
                log.warning("database away", path=request.url.path, error=str(error) or type(error).__name__)
            return _answer(
                unavailable(
                    "the database did not answer in time",
                    "try again; if it goes on, ask for a shorter range or look at /health/ready",
                )
            )

    @app.exception_handler(Exception)
    async def _fault(request: Request, error: Exception) -> Response:
        log.error("fault", path=request.url.path, exc_info=error)
        return _answer(Problem(500, "a fault of this server, not of the request; its log says more"))


def _answer(problem: Problem, errors: list[FieldProblem] | None = None) -> Response:
    if errors is None and problem.field is not None:
        errors = [FieldProblem(field=problem.field, detail=problem.detail.removeprefix(f"{problem.field}: "))]
    document = ProblemDocument(
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        field=problem.field,
        errors=errors,
        remedy=problem.remedy,
    )
    return JSONResponse(
        document.model_dump(exclude_none=True), problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def _field(loc: tuple[Any, ...] | list[Any]) -> str:
    """('query', 'from') -> 'from'; ('query', 'entity', 0) -> 'entity[0]'."""
    name = ""
    for part in loc[1:] or loc:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name


RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ProblemDocument, "description": description, "content": {MEDIA_TYPE: {}}}
    for status, description in (
        (401, "no bearer token and no session"),
        (404, "no such thing"),
        (422, "a faulty parameter, named in `field`"),
        (503, "the database is away; Retry-After says when to try again"),
    )
}
