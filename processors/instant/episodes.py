"""A condition over time slots with on-delay, off-delay and deadband (ISA-18.2 alarm design), as episodes.

An episode begins with the first slot above the limit and is told when the condition has held for the on-delay; it ends
when the value has been below the limit less the deadband for the off-delay. A slot of which nothing is known neither
begins nor ends one: silence must not clear an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from carbonstream.processors.warnings import State, Transition


class Level(IntEnum):
    """Where a slot's value lies."""

    UNKNOWN = 0
    BELOW = 1  # the limit less the deadband
    WITHIN = 2  # the deadband
    ABOVE = 3  # the limit


@dataclass(slots=True)
class Episode:
    """The present or next episode of one condition. Times UTC ms, starts of slots; None: not under way."""

    begun: int | None = None  # first slot above; the episode's name
    is_active: bool = False  # it has been told
    falling: int | None = None  # first slot of those below
    peak: int = 0  # highest value of a slot
    peak_at: int = 0

    @property
    def is_idle(self) -> bool:
        """Nothing is under way: a slot that is not above changes nothing."""
        return self.begun is None

    def step(
        self, slot: int, length: int, value: int, level: Level, on_ms: int, off_ms: int
    ) -> Transition | None:
        """The next slot [slot, slot + length) and its value. What is to be told, if anything."""
        end = slot + length
        if level is Level.ABOVE:
            self.falling = None
            if self.begun is None:
                self.begun, self.peak, self.peak_at = slot, value, slot
            elif value > self.peak:
                self.peak, self.peak_at = value, slot
            if not self.is_active and end - self.begun >= on_ms:
                self.is_active = True
                return Transition(State.ACTIVE, slot)
            return None
        if not self.is_active:
            self.end()  # the condition must hold without a break
            return None
        if level is not Level.BELOW:
            self.falling = None
            return None
        if self.falling is None:
            self.falling = slot
        if end - self.falling < off_ms:
            return None
        return Transition(State.CLEARED, slot)

    def end(self) -> None:
        """Nothing is under way any more."""
        self.begun, self.is_active, self.falling, self.peak, self.peak_at = None, False, None, 0, 0

    def pack(self) -> list[Any]:
        """For a checkpoint."""
        return [self.begun, self.is_active, self.falling, self.peak, self.peak_at]
