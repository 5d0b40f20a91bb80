"""Refusals as problem details (RFC 9457): what is wrong, where, and what to do."""

from __future__ import annotations

from typing import Final, NamedTuple

import orjson
from starlette.responses import Response

from carbonstream.schemas.codes import Edge

MAX_TOLD: Final = 20  # faults listed in one answer
RETRY_AFTER_S: Final = 5
STATUS: Final[dict[Edge, int]] = {
    Edge.NOT_JSON: 400,
    Edge.UNAUTHORISED: 401,
    Edge.TOO_SLOW: 408,
    Edge.TOO_LARGE: 413,
    Edge.MEDIA_TYPE: 415,
    Edge.BUSY: 503,
}
FAULTY_READINGS: Final = 422
TITLES: Final[dict[int, str]] = {
    400: "not readable",
    401: "not authorised",
    408: "too slow",
    413: "too large",
    415: "media type not taken",
    422: "faulty readings",
    503: "not now",
}


class Fault(NamedTuple):
    """One thing wrong: `field` is a path into the caller's document, e.g. readings[3].end."""

    field: str
    code: Edge
    detail: str


class Refused(Exception):
    """A request of which nothing is accepted. `total` faults were found; the first MAX_TOLD are kept."""

    def __init__(self, faults: list[Fault], total: int | None = None) -> None:
        self.faults = [Fault(_told(f.field), f.code, _told(f.detail)) for f in faults[:MAX_TOLD]]
        self.total = len(faults) if total is None else total
        super().__init__("; ".join(f"{fault.field}: {fault.detail}" for fault in self.faults))


def refused(field: str, code: Edge, detail: str) -> Refused:
    """A refusal for one reason."""
    return Refused([Fault(field, code, detail)])


def _told(text: str) -> str:
    # half a surrogate pair, which JSON may escape, cannot be sent
    return text.encode("utf-8", "replace").decode()


def answer(refusal: Refused, *, close: bool) -> Response:
    """The refusal as application/problem+json. close: the rest of the body is not worth reading."""
    first = refusal.faults[0]
    status = STATUS.get(first.code, FAULTY_READINGS)
    detail = f"{first.field}: {first.detail}"
    if refusal.total > 1:
        detail += f" (and {refusal.total - 1} more; nothing of the request was accepted)"
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="carbonstream"'
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if close:
        headers["Connection"] = "close"
    return problem(
        status,
        TITLES[status],
        detail,
        headers,
        code=first.code.value,
        field=first.field,
        errors=[fault._asdict() for fault in refusal.faults],
    )


def problem(status: int, title: str, detail: str, headers: dict[str, str], **more: object) -> Response:
    """One problem document."""
    document = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return Response(orjson.dumps(document), status, headers, "application/problem+json")
