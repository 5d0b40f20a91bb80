"""The latest monthly coefficient: what one base unit of a carrier means in kg CO2 or kgce.

The same rule stands in SQL (coefficient_for in schemas/sql/0001_reference.sql); a property test holds
both together: nearest scope with any published month <= M, however old; of it the newest such month; of
that the newest revision.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

NATION: Final = "CN"


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One published value. `value` is kg CO2 (or kgce, kind `calorific`) per base unit of the carrier."""

    id: int
    carrier: int
    kind: str
    scope: str
    month: int  # local months since 1970-01
    value: Decimal
    document: str
    published_ms: int  # UTC ms


@dataclass(frozen=True, slots=True)
class Resolved:
    """A coefficient in use: `scope` is where it was found, `carried_months` how long it was carried on."""

    id: int
    scope: str
    month: int
    carried_months: int
    value: Decimal
    document: str


@dataclass(slots=True)
class _Series:
    """The months of one carrier, kind and scope, ascending; revisions of a month by (published_ms, id)."""

    months: list[int] = field(default_factory=list)
    revisions: list[list[Coefficient]] = field(default_factory=list)

    def put(self, coefficient: Coefficient) -> None:
        at = bisect_right(self.months, coefficient.month)
        if not at or self.months[at - 1] != coefficient.month:
            self.months.insert(at, coefficient.month)
            self.revisions.insert(at, [coefficient])
            return
        revisions = self.revisions[at - 1]
        revisions.insert(bisect_right(revisions, _order(coefficient), key=_order), coefficient)

    def drop(self, coefficient: Coefficient) -> None:
        at = bisect_right(self.months, coefficient.month) - 1
        self.revisions[at].remove(coefficient)
        if not self.revisions[at]:
            del self.months[at], self.revisions[at]

    def newest(self, month: int, as_of_ms: int | None) -> Coefficient | None:
        for at in range(bisect_right(self.months, month) - 1, -1, -1):
            revisions = self.revisions[at]
            known = len(revisions) if as_of_ms is None else bisect_right(revisions, as_of_ms, key=_published)
            if known:
                return revisions[known - 1]
        return None


def _order(coefficient: Coefficient) -> tuple[int, int]:
    return coefficient.published_ms, coefficient.id


def _published(coefficient: Coefficient) -> int:
    return coefficient.published_ms


class Coefficients:
    """A library of coefficients in memory, kept up to date one record at a time."""

    def __init__(self) -> None:
        self._by_id: dict[int, Coefficient] = {}
        self._series: dict[tuple[int, str, str], _Series] = {}
        self._published: list[int] = []  # ascending; those of dropped coefficients stay

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, coefficient: Coefficient) -> None:
        """Add a coefficient, or replace the one of the same id."""
        self.drop(coefficient.id)
        self._by_id[coefficient.id] = coefficient
        key = coefficient.carrier, coefficient.kind, coefficient.scope
        self._series.setdefault(key, _Series()).put(coefficient)
        insort(self._published, coefficient.published_ms)

    def is_published_between(self, a_ms: int, b_ms: int) -> bool:
        """Whether any coefficient is known as of one of the two instants (UTC ms) and not as of the other."""
        return bisect_right(self._published, a_ms) != bisect_right(self._published, b_ms)

    def drop(self, id_: int) -> None:
        """Remove the coefficient of this id, if there is one."""
        known = self._by_id.pop(id_, None)
        if known is not None:
            self._series[known.carrier, known.kind, known.scope].drop(known)

    def resolve(
        self, scopes: Sequence[str], carrier: int, kind: str, month: int, as_of_ms: int | None = None
    ) -> Resolved | None:
        """The coefficient of a carrier for a month, as published until `as_of_ms` (UTC ms; None: all
        that is known).

        scopes: nearest first, as scope_ladder gives them. None means that nothing was published for any
        of them: the quantity is kept and its CO2 is unknown, never zero.
        """
        for scope in scopes:
            series = self._series.get((carrier, kind, scope))
            found = series.newest(month, as_of_ms) if series is not None else None
            if found is not None:
                return Resolved(
                    found.id, found.scope, found.month, month - found.month, found.value, found.document
                )
        return None


def scope_ladder(
    *, county: str, city: str, province: str, grid: str, industry: str, enterprise: str | None = None
) -> tuple[str, ...]:
    """Where a class of sites looks for its coefficients, nearest first.

    The regions are codes of GB/T 2260 or GRID-xx, `industry` of GB/T 4754. `enterprise` (its id) only
    where the enterprise has coefficients of its own. An industry's coefficient of a region is nearer
    than the region's. Where the list of regions ends above the county, equal codes stand once.
    """
    regions = (county, city, province)
    ladder = [f"enterprise:{enterprise}"] if enterprise is not None else []
    ladder += [f"{industry}@{region}" for region in regions]
    return tuple(dict.fromkeys((*ladder, *regions, grid, NATION)))
