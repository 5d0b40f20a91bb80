"""Targets: what an entity may emit or use in a local month, quarter or year, and which a change concerns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from carbonstream.processors.indicators import INDICATORS, Against, Indicator, reference_period
from carbonstream.processors.pace import LOOK_BACK_DAYS
from carbonstream.processors.phasing import Part, equal_parts
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, SHANGHAI, next_bucket, to_ms

GRAIN_NAMES: Final = {Grain.MONTH: "month", Grain.QUARTER: "quarter", Grain.YEAR: "year"}


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the table `target`."""

    entity: str  # its id
    number: int  # its number
    indicator: str
    grain: Grain
    period: date  # first local day
    value: Decimal  # in the indicator's stored unit
    levels: tuple[Decimal, ...]  # per cent, ascending
    phases: tuple[Part, ...] = ()  # none: equal parts by day
    price_year: int | None = None  # of an intensity at constant prices

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies a target: January, the first quarter and the year begin on the same day."""
        return self.entity, self.indicator, self.period_name

    @property
    def period_name(self) -> str:
        """2024-01, 2024-Q1 or 2024."""
        if self.grain is Grain.MONTH:
            return f"{self.period:%Y-%m}"
        if self.grain is Grain.QUARTER:
            return f"{self.period.year}-Q{(self.period.month + 2) // 3}"
        return str(self.period.year)

    @property
    def start(self) -> int:
        """UTC ms at which the period begins."""
        return to_ms(datetime(self.period.year, self.period.month, self.period.day, tzinfo=SHANGHAI))

    @property
    def end(self) -> int:
        """UTC ms at which the next period begins."""
        return next_bucket(self.grain, self.start)

    @property
    def days(self) -> int:
        """Local days of the period: all of 24 hours."""
        return (self.end - self.start) // DAY_MS

    @property
    def about(self) -> Indicator:
        """What it limits."""
        return INDICATORS[self.indicator]

    @property
    def compared_with(self) -> Target | None:
        """Of a change rate, the period that it is compared with; its value means nothing."""
        if self.about.against is None:
            return None
        return replace(self, period=reference_period(Against(self.about.against), self.grain, self.period))

    @property
    def plan(self) -> tuple[Part, ...]:
        """How the target is phased."""
        return self.phases or equal_parts(self.value, self.days)


class Targets:
    """All targets, found by what changed."""

    def __init__(self, targets: Iterable[Target] = ()) -> None:
        self._of: defaultdict[str, list[tuple[int, int, Target]]] = defaultdict(list)
        for target in targets:
            self._of[target.entity].append((target.start, target.end, target))

    def __iter__(self) -> Iterator[Target]:
        return (target for found in self._of.values() for _, _, target in found)

    def has(self, entity: str) -> bool:
        """Whether the entity has any target: most have none."""
        return entity in self._of

    def holding(self, entity: str, at_ms: int) -> list[Target]:
        """The entity's targets whose period holds an instant."""
        return [target for start, end, target in self._of.get(entity, ()) if start <= at_ms < end]

    def resting_on(self, entity: str, at_ms: int, now_ms: int) -> list[Target]:
        """The entity's targets that an instant's total concerns: it lies in the period, or among the days before
        a period that has begun by `now_ms`, of which rule pace learns what is usual, or in the period that it is
        compared with.
        """
        before = LOOK_BACK_DAYS * DAY_MS
        return [
            target
            for start, end, target in self._of.get(entity, ())
            if start <= at_ms < end
            or start - before <= at_ms < start <= now_ms
            or (
                start <= now_ms
                and (other := target.compared_with) is not None
                and other.start <= at_ms < other.end
            )
        ]

    def touching(self, start_ms: int, end_ms: int) -> list[Target]:
        """All targets whose period shares a moment with [start_ms, end_ms)."""
        return [
            target
            for found in self._of.values()
            for start, end, target in found
            if start_ms < end_ms and start < end_ms and end > start_ms
        ]
