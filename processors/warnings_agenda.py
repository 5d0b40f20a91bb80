"""Which targets have to be judged now, and why: a total changed, a day was closed by the clock, or an import that
left a gap has been quiet for a while. Losing an agenda loses nothing: judging every target once makes it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from carbonstream.processors.targets import Target, Targets
from carbonstream.processors.warnings import FOREVER
from carbonstream.processors.warnings_closing import QUIET_MS, closed_until

LONG_AGO: Final = -(1 << 60)
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Due:
    """A target to judge. changed_from: UTC ms, the earliest hour whose total changed; quiet: nothing changed."""

    target: Target
    changed_from: int
    quiet: bool


class Agenda:
    """`now` is the clock of all logic (ticks), UTC ms; 0 before it is known."""

    def __init__(self) -> None:
        self.targets = Targets()
        self.now = 0
        self._due: dict[Key, Due] = {}
        self._quiet_at: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._due)

    def begin(self, targets: Iterable[Target]) -> None:
        """Targets, coefficients or meters may all have changed: judge every target."""
        self.targets = Targets(targets)
        self._quiet_at.clear()
        self._due = {target.key: Due(target, LONG_AGO, quiet=False) for target in self.targets}

    def change(self, entity: str, hour: int) -> None:
        """The total of an entity's hour (start, UTC ms) has changed."""
        for target in self.targets.holding(entity, hour):
            self._quiet_at.pop(target.key, None)
            before = self._due.get(target.key)
            changed_from = hour if before is None else min(hour, before.changed_from)
            self._due[target.key] = Due(target, changed_from, quiet=False)

    def advance(self, now: int) -> None:
        """The clock has come to `now`."""
        for target in self.targets.touching(closed_until(self.now), closed_until(now)):
            self._due.setdefault(target.key, Due(target, FOREVER, quiet=False))
        for key in [key for key, at in self._quiet_at.items() if at <= now]:
            del self._quiet_at[key]
            target = self._of(key)
            self._due.setdefault(key, Due(target, FOREVER, quiet=True))
        self.now = max(self.now, now)

    def wait(self, target: Target) -> None:
        """Judge the target again when nothing of it has changed for a while."""
        self._quiet_at[target.key] = self.now + QUIET_MS

    def take(self, limit: int) -> list[Due]:
        """Some of what is due; none twice."""
        taken = list(islice(self._due.values(), limit))
        for due in taken:
            del self._due[due.target.key]
        return taken

    def _of(self, key: Key) -> Target:
        return next(target for target in self.targets.of(key[0]) if target.key == key)
