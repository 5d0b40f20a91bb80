"""What /openapi.json says: every shape with an example that is taken as it stands."""

from __future__ import annotations

from typing import Any, Final

from carbonstream.connectors.sources.http.parse import JSON, NDJSON
from carbonstream.schemas.carriers import UNITS
from carbonstream.schemas.codes import Edge

DESCRIPTION: Final = (
    "Readings of meters into Carbonstream. A 202 means that all in-sync replicas of Kafka have them. "
    "A request is accepted whole or not at all; the same reading sent twice counts once."
)
PROBLEM: Final = "application/problem+json"

_INSTANT: Final = {
    "oneOf": [
        {"type": "integer", "description": "UTC milliseconds since 1970"},
        {"type": "string", "format": "date-time", "description": "ISO 8601 with an offset"},
    ]
}
_UNIT: Final = {"type": "string", "enum": list(UNITS), "description": "absent: the meter's own"}
_READING: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["meter", "value"],
    "anyOf": [{"required": ["end"]}, {"required": ["time"]}],
    "properties": {
        "meter": {"type": "string", "maxLength": 200, "pattern": "^.+/[^/]+$", "description": "SITE/METER"},
        "end": _INSTANT | {"description": "end of the interval, or the instant of a register's index"},
        "time": _INSTANT | {"description": "another name of `end`"},
        "start": _INSTANT | {"description": "start of the interval; absent: end less the meter's interval"},
        "value": {"type": "number"},
        "unit": _UNIT,
    },
}
_FRAME: Final = {
    "type": "object",
    "required": ["meters", "meter", "end", "value"],
    "properties": {
        "meters": {"type": "array", "items": {"type": "string"}, "description": "distinct ids SITE/METER"},
        "meter": {"type": "array", "items": {"type": "integer"}, "description": "index into meters"},
        "end": {"type": "array", "items": _INSTANT},
        "start": {"type": "array", "items": {"anyOf": [_INSTANT, {"type": "null"}]}},
        "value": {"type": "array", "items": {"type": "number"}},
        "unit": {"anyOf": [_UNIT, {"type": "array", "items": {"anyOf": [_UNIT, {"type": "null"}]}}]},
        "mode": {"enum": ["live", "backfill"]},
    },
}
_ONE: Final = {"meter": "330502-0001/E01", "end": "2024-01-01T00:15:00+08:00", "value": 3.17, "unit": "kWh"}
EXAMPLES: Final[dict[str, Any]] = {
    "reading": _ONE,
    "batch": {"readings": [_ONE, {"meter": "330502-0001/G01", "time": 1704039300000, "value": 12.4}]},
    "list": [_ONE],
    "frame": {
        "meters": ["330502-0001/E01", "330503-0002/E01"],
        "meter": [0, 1, 0],
        "end": [1704039300000, 1704039300000, 1704040200000],
        "value": [3.17, 40.2, 4.0],
        "unit": "kWh",
    },
}
NDJSON_EXAMPLE: Final = (
    '{"meter":"330502-0001/E01","end":1704039300000,"value":3.17}\n'
    '{"meter":"330502-0001/E01","end":1704040200000,"value":4}\n'
)
_ACCEPTED: Final = {
    "accepted": 1,
    "durable": "kafka",
    "frames": [{"shard": 17, "partition": 1, "offset": 4411, "seq": 1745321000000}],
}
_PROBLEM: Final = {
    "type": "about:blank",
    "title": "faulty readings",
    "status": 422,
    "detail": "readings[3].end: '2024-01-01T00:15:00' has no offset; send e.g. 2024-01-01T00:15:00+08:00",
    "code": "time",
    "field": "readings[3].end",
    "errors": [
        {"field": "readings[3].end", "code": "time", "detail": "'2024-01-01T00:15:00' has no offset; ..."}
    ],
}
_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "required": ["title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"enum": [code.value for code in Edge]},
        "field": {"type": "string"},
        "errors": {"type": "array", "maxItems": 20, "items": {"type": "object"}},
    },
}


def _refusal(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {PROBLEM: {"schema": _PROBLEM_SCHEMA, "example": _PROBLEM}},
    }


PUSH: Final[dict[str, Any]] = {
    "status_code": 202,
    "summary": "Hand over readings",
    "responses": {
        202: {"description": "Kafka has acknowledged all of them", "content": {JSON: {"example": _ACCEPTED}}},
        400: _refusal("not JSON"),
        401: _refusal("no token, or one of no source"),
        408: _refusal("the body did not come in time"),
        413: _refusal("more than 4 MiB or 10,000 readings"),
        415: _refusal("another media type or encoding"),
        422: _refusal("faulty readings; none of the request is accepted"),
        503: _refusal("Kafka does not take it now; send again after Retry-After seconds"),
    },
    "openapi_extra": {
        "security": [{"token": []}],
        "parameters": [
            {"name": "mode", "in": "query", "schema": {"enum": ["live", "backfill"], "default": "live"}},
            {"name": "Content-Encoding", "in": "header", "schema": {"enum": ["gzip"]}},
        ],
        "requestBody": {
            "required": True,
            "content": {
                JSON: {
                    "schema": {
                        "oneOf": [
                            _READING,
                            {
                                "type": "object",
                                "properties": {"readings": {"type": "array", "items": _READING}},
                            },
                            {"type": "array", "items": _READING},
                            _FRAME,
                        ]
                    },
                    "examples": {name: {"value": value} for name, value in EXAMPLES.items()},
                },
                NDJSON: {"schema": {"type": "string"}, "example": NDJSON_EXAMPLE},
            },
        },
    },
}
HEALTH: Final[dict[str, dict[str, Any]]] = {
    "live": {"summary": "Whether the process serves", "tags": ["health"]},
    "ready": {
        "summary": "Whether it can accept readings now",
        "tags": ["health"],
        "responses": {503: _refusal("Kafka does not answer")},
    },
}
