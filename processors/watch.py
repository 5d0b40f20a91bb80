"""What watch passes on of an emissions record: the tick it answers, and the readings it rejects.

Both stand in the record's headers, so most records are never decoded. Ids derive from the answered record of
meter.readings: a second copy of a record gives the same ids again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from carbonstream.schemas.frames import HEADER_REJECTS, HEADER_TICK

HEADER_ID: Final = "ce_id"
HEADERS: Final = frozenset((HEADER_ID, HEADER_TICK, HEADER_REJECTS))
REJECTS_FIELDS: Final = ("source", "origin", "tick", "rejects")


@dataclass(frozen=True, slots=True)
class Heads:
    """What the headers of one emissions record say."""

    id: str  # TOPIC-ID/PARTITION/OFFSET of the answered record of meter.readings
    tick: int | None  # UTC ms
    rejects: int

    @property
    def origin(self) -> tuple[int, str]:
        """Offset of the answered record, and where that counts: TOPIC-ID/PARTITION."""
        chain, _, offset = self.id.rpartition("/")
        return int(offset), chain


def heads(headers: Iterable[tuple[str, bytes]] | None) -> Heads:
    """Read the headers. Raises KeyError where the record names no id: it is not convert's."""
    found = {name: value for name, value in headers or () if name in HEADERS}
    tick = found.get(HEADER_TICK)
    return Heads(
        found[HEADER_ID].decode(), None if tick is None else int(tick), int(found.get(HEADER_REJECTS, b"0"))
    )


class FirstCopies:
    """A stalled convert may answer an offset a second time, after the first: only the first copy counts."""

    def __init__(self) -> None:
        self._newest: dict[int, tuple[str, int]] = {}

    def take(self, partition: int, origin: int, chain: str = "") -> bool:
        """Whether this is the first answer to offset `origin` of the partition. chain: TOPIC-ID/PARTITION, so that a
        recreated topic begins anew."""
        before, newest = self._newest.get(partition, (chain, -1))
        if chain == before and origin <= newest:
            return False
        self._newest[partition] = chain, origin
        return True

    def drop(self, partition: int) -> None:
        """The partition went to another worker: what comes of it later may begin earlier."""
        self._newest.pop(partition, None)


def tick_signal(partition: int, tick: int) -> bytes:
    """schemas.totals.TickSignal."""
    return orjson.dumps({"partition": partition, "time": tick})


def rejects_frame(emissions: bytes) -> bytes:
    """schemas.emissions.RejectsFrame of an emissions record."""
    document: dict[str, Any] = orjson.loads(emissions)
    return orjson.dumps({name: document[name] for name in REJECTS_FIELDS})
