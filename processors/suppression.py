"""Suppression by design (ANSI/ISA-18.2 5.2: suppressed by design): a maintenance calendar, once or recurring, or a rule
without a date.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dateutil.rrule import rrulestr

from carbonstream.processors.notices import names_entity
from carbonstream.schemas.periods import SHANGHAI, to_datetime, to_ms


@dataclass(frozen=True, slots=True)
class Suppression:
    """Warnings of these entities and rules (none: all) are not annunciated in [start, end), UTC ms, and as long from
    each recurrence (RFC 5545, local days); without start until it is ended.
    """

    id: str
    entities: tuple[str, ...]
    rules: tuple[str, ...]
    start: int | None
    end: int | None
    recurrence: str | None

    @property
    def cause(self) -> str:
        """What the operator is told: maintenance or rule, and which."""
        return f"{'rule' if self.start is None else 'maintenance'}:{self.id}"

    def covers(self, entity: str, rule: str) -> bool:
        """Whether it concerns the warnings of a rule and an entity."""
        return (not self.rules or rule in self.rules) and (
            not self.entities or any(names_entity(entity, pattern) for pattern in self.entities)
        )

    def is_in_force(self, now: int) -> bool:
        """At `now`, UTC ms."""
        if self.start is None or self.end is None:
            return True
        last = self._last_start(now)
        return last is not None and now < last + (self.end - self.start)

    def changes_at(self, now: int) -> int | None:
        """When to look again, UTC ms: no later than it begins or ends next after `now`. None: never."""
        if self.start is None or self.end is None:
            return None
        last = self._last_start(now)
        if last is not None and now < last + (self.end - self.start):
            return last + (self.end - self.start)
        if now < self.start:
            return self.start
        if self.recurrence is None:
            return None
        following: datetime | None = self._starts().after(to_datetime(now))
        return None if following is None else to_ms(following)

    def is_over(self, now: int) -> bool:
        """At `now` (UTC ms): its last window has closed."""
        return not self.is_in_force(now) and self.changes_at(now) is None

    def _last_start(self, now: int) -> int | None:
        if self.start is None or now < self.start:
            return None
        if self.recurrence is None:
            return self.start
        last: datetime | None = self._starts().before(to_datetime(now), inc=True)
        # RFC 5545: the first window counts, also where its own day does not fit the rule
        return self.start if last is None else to_ms(last)

    def _starts(self) -> Any:  # dateutil ships no types
        first = to_datetime(self.start or 0).astimezone(SHANGHAI)
        return rrulestr(f"RRULE:{self.recurrence}", dtstart=first.replace(microsecond=0))


def suppressing(found: Iterable[Suppression], entity: str, rule: str) -> str | None:
    """The cause by which a warning is suppressed, of those in force; the first by id."""
    causes = sorted(one.cause for one in found if one.covers(entity, rule))
    return causes[0] if causes else None
