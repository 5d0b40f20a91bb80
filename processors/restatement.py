"""What a publication would change: each entity's total before and after, without writing anything.

A coefficient is resolved at reading time, so publishing one restates every total of its month up to the next
published month. Here the totals are resolved twice, by the library as it is and with the entries added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

from carbonstream.processors.coefficient_units import CALORIFIC
from carbonstream.processors.coefficients import Coefficient, Coefficients, Resolved
from carbonstream.processors.publication import Entry
from carbonstream.processors.total_records import EXACT
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER

ENTERPRISE: Final = "enterprise:"


class Quantity(NamedTuple):
    """A stored month total of one class and carrier, in thousandths of the carrier's base unit.

    Each level has its own: under the meter tree a park's total is not the sum of its sites' (processors/metering.py).
    """

    entity: (
        str | None
    )  # a site, an enterprise or a park; None: the class, whose totals count to regions and the like
    enterprise: str | None  # whose meters alone it is of; None: of more than one
    class_: int
    carrier: int
    month: int  # local months since 1970-01
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Difference:
    """An entity's total over the restated months, all its carriers; None: a coefficient is missing, never zero."""

    entity: str
    indicator: str  # co2 (kg) or energy (kgce)
    old: Decimal | None
    new: Decimal | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a publication would restate."""

    months: tuple[int, ...]
    differences: tuple[Difference, ...]  # largest change first
    own_classes: tuple[str, ...]  # enterprises that get their first coefficient of their own


class _Resolution:
    """Coefficients before and after, each (ladder, carrier, kind, month) resolved once."""

    def __init__(self, entries: Sequence[Entry], published: Iterable[Coefficient]) -> None:
        self._old, self._new = Coefficients(), Coefficients()
        latest = 0
        for coefficient in published:
            self._old.put(coefficient)
            self._new.put(coefficient)
            latest = max(latest, coefficient.published_ms)
        for number, entry in enumerate(entries, 1):
            carrier, kind, scope, month = entry.key
            self._new.put(
                Coefficient(-number, carrier, kind, scope, month, entry.value, entry.document, latest + 1)
            )
        self._known: dict[tuple[object, ...], tuple[Resolved | None, Resolved | None]] = {}

    def of(
        self, ladder: tuple[str, ...], own: str | None, carrier: int, kind: str, month: int
    ) -> tuple[Resolved | None, Resolved | None]:
        """Before and after. own: the enterprise whose first own coefficient the entries hold."""
        key = ladder, own, carrier, kind, month
        if key not in self._known:
            newer = ladder if own is None else (own, *ladder)
            self._known[key] = (
                self._old.resolve(ladder, carrier, kind, month),
                self._new.resolve(newer, carrier, kind, month),
            )
        return self._known[key]


def restated_until(entries: Iterable[Entry], published: Iterable[Coefficient]) -> int | None:
    """The month from which on no entry counts, as later ones of its series are published; None: one still counts."""
    later: defaultdict[tuple[int, str, str], list[int]] = defaultdict(list)
    for known in published:
        later[known.carrier, known.kind, known.scope].append(known.month)
    found = [
        min((m for m in later[key.carrier, key.kind, key.scope] if m > key.month), default=None)
        for key in (entry.key for entry in entries)
    ]
    known_ends = [month for month in found if month is not None]
    return max(known_ends) if len(known_ends) == len(found) else None


def first_own(entries: Iterable[Entry], ladders: Iterable[Sequence[str]]) -> frozenset[str]:
    """Enterprises that get their first coefficient of their own: their sites move to classes of their own."""
    owning = {e.key.scope for e in entries if e.key.scope.startswith(ENTERPRISE)}
    return frozenset(owning.difference(*ladders))


def set_apart(stored: Iterable[Quantity], moving: Iterable[Quantity]) -> list[Quantity]:
    """Totals of parks and classes less what enterprises that move to classes of their own give to them, and that.

    moving: such parts of `stored`, each with its enterprise.
    """
    parts = list(moving)
    moved: defaultdict[Quantity, Decimal] = defaultdict(Decimal)
    for part in parts:
        moved[_whole(part)] += part.quantity
    found = parts
    for total in stored:
        gone = moved.get(_whole(total)) if total.enterprise is None else None
        if gone is None:
            found.append(total)
        elif gone != total.quantity:
            found.append(total._replace(quantity=total.quantity - gone))
    return found


def _whole(q: Quantity) -> Quantity:
    return q._replace(enterprise=None, quantity=Decimal(0))


def preview(
    entries: Sequence[Entry],
    published: Iterable[Coefficient],
    ladders: Mapping[int, tuple[str, ...]],
    wholes: Mapping[int, Sequence[str]],
    quantities: Sequence[Quantity],
) -> Preview:
    """Old and new totals of all entities that change.

    published: all that is known. ladders: scopes by class, nearest first. wholes: by class, the entities its
    totals count to. quantities: of all entities that may change, from the entries' first month on, those of
    first_own set apart.
    """
    own_classes = first_own(entries, ladders.values())
    resolution = _Resolution(entries, published)
    indicators = sorted({"energy" if e.key.kind == CALORIFIC else "co2" for e in entries})
    resolved = []
    changed: set[tuple[str, str]] = set()
    months: set[int] = set()
    for q in quantities:
        own = q.enterprise if q.enterprise in own_classes else None
        for indicator in indicators:
            kind = CALORIFIC if indicator == "energy" else CARRIER_BY_NUMBER[q.carrier].co2_kind
            old, new = resolution.of(ladders[q.class_], own, q.carrier, kind, q.month)
            resolved.append((q, indicator, old, new))
            if (old and old.id) != (new and new.id):
                months.add(q.month)
                changed.update((entity, indicator) for entity in _entities(q, wholes))
    sums = {key: [Decimal(0), Decimal(0)] for key in changed}
    unknown: set[tuple[tuple[str, str], int]] = set()
    for q, indicator, *pair in resolved:
        if q.month not in months:
            continue
        amounts = [None if r is None else EXACT.multiply(q.quantity, r.value) for r in pair]
        for entity in _entities(q, wholes):
            key = entity, indicator
            if key in sums:
                for side, amount in enumerate(amounts):
                    if amount is None:
                        unknown.add((key, side))
                    else:
                        sums[key][side] = EXACT.add(sums[key][side], amount)
    differences = [
        Difference(*key, *(None if (key, i) in unknown else EXACT.scaleb(v, -3) for i, v in enumerate(pair)))
        for key, pair in sums.items()
    ]
    differences.sort(
        key=lambda d: (-abs((d.new or Decimal(0)) - (d.old or Decimal(0))), d.entity, d.indicator)
    )
    return Preview(tuple(sorted(months)), tuple(differences), tuple(sorted(own_classes)))


def _entities(q: Quantity, wholes: Mapping[int, Sequence[str]]) -> Sequence[str]:
    return wholes[q.class_] if q.entity is None else (q.entity,)
