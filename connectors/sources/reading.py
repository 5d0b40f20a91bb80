"""What every source asks of a reading's meter and unit before it is accepted."""

from __future__ import annotations

from typing import Final

from carbonstream.schemas.carriers import THOUSANDTHS, UNITS
from carbonstream.schemas.codes import Edge
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.shards import ID, site_of

SHOWN: Final = 200  # characters of what was sent


def check_meter(field: str, meter: str) -> None:
    """Raise InvalidReading where an id is not SITE/METER, or no meter can be registered by it."""
    if not ID.fullmatch(meter) or not meter.isprintable():  # PostgreSQL's text cannot hold NUL
        shown = meter if len(meter) <= SHOWN else f"{meter[:SHOWN]}..."
        raise InvalidReading(
            field,
            Edge.METER,
            f"{shown!r} is no id: send 1 to 150 printable characters without spaces and | , ;",
        )
    try:
        site_of(meter)
    except InvalidReading as error:
        raise InvalidReading(field, Edge.METER, error.detail) from error


def check_unit(field: str, unit: str) -> None:
    """Raise InvalidReading where a unit is none of schemas.carriers.UNITS."""
    if unit not in THOUSANDTHS:
        raise InvalidReading(field, Edge.UNIT, f"{unit!r} is not known; send one of {', '.join(UNITS)}")
