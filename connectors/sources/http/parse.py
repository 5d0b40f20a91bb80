"""A request's bytes into columns. Pure; every way to be wrong ends in Refused, naming the field and the
remedy.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

import orjson

from carbonstream.connectors.sources.framing import Columns
from carbonstream.connectors.sources.http.frame import columns_of_frame
from carbonstream.connectors.sources.http.problems import refused
from carbonstream.connectors.sources.http.rows import EXAMPLE_READING, columns_of
from carbonstream.schemas.codes import SENT_MODES, Edge, Mode
from carbonstream.schemas.texts import shown

MAX_READINGS: Final = 10_000  # a request; 20 full frames of one shard
MAX_DIGITS: Final = 18  # of an integer; a longer one is read as a float, as orjson does
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"


class Pushed(NamedTuple):
    """What a request brings. mode: None where the document names none."""

    columns: Columns
    mode: Mode | None


def media_type(header: str) -> str:
    """JSON or NDJSON by the Content-Type header. Raises Refused for others."""
    name = header.partition(";")[0].strip().lower()
    if name not in (JSON, NDJSON):
        raise refused("Content-Type", Edge.MEDIA_TYPE, f"{name!r} is not taken; send {JSON} or {NDJSON}")
    return name


def mode_of(text: object) -> Mode:
    """live or backfill. Raises Refused."""
    if text not in SENT_MODES:
        raise refused("mode", Edge.WRONG_TYPE, f"{shown(text)} is not live or backfill")
    return Mode(str(text))


def parse(body: bytes, media: str, latest_ms: int) -> Pushed:
    """One reading, a batch, a list, lines of readings, or a frame.

    latest_ms: UTC ms, the last instant that is taken. Raises Refused.
    """
    if media == NDJSON:
        return Pushed(_rows(_lines(body), "lines[{}].", latest_ms), None)
    document = _loads(body, "body")
    if isinstance(document, list):
        return Pushed(_rows(document, "[{}].", latest_ms), None)
    if not isinstance(document, dict):
        raise refused("body", Edge.WRONG_TYPE, f"{shown(document)} is not a reading like {EXAMPLE_READING}")
    if "meters" in document:
        if isinstance(document.get("end"), list):
            _check_count(len(document["end"]))
        mode = mode_of(document["mode"]) if "mode" in document else None
        return Pushed(columns_of_frame(document, latest_ms), mode)
    if "readings" in document:
        return _batch(document, latest_ms)
    return Pushed(_rows([document], "", latest_ms), None)


def _batch(document: dict[str, Any], latest_ms: int) -> Pushed:
    for field in sorted(document.keys() - {"readings", "mode"}):
        raise refused(field[:60], Edge.UNKNOWN_FIELD, "a batch has `readings` and, if need be, `mode`")
    readings = document["readings"]
    if not isinstance(readings, list):
        raise refused("readings", Edge.WRONG_TYPE, f"{shown(readings)} is not an array of readings")
    mode = mode_of(document["mode"]) if "mode" in document else None
    return Pushed(_rows(readings, "readings[{}].", latest_ms), mode)


def _rows(rows: list[Any], path: str, latest_ms: int) -> Columns:
    _check_count(len(rows))
    return columns_of(rows, path, latest_ms)


def _check_count(readings: int) -> None:
    if readings == 0:
        raise refused("readings", Edge.MISSING, f"the request holds no readings; send e.g. {EXAMPLE_READING}")
    if readings > MAX_READINGS:
        raise refused(
            "readings",
            Edge.TOO_LARGE,
            f"{readings} readings, at most {MAX_READINGS} are taken; send several requests",
        )


def _lines(body: bytes) -> list[Any]:
    lines = body.split(b"\n")
    if len(lines) > 2 * MAX_READINGS:
        _check_count(sum(1 for line in lines if line.strip()))
    return [_loads(line, f"lines[{i}]") for i, line in enumerate(lines) if line.strip()]


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _loads(text: bytes, field: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        why = error
    if b"NaN" in text or b"Infinity" in text or "number" in str(why):
        # no number that is finite, but many encoders write it: read it so that the answer can name the reading
        try:
            return json.loads(text, parse_int=_integer)
        except (ValueError, RecursionError):
            pass
    raise refused(field, Edge.NOT_JSON, f"not JSON: {why}; send e.g. {EXAMPLE_READING}") from why
