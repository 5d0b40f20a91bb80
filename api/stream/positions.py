"""Where a reader stands in the streamed topics, and its text form: the `id:` of an event."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from carbonstream.schemas.errors import CarbonstreamError

Vector = tuple[int, ...]  # next offset of each slot
MAX_OFFSET: Final = 1 << 62
FORM: Final = re.compile(r"[0-9A-Za-z_-]{1,40}(\.\d{1,19})+(~[0-9A-Za-z_-]{1,40}(\.\d{1,19})+)*")
MAX_LENGTH: Final = 4_096  # 2 topics of 64 partitions with 19 digits each fit


class NoPosition(CarbonstreamError):
    """An event id that does not say a position in the topics as they are now."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The streamed topics. A slot is one partition of one topic, counted through all topics.

    topics: names. ids: their Kafka topic ids; a recreated topic has another, so old positions are recognised.
    partitions: their counts.
    """

    topics: tuple[str, ...]
    ids: tuple[str, ...]
    partitions: tuple[int, ...]

    @property
    def slots(self) -> tuple[tuple[str, int], ...]:
        """(topic, partition) of each slot."""
        return tuple((t, p) for t, n in zip(self.topics, self.partitions, strict=True) for p in range(n))

    def encode(self, vector: Vector) -> str:
        """TOPICID.OFFSET.OFFSET...~TOPICID.OFFSET..., in the order of the topics."""
        parts, at = [], 0
        for id_, count in zip(self.ids, self.partitions, strict=True):
            parts.append(".".join((id_, *map(str, vector[at : at + count]))))
            at += count
        return "~".join(parts)

    def decode(self, text: str) -> Vector:
        """Inverse of encode. Raises NoPosition where the text is malformed or of another layout."""
        if len(text) > MAX_LENGTH or not FORM.fullmatch(text):
            raise NoPosition("not an event id of this stream")
        vector: list[int] = []
        parts = [part.split(".") for part in text.split("~")]
        if tuple(p[0] for p in parts) != self.ids or tuple(len(p) - 1 for p in parts) != self.partitions:
            raise NoPosition("an event id of other topics: they were recreated or re-partitioned")
        for part in parts:
            vector += [int(offset) for offset in part[1:]]
        if max(vector) > MAX_OFFSET:
            raise NoPosition("not an event id of this stream")
        return tuple(vector)


def furthest(a: Vector, b: Vector) -> Vector:
    """The later of two offsets in each slot."""
    return tuple(map(max, a, b))


def reaches(a: Vector, b: Vector) -> bool:
    """True where `a` is at or past `b` in every slot."""
    return all(x >= y for x, y in zip(a, b, strict=True))
