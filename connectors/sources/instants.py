"""Instants as people and machines write them: UTC milliseconds, or ISO 8601 with an offset."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from carbonstream.processors.frames import MAX_TIME_MS
from carbonstream.schemas.codes import Edge
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.periods import DAY_MS, YEAR_2000_MS, to_ms

EXAMPLE: Final = "2024-01-01T00:15:00+08:00"


def from_iso(field: str, text: str) -> int:
    """ISO 8601 with an offset (or Z) as UTC ms; 24:00 is the end of the day it carries.

    Raises InvalidReading naming `field`: a time without an offset could mean anywhere.
    """
    evening = "T24:00" in text
    try:
        at = datetime.fromisoformat(text.replace("T24:00", "T00:00") if evening else text)
    except ValueError as error:
        raise InvalidReading(field, Edge.TIME, f"{text!r} is not ISO 8601; send e.g. {EXAMPLE}") from error
    if at.tzinfo is None:
        raise InvalidReading(field, Edge.TIME, f"{text!r} has no offset; send e.g. {EXAMPLE}")
    if evening and (at.minute or at.second or at.microsecond):
        raise InvalidReading(field, Edge.TIME, f"{text!r}: only 24:00:00 itself belongs to the day before")
    return to_ms(at) + (DAY_MS if evening else 0)


def check_span(field: str, at_ms: int, latest_ms: int = MAX_TIME_MS) -> None:
    """Raise InvalidReading where an instant lies before 2000 or past `latest_ms` (UTC ms): a wrong unit or
    clock.
    """
    if at_ms < YEAR_2000_MS:
        raise InvalidReading(
            field,
            Edge.TIME,
            f"{at_ms} is before 2000; are these milliseconds since 1970, UTC, and the clock set?",
        )
    if at_ms > latest_ms:
        raise InvalidReading(
            field, Edge.TIME, f"{at_ms} is more than a day ahead; check unit and clock of the source"
        )
