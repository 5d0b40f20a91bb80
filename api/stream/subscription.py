"""One client of the stream: what it wants, how far it is, what to send it next.

A client takes from the shared ring when its connection can take more, so a slow one costs no memory of its
own: of the totals that came meanwhile it gets the newest of each key, and every warning. One that falls
behind the ring is led through Kafka again (resume).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from carbonstream.api.stream.events import Event, with_id
from carbonstream.api.stream.positions import Vector, furthest, reaches
from carbonstream.api.stream.ring import Filter, Ring

CHUNK: Final = 256  # events sent at once: about 400 kB, so that a slow connection is asked again soon


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes to send, the position after them, and the number to go on from (None: all is sent)."""

    wire: bytes
    at: Vector
    following: int | None


class Subscription:
    """A client's filter and place.

    `at`: all that passes the filter before this position was sent. `pending`: number of the first event not
    sent yet, if any. `skip`: a client that comes back may be further in some slots than the ring's order is;
    events before this position were sent.
    """

    __slots__ = ("at", "lost", "pending", "skip", "wake", "wanted")

    def __init__(self, wanted: Filter, at: Vector) -> None:
        self.wanted = wanted
        self.at = at
        self.pending: int | None = None
        self.skip: Vector | None = None
        self.lost: str | None = None  # why the client has to reload
        self.wake = asyncio.Event()

    def notice(self, event: Event) -> None:
        """An event that passes the filter came."""
        if self.pending is None:
            self.pending = event.seq
        self.wake.set()

    def resume_at(self, at: Vector, ring: Ring) -> None:
        """Go on from a position that the ring still holds."""
        first, exact = ring.first_after(at)
        self.at = at
        self.skip = None if exact else at
        self.pending = first if first < ring.head else None

    def behind(self, ring: Ring) -> bool:
        """True where the ring no longer holds what comes next."""
        return self.pending is not None and self.pending < ring.tail

    def take(self, ring: Ring, shared: dict[tuple[int, Filter], Chunk]) -> bytes:
        """The next events' bytes, at most CHUNK of them. `shared` keeps chunks that other clients take
        too.
        """
        if self.pending is None:
            return b""
        if self.skip is not None:
            return self._take_skipping(ring, self.pending, self.skip)
        key = (self.pending, self.wanted)
        chunk = shared.get(key)
        if chunk is None:
            chunk = shared[key] = _chunk(ring, self.pending, self.wanted)
        self.pending, self.at = chunk.following, chunk.at
        return chunk.wire

    def _take_skipping(self, ring: Ring, first: int, skip: Vector) -> bytes:
        """As `take` for a client that was further than the ring's order: its ids never fall behind `skip`."""
        events = ring.since(first, self.wanted)
        wire = []
        for event in events[:CHUNK]:
            if event.offset < skip[event.slot]:
                continue
            wire.append(with_id(ring.layout.encode(furthest(event.at, skip)), event.body))
        more = len(events) > CHUNK
        reached = events[CHUNK - 1].at if more else ring.vector
        self.pending = events[CHUNK].seq if more else None
        self.at = furthest(reached, skip)
        if reaches(reached, skip):
            self.skip = None
        return b"".join(wire)


def _chunk(ring: Ring, seq: int, wanted: Filter) -> Chunk:
    events = ring.since(seq, wanted)
    wire = b"".join(e.wire for e in events[:CHUNK])
    if len(events) > CHUNK:
        return Chunk(wire, events[CHUNK - 1].at, events[CHUNK].seq)
    return Chunk(wire, ring.vector, None)
