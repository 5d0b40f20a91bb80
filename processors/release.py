"""Held readings sent again: which of them count, so that each moves from held once however often it is sent.

A frame of meter.readings with `release_of` holds readings that were accepted before, under `release_source`. Its
first copy of a reading whose meter is known moves that reading on; every other copy moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np

from carbonstream.processors.rows import Ints, Readings
from carbonstream.schemas.codes import Outcome

MOVES: Final = 1
MOVES_NOTHING: Final = 2
LONGEST_NAME: Final = 200
SAFE: Final = 2**62


class Origin(NamedTuple):
    """Where a held reading was first accepted. topic: the id of meter.readings at that time."""

    topic: str
    partition: int
    offset: int
    row: int


@dataclass(frozen=True, slots=True)
class Release:
    """What a frame of released readings says of itself; one origin a reading."""

    source: str  # that had sent them
    origins: list[Origin]

    def columns(self, *, is_taken: bool) -> dict[str, Any]:
        """The members of the answering emissions frame; a frame refused whole releases nothing."""
        origins = self.origins if is_taken else []
        return {"release_source": self.source, "release_of": [origin._asdict() for origin in origins]}


def release_of(frame: dict[str, Any], readings: int) -> Release | None:
    """The release a frame is; None for an ordinary frame, and where the two members are not sound."""
    given, source = frame.get("release_of"), frame.get("release_source")
    if given is None or not _is_name(source):
        return None
    if not isinstance(given, list) or len(given) != readings:
        return None
    origins = [_origin(entry) for entry in given]
    found = [origin for origin in origins if origin is not None]
    return Release(str(source), found) if len(found) == readings else None


def _origin(entry: Any) -> Origin | None:
    if not isinstance(entry, dict):
        return None
    origin = Origin(*(entry.get(name) for name in Origin._fields))  # type: ignore[arg-type]  # looked at below
    topic, *numbers = origin
    if not _is_name(topic) or not all(type(n) is int and 0 <= n < SAFE for n in numbers):
        return None
    return origin if origin.partition < 2**15 and origin.row < 2**31 else None


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= LONGEST_NAME and "\0" not in text


def is_release(document: dict[str, Any]) -> bool:
    """Whether an emissions frame answers a frame of released readings."""
    return document.get("release_of") is not None


def origins_of(frames: Iterable[dict[str, Any]]) -> list[Origin]:
    """Every origin that emissions frames name."""
    return [Origin(**entry) for d in frames if is_release(d) for entry in d["release_of"]]


@dataclass(frozen=True, slots=True)
class Moved:
    """A held reading that moves on in this batch, and what became of it."""

    origin: Origin
    at: Origin  # the copy that moves it
    source: str
    meter_id: str
    end: int  # UTC ms
    code: int


def settle(
    frames: Sequence[dict[str, Any]], readings: Readings, released: Iterable[Origin]
) -> tuple[Readings, list[Moved]]:
    """The batch with each released reading marked MOVES or MOVES_NOTHING, and what moves.

    released: origins that earlier batches have moved. What moves nothing is turned into a reading that has no row.
    """
    mark, code = np.zeros(len(readings.number), np.int64), readings.code.copy()
    done = set(released)
    moved: list[Moved] = []
    first = np.searchsorted(readings.frame, np.arange(len(frames)))
    for f, document in enumerate(frames):
        if not is_release(document):
            continue
        low = int(first[f]) + len(document.get("adjusted", ()))  # these stand before the frame's readings
        mark[low : low + len(document["meter"])] = MOVES_NOTHING
        for i, entry in enumerate(document["release_of"], start=low):
            origin = Origin(**entry)
            if readings.number[i] < 0 or origin in done:
                continue
            done.add(origin)
            mark[i] = MOVES
            of = document["origin"]
            at = Origin(of["topic_id"], of["partition"], of["offset"], i - low)
            meter_id = document["meters"][document["meter"][i - low]]
            end, became = int(readings.end[i]), int(readings.code[i])
            moved.append(Moved(origin, at, document["release_source"], meter_id, end, became))
    code[mark == MOVES_NOTHING] = Outcome.UNKNOWN_METER
    return replace(readings, code=code, release=mark), moved


def mark_of(readings: Readings) -> Ints:
    """0, MOVES or MOVES_NOTHING of each reading."""
    return readings.release if len(readings.release) else np.zeros(len(readings.number), np.int64)
