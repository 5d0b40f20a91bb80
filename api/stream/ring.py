"""The last events in order, found by number and by entity. Pure: no I/O, no clock."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import Final

from carbonstream.api.stream.events import EVERY_ENTITY, Event, Meaning, Record, with_id
from carbonstream.api.stream.positions import Layout, Vector, reaches

CAPACITY: Final = 20_000  # about 2 kB an event with its id: 40 MB


@dataclass(frozen=True, slots=True)
class Filter:
    """What a client wants: topics, and entities (empty: all). What concerns all of them passes too."""

    topics: frozenset[str]
    entities: frozenset[str]

    def wants(self, topic: str, entity: str) -> bool:
        """True where an event passes."""
        return topic in self.topics and (
            not self.entities or entity in self.entities or entity == EVERY_ENTITY
        )


class Ring:
    """Events with consecutive numbers from `tail` up to, not including, `head`; older ones are let go.

    `vector` is the position after the newest record, `floor` the position from which every record is still
    here.
    """

    def __init__(self, layout: Layout, vector: Vector, first_seq: int = 0, capacity: int = CAPACITY) -> None:
        self.layout = layout
        self.vector = vector
        self._floor = list(vector)
        self._events: deque[Event] = deque()
        self._by_entity: dict[str, deque[Event]] = {}
        self._capacity = capacity
        self.head = first_seq

    @property
    def tail(self) -> int:
        """Number of the oldest event here; `head` where there is none."""
        return self._events[0].seq if self._events else self.head

    @property
    def floor(self) -> Vector:
        """Every event from these offsets on is here, or has not come yet."""
        return tuple(self._floor)

    def heard(self, topic: str) -> Vector:
        """The position in one topic; empty before it is known."""
        slots = zip(self.layout.slots, self.vector, strict=True)
        return tuple(offset for (of, _), offset in slots if of == topic)

    def append(self, record: Record, meaning: Meaning | None) -> Event | None:
        """Take in the next record; returns its event, None where it makes none or was here before."""
        if record.offset < self.vector[record.slot]:
            return None
        moved = list(self.vector)
        moved[record.slot] = record.offset + 1
        self.vector = tuple(moved)
        if meaning is None:
            return None
        event = Event(
            self.head,
            record.slot,
            record.offset,
            record.topic,
            meaning.entity,
            meaning.key,
            self.vector,
            meaning.body,
            with_id(self.layout.encode(self.vector), meaning.body),
        )
        self.head += 1
        self._events.append(event)
        self._by_entity.setdefault(event.entity, deque()).append(event)
        if len(self._events) > self._capacity:
            self._let_go()
        return event

    def _let_go(self) -> None:
        oldest = self._events.popleft()
        of_entity = self._by_entity[oldest.entity]
        of_entity.popleft()
        if not of_entity:
            del self._by_entity[oldest.entity]
        self._floor[oldest.slot] = oldest.offset + 1

    def since(self, seq: int, wanted: Filter) -> list[Event]:
        """Events from number `seq` on that pass the filter, in order; of several totals of a key only the
        newest.
        """
        newest_first: list[Event] = []
        seen: set[str] = set()
        if wanted.entities:
            candidates = [e for entity in (*wanted.entities, EVERY_ENTITY) for e in self._of(entity, seq)]
            candidates.sort(key=lambda e: -e.seq)
        else:
            candidates = []
            for event in reversed(self._events):
                if event.seq < seq:
                    break
                candidates.append(event)
        for event in candidates:
            if event.topic not in wanted.topics or event.key in seen:
                continue
            if event.key is not None:
                seen.add(event.key)
            newest_first.append(event)
        newest_first.reverse()
        return newest_first

    def first_after(self, at: Vector) -> tuple[int, bool]:
        """Number of the first event that may lie past `at`, and whether all from it on do.

        Positions only grow along the ring, so it is found by halving.
        """
        first = bisect_left(self._events, True, key=lambda e: not reaches(at, e.at))
        before = self._events[first - 1].at if first else self.floor
        return self.tail + first, before == at

    def _of(self, entity: str, seq: int) -> list[Event]:
        found = []
        for event in reversed(self._by_entity.get(entity, ())):
            if event.seq < seq:
                break
            found.append(event)
        return found
