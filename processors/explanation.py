"""Recomputes a figure from its rows and coefficients, exactly, beside what the database says of it.

CO2 (kg) or standard coal (kgce) = sum of quantity / 1000 x coefficient (T/CES 5.1, 5.4), the coefficient resolved
once more here: nearest scope, its newest month, that month's newest revision as of the time asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from carbonstream.processors.coefficient_units import CALORIFIC
from carbonstream.processors.coefficients import Coefficient, Coefficients, Resolved
from carbonstream.processors.total_records import EXACT, exact, text
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.periods import local_text, month_text

RULE_VERSION: Final = "quantity x coefficient; nearest scope, newest month, newest revision (1)"
UNITS: Final = {"co2": "kg", "energy": "kgce"}


@dataclass(frozen=True, slots=True)
class Document:
    """A published coefficient with all that is known of it."""

    id: int
    carrier: int
    kind: str
    scope: str
    month: int
    value: Decimal
    unit: str
    components: dict[str, str]
    document: str
    data_year: int | None
    published_at: datetime
    published_ms: int
    approver: str


class Part(NamedTuple):
    """Rows of one class, carrier and local month. Quantities in thousandths of the carrier's base unit."""

    class_: int
    carrier: int
    month: int  # local months since 1970-01
    readings: int
    quantity: Decimal
    estimated: Decimal


class Library:
    """Coefficients by which figures are recomputed."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._by_id = {d.id: d for d in documents}
        self._coefficients = Coefficients()
        for d in self._by_id.values():
            self._coefficients.put(
                Coefficient(d.id, d.carrier, d.kind, d.scope, d.month, d.value, d.document, d.published_ms)
            )

    def resolve(
        self, ladder: Sequence[str], carrier: int, indicator: str, month: int, as_of_ms: int | None
    ) -> Resolved | None:
        """The coefficient of an indicator: co2 or energy."""
        kind = CALORIFIC if indicator == "energy" else CARRIER_BY_NUMBER[carrier].co2_kind
        return self._coefficients.resolve(ladder, carrier, kind, month, as_of_ms)

    def shown(self, resolved: Resolved | None) -> dict[str, Any] | None:
        """A coefficient in use as JSON."""
        if resolved is None:
            return None
        d = self._by_id[resolved.id]
        return {
            "id": d.id,
            "kind": d.kind,
            "scope": d.scope,
            "month": month_text(d.month),
            "carried_months": resolved.carried_months,
            "value": exact(d.value),
            "unit": d.unit,
            "document": d.document,
            "data_year": d.data_year,
            "components": d.components,
            "published_at": local_text(d.published_at),
            "approver": d.approver,
        }


def amount_of(quantity: Decimal, resolved: Resolved | None) -> Decimal | None:
    """kg CO2 or kgce of thousandths of a base unit; None without a coefficient."""
    return None if resolved is None else EXACT.scaleb(EXACT.multiply(quantity, resolved.value), -3)


def recompute(
    parts: Iterable[Part],
    library: Library,
    ladders: Mapping[int, Sequence[str]],
    indicator: str,
    as_of_ms: int | None,
) -> dict[str, Any]:
    """The figure of all parts (`recomputed`, exact text, null where a coefficient is missing) and how it comes."""
    shown: list[dict[str, Any]] = []
    total: Decimal | None = Decimal(0)
    for part in merged(parts):
        carrier = CARRIER_BY_NUMBER[part.carrier]
        resolved = library.resolve(ladders[part.class_], part.carrier, indicator, part.month, as_of_ms)
        amount = amount_of(part.quantity, resolved)
        total = None if total is None or amount is None else EXACT.add(total, amount)
        shown.append(
            {
                "class": part.class_,
                "carrier": carrier.id,
                "ghg_scope": carrier.ghg_scope,
                "month": month_text(part.month),
                "readings": part.readings,
                "quantity": base_units(part.quantity),
                "estimated": base_units(part.estimated),
                "unit": carrier.base_unit.value,
                "coefficient": library.shown(resolved),
                "amount": text(amount),
            }
        )
    return {
        "rule": RULE_VERSION,
        "unit": UNITS[indicator],
        "parts": shown,
        "recomputed": text(total) if shown else None,
    }


def merged(parts: Iterable[Part]) -> list[Part]:
    """One part a class, carrier and month, in that order."""
    sums: dict[tuple[int, int, int], list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for part in parts:
        held = sums[part[:3]]
        held[0] += part.readings
        held[1] = EXACT.add(held[1], part.quantity)
        held[2] = EXACT.add(held[2], part.estimated)
    return [Part(*key, *sums[key]) for key in sorted(sums)]


def base_units(thousandths: Decimal | int) -> str:
    """Thousandths of a base unit in base units, exact."""
    return exact(EXACT.scaleb(Decimal(thousandths), -3))
