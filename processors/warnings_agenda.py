"""Which targets have to be judged now, and why: a total changed, a day was closed by the clock, or an
import that left a gap has been quiet for a while. Losing an agenda loses nothing: judging every target once
makes it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from carbonstream.processors.targets import Target, Targets
from carbonstream.processors.warnings_closing import QUIET_MS, closed_until

LONG_AGO: Final = -(1 << 60)
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Due:
    """A target to judge.

    changed_from: UTC ms, the earliest hour whose total changed; quiet: nothing has changed for QUIET_MS.
    """

    target: Target
    changed_from: int
    quiet: bool


class Agenda:
    """`now` is the clock of all logic (ticks), UTC ms; 0 before it is known."""

    def __init__(self) -> None:
        self.targets = Targets()
        self.now = 0
        self._due: dict[Key, Due] = {}
        self._open: dict[
            Key, tuple[int, Due]
        ] = {}  # judged, but not for good: (when it will be quiet, as it was)

    def __len__(self) -> int:
        return len(self._due)

    def begin(self, targets: Iterable[Target]) -> None:
        """Targets, coefficients or meters may all have changed: judge every target."""
        self.targets = Targets(targets)
        self._open.clear()
        self._due = {target.key: Due(target, LONG_AGO, quiet=False) for target in self.targets}

    def change(self, entity: str, hour: int) -> None:
        """The total of an entity's hour (start, UTC ms) has changed."""
        for target in self.targets.resting_on(entity, hour, self.now):
            _, judged = self._open.pop(target.key, (0, None))
            since = [due.changed_from for due in (self._due.get(target.key), judged) if due is not None]
            self._due[target.key] = Due(target, min([hour, *since]), quiet=False)

    def advance(self, now: int) -> None:
        """The clock has come to `now`."""
        first = closed_until(self.now)
        for target in self.targets.touching(first, closed_until(now)):
            before = self._due.get(target.key)
            changed_from = first if before is None else min(first, before.changed_from)
            self._due[target.key] = Due(target, changed_from, quiet=False)
        for key in [key for key, (at, _) in self._open.items() if at <= now]:
            _, judged = self._open.pop(key)
            before = self._due.get(key, judged)
            changed_from = min(judged.changed_from, before.changed_from)
            self._due[key] = Due(judged.target, changed_from, quiet=True)
        self.now = max(self.now, now)

    def wait(self, due: Due) -> None:
        """Judge it again when nothing of it has changed for a while, or as soon as something has."""
        self._open[due.target.key] = self.now + QUIET_MS, due

    def take(self, limit: int) -> list[Due]:
        """Some of what is due; none twice."""
        taken = list(islice(self._due.values(), limit))
        for due in taken:
            del self._due[due.target.key]
        return taken
