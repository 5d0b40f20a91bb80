"""Readings of one meter, in any order, as time slots in order.

A slot is given out when it is covered, or when nothing more of it can come: the newest reading, or the clock of a live
meter, is a slot and LATENESS_MS past its end (an interval that begins in it may end a slot later). So readings that
come in order are judged at once, and readings that come late within LATENESS_MS give the same slots in the same order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from carbonstream.processors.instant.readings import FOREVER, LATENESS_MS
from carbonstream.processors.instant.told import Told
from carbonstream.schemas.periods import DAY_MS

LONGEST_MS: Final = DAY_MS  # a longer interval says nothing of its slots


@dataclass(frozen=True, slots=True)
class Slot:
    """[start, start + length). quantity: thousandths of the base unit; None: not covered by readings."""

    start: int
    quantity: int | None


@dataclass(slots=True)
class Slots:
    """Times UTC ms. `at`: start of the next slot to give out."""

    length: int
    at: int | None = None
    newest: int = 0  # end of the newest reading
    is_live: bool = False  # the last reading came live: the clock closes its slots too
    pieces: dict[tuple[int, int], int] = field(default_factory=dict)  # interval -> quantity, of open slots
    _open: dict[int, list[int]] = field(default_factory=dict)  # slot -> covered ms, quantity

    def add(self, start: int, end: int, quantity: int, *, is_live: bool) -> bool:
        """An interval's quantity, shared out over its slots by time, the sum unchanged; told again it replaces.

        False: it came too late, or is too long to say anything of a slot.
        """
        if not 0 < end - start <= LONGEST_MS:
            return False
        self.is_live, self.newest = is_live, max(self.newest, end)
        if self.at is None:
            self.at = (start - LATENESS_MS) // self.length * self.length - self.length
        if start < self.at:
            return False
        before = self.pieces.get((start, end))
        if before is not None:
            self._share(start, end, before, -1)
        self.pieces[start, end] = quantity
        self._share(start, end, quantity, 1)
        return True

    def _share(self, start: int, end: int, quantity: int, sign: int) -> None:
        given, slot = 0, start // self.length * self.length
        while slot < end:
            until = min(slot + self.length, end)
            so_far = quantity * (until - start) // (end - start)
            cell = self._open.setdefault(slot, [0, 0])
            cell[0] += sign * (until - max(slot, start))
            cell[1] += sign * (so_far - given)
            given, slot = so_far, slot + self.length

    def due(self) -> int | None:
        """UTC ms at which the clock gives the oldest open slot out; None while nothing is open."""
        return min(self._open) + 2 * self.length + LATENESS_MS if self._open else None

    def take(self, clock: int) -> Iterator[Slot]:
        """Every slot that is to be given out, in order; `clock`: UTC ms of a tick, heeded for live meters."""
        passed = max(self.newest, clock if self.is_live else 0) - LATENESS_MS - self.length
        while self._open and self.at is not None:
            first = min(self._open)
            if first > self.at:
                if passed < first:
                    return  # what lies between may still come
                self.at = first
                yield Slot(first - self.length, None)
                continue
            covered, quantity = self._open[first]
            if covered < self.length and passed < first + self.length:
                return
            del self._open[first]
            self.at = at = first + self.length
            self.pieces = {piece: q for piece, q in self.pieces.items() if piece[1] > at}
            yield Slot(first, quantity if covered >= self.length else None)

    def pack(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "length": self.length,
            "at": self.at,
            "newest": self.newest,
            "live": self.is_live,
            "pieces": [[*piece, quantity] for piece, quantity in sorted(self.pieces.items())],
        }

    @classmethod
    def unpack(cls, packed: dict[str, Any]) -> Slots:
        """From a checkpoint."""
        slots = cls(packed["length"], packed["at"], packed["newest"], packed["live"])
        for start, end, quantity in packed["pieces"]:
            slots.pieces[start, end] = quantity
            slots._share(start, end, quantity, 1)
        at = slots.at or 0
        slots._open = {slot: cell for slot, cell in slots._open.items() if slot >= at}
        return slots


class Sliced(Protocol):
    """A meter under a rule, with its slots."""

    slots: Slots


Watched = TypeVar("Watched", bound=Sliced)


class SlotRule(ABC, Generic[Watched]):
    """A kind of rule that judges each of its meters slot by slot."""

    def __init__(self) -> None:
        self._due = FOREVER  # UTC ms: no slot is given out by the clock before

    def _judge(self, watched: Watched, clock: int) -> Iterator[Told]:
        """Take a meter's slots that are complete at `clock` (UTC ms), and note when the next one is."""
        for slot in watched.slots.take(clock):
            told = self._step(watched, slot)
            if told is not None:
                yield told
        due = watched.slots.due()
        if due is not None and watched.slots.is_live:
            self._due = min(self._due, due)

    @abstractmethod
    def _step(self, watched: Watched, slot: Slot) -> Told | None:
        """What the next slot changes."""
