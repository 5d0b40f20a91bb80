"""What every source asks of a reading's meter and unit before it is accepted."""

from __future__ import annotations

from typing import Final

from carbonstream.schemas.carriers import THOUSANDTHS, UNITS
from carbonstream.schemas.codes import Edge
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.shards import site_of

MAX_METER_CHARACTERS: Final = 200  # 500 of them, four bytes each, are 0.4 MB of a record's 4 MB


def check_meter(field: str, meter: str) -> None:
    """Raise InvalidReading where an id is not SITE/METER, too long, or cannot be stored and shown."""
    if len(meter) > MAX_METER_CHARACTERS:
        raise InvalidReading(
            field, Edge.METER, f"an id of {len(meter)} characters; at most {MAX_METER_CHARACTERS} are taken"
        )
    if not meter.isprintable():  # PostgreSQL's text cannot hold NUL
        raise InvalidReading(field, Edge.METER, f"{meter!r} holds control characters; remove them")
    try:
        site_of(meter)
    except InvalidReading as error:
        raise InvalidReading(field, Edge.METER, error.detail) from error


def check_unit(field: str, unit: str) -> None:
    """Raise InvalidReading where a unit is none of schemas.carriers.UNITS."""
    if unit not in THOUSANDTHS:
        raise InvalidReading(field, Edge.UNIT, f"{unit!r} is not known; send one of {', '.join(UNITS)}")
