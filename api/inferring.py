"""Coal, oil and gas inferred from electricity, beside what is metered: never added to it. Pure; sums are exact.

T/CEPPC 14-2023 6.4.1 a; T/CES 5.11, 5.15, 5.19. A site that meters a carrier of a group has none of it inferred.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from carbonstream.api.decimals import EXACT, MILLI, ZERO, exact_text, optional_text, plus
from carbonstream.api.totalling import TotalRow
from carbonstream.processors.total_records import inferred_share
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import bucket_start, to_ms


@dataclass(slots=True)
class Inferred:
    """What is inferred in one bucket, or in several. Quantities in thousandths, exact."""

    quantity: dict[int, Decimal] = field(default_factory=dict)
    co2_kg: Decimal | None = ZERO  # None: a fuel without a coefficient
    kgce: Decimal | None = ZERO

    def add(self, row: TotalRow) -> None:
        """Take in one row of inferred_of."""
        self.quantity[row.carrier] = plus(self.quantity.get(row.carrier, ZERO), row.quantity)
        self.co2_kg = _plus(self.co2_kg, row.co2_kg)
        self.kgce = _plus(self.kgce, row.kgce)

    def shown(self, metered_co2_kg: Decimal | None) -> dict[str, object]:
        """As JSON. metered_co2_kg: what the share is of, with the inferred itself."""
        return {
            "quantity": {
                CARRIER_BY_NUMBER[carrier].id: {
                    "value": exact_text(EXACT.multiply(quantity, MILLI)),
                    "unit": CARRIER_BY_NUMBER[carrier].base_unit.value,
                }
                for carrier, quantity in sorted(self.quantity.items())
            },
            "co2_kg": optional_text(self.co2_kg),
            "kgce": optional_text(self.kgce),
            "share": inferred_share(self.co2_kg, metered_co2_kg),
        }


def by_bucket(rows: Iterable[TotalRow], grain: Grain) -> dict[int, Inferred]:
    """Rows of inferred_of by bucket (UTC ms); months add up to quarters and years."""
    found: dict[int, Inferred] = {}
    for row in rows:
        at = to_ms(row.bucket)
        if grain in (Grain.QUARTER, Grain.YEAR):
            at = int(bucket_start(grain, np.array([at], np.int64))[0])
        found.setdefault(at, Inferred()).add(row)
    return found


def sum_of(rows: Iterable[TotalRow]) -> Inferred:
    """All rows together."""
    total = Inferred()
    for row in rows:
        total.add(row)
    return total


def _plus(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    return None if a is None or b is None else plus(a, b)
