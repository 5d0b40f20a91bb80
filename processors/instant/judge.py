"""All instant rules over one stream of emissions records, and what of it goes into a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from carbonstream.processors.instant.habit import Habit
from carbonstream.processors.instant.limits import Limits
from carbonstream.processors.instant.quality import DataQuality
from carbonstream.processors.instant.readings import Fleet, Frame
from carbonstream.processors.instant.silence import Silence
from carbonstream.processors.instant.told import Told
from carbonstream.processors.warning_rules import RuleBook


class InstantRules:
    """Not thread-safe; no I/O. `begin` comes first, and again when meters or rules have changed."""

    def __init__(self) -> None:
        self.silence = Silence()
        self.limits = Limits()
        self.quality = DataQuality()
        self.habit = Habit()

    def begin(self, fleet: Fleet, book: RuleBook, ignored: Collection[str] = ()) -> None:
        """Judge these meters by these rules from now on. ignored: ids that say nothing of their source."""
        self.silence.begin(fleet, book, ignored)
        self.limits.begin(fleet, book)
        self.quality.begin(fleet, book)
        self.habit.begin(fleet, book)

    def frame(self, frame: Frame) -> Iterator[Told]:
        """What the readings of a frame change."""
        self.silence.frame(frame)
        yield from self.limits.frame(frame)
        yield from self.quality.frame(frame)
        yield from self.habit.frame(frame)

    def clock(self, now: int) -> Iterator[Told]:
        """What the clock changes when it has come to `now` (UTC ms)."""
        yield from self.limits.clock(now)
        yield from self.quality.clock(now)
        yield from self.habit.clock(now)
        yield from self.silence.clock(now)

    def pack(self) -> dict[str, Any]:
        """State but for the blocks of meters, by the rules' names."""
        return {
            "silence": self.silence.pack(),
            "limits": self.limits.pack(),
            "quality": self.quality.pack(),
            "habit": self.habit.pack(),
        }

    def unpack(self, packed: Mapping[str, Any], blocks: dict[int, bytes]) -> None:
        """Take up a checkpoint; after `begin`."""
        if "silence" in packed:
            self.silence.unpack(packed["silence"], blocks)
        self.limits.unpack(packed.get("limits", ()))
        self.quality.unpack(packed.get("quality", ()))
        self.habit.unpack(packed.get("habit", ()))
