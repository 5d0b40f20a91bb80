"""Readings of one meter, in any order, as time slots in order.

A slot is given out when it is covered, or when nothing more of it can come: the newest reading, or the clock of a live
meter, is a slot and LATENESS_MS past its end (an interval that begins in it may end a slot later). So readings that
come in order are judged at once, and readings that come late within LATENESS_MS give the same slots in the same order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from carbonstream.processors.instant.episodes import Episode
from carbonstream.processors.instant.overruled import UnderRule, looked_at_next, overruled
from carbonstream.processors.instant.readings import FOREVER, LATENESS_MS, Meter
from carbonstream.processors.instant.told import Told
from carbonstream.processors.warning_rules import Definition, RuleBook
from carbonstream.processors.warnings import State, Transition
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

    def passed(self, clock: int) -> int:
        """UTC ms up to which nothing more can come, at a tick."""
        return max(self.newest, clock if self.is_live else 0) - LATENESS_MS - self.length

    def recut(self, length: int) -> Slots:
        """Slots of another length behind those given out, with what is known of them."""
        at = None if self.at is None else -(-self.at // length) * length
        found = Slots(length, at, self.newest, self.is_live)
        for (start, end), quantity in self.pieces.items():
            found.add(start, end, quantity, is_live=self.is_live)
        return found

    def take(self, clock: int) -> Iterator[Slot]:
        """Every slot that is to be given out, in order; `clock`: UTC ms of a tick, heeded for live meters."""
        passed = self.passed(clock)
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
    """A meter under a rule, with its slots. rule: of the episode under way."""

    meter: Meter
    slots: Slots
    episode: Episode
    rule: Definition | None


Watched = TypeVar("Watched", bound=Sliced)


class SlotRule(ABC, Generic[Watched]):
    """A kind of rule that judges each of its meters slot by slot."""

    def __init__(self) -> None:
        self._book = RuleBook()
        self._due = FOREVER  # UTC ms: the clock changes nothing before

    def _judge(self, watched: Watched, clock: int) -> Iterator[Told]:
        """Take a meter's slots that are complete at `clock` (UTC ms), and note when to look again."""
        slots = watched.slots
        for slot in slots.take(clock):
            yield from self._overrule(watched, slot.start)
            told = self._step(watched, slot)
            if told is not None:
                yield told
        # a slot is given out a slot later than it ends: what begins before an instant has been by then
        passed = slots.passed(clock) - slots.length
        yield from self._overrule(watched, passed)
        if slots.is_live:
            self._due = min(self._due, self._due_of(watched, passed))

    def _due_of(self, watched: Watched, passed: int) -> int:
        """When the clock gives out a live meter's next slot, or may overrule its episode; FOREVER: not known."""
        due, length, under = watched.slots.due(), watched.slots.length, _under(watched)
        following = FOREVER if under is None else looked_at_next(under, self._book, max(under.begun, passed))
        return min(FOREVER if due is None else due, following + 2 * length + LATENESS_MS)

    def _overrule(self, watched: Watched, until: int) -> Iterator[Told]:
        """End an episode whose rule judges the meter no more, by `until` (UTC ms)."""
        under = _under(watched)
        found = None if under is None else overruled(under, self._book, until)
        if under is None or found is None:
            return
        if watched.episode.is_active:
            meter, transition = watched.meter, Transition(State.CLEARED, found.at)
            facts = {"meter": meter.meter_id, **found.facts}
            yield Told(under.rule, meter.site, meter.meter_id, under.begun, transition, facts)
        watched.episode.end()
        watched.rule = None

    @abstractmethod
    def _step(self, watched: Watched, slot: Slot) -> Told | None:
        """What the next slot changes."""


def _under(watched: Sliced) -> UnderRule | None:
    begun, rule, meter = watched.episode.begun, watched.rule, watched.meter
    return None if begun is None or rule is None else UnderRule(rule, meter.subject, begun, meter.valid_to)


def resumed(
    book: RuleBook, reference: str | None, episode: Sequence[Any]
) -> tuple[Definition | None, Episode]:
    """The rule and episode of a checkpoint; an episode of a rule that is in no release any more is dropped."""
    rule = None if reference is None else book.version_named(reference)
    return rule, Episode() if rule is None else Episode(*episode)
