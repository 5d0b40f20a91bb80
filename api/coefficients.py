"""The coefficients behind a figure: a row never changes once published, so each is read once a process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from carbonstream.api.database import Database

MOST: Final = 100_000
SQL: Final = """
select k.id, c.id as carrier, k.kind, k.scope, k.month, k.value, k.unit, k.document, k.data_year,
       k.published_at
from coefficient k join carrier c on c.number = k.carrier
where k.id = any (%(ids)s)
"""


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One published coefficient: kg CO2 or kgce per base unit of the carrier."""

    id: int
    carrier: str
    kind: str
    scope: str
    month: date
    value: Decimal
    unit: str
    document: str
    data_year: int | None
    published_at: datetime


class CoefficientBook:
    """Coefficients by id, as far as they were asked for."""

    def __init__(self) -> None:
        self._known: dict[int, Coefficient] = {}

    async def look_up(self, database: Database, ids: Iterable[int]) -> Mapping[int, Coefficient]:
        """The coefficients of these ids."""
        wanted = set(ids)
        found = {i: self._known[i] for i in wanted & self._known.keys()}
        if missing := list(wanted - found.keys()):
            for coefficient in await database.rows(Coefficient, SQL, {"ids": missing}):
                found[coefficient.id] = coefficient
            if len(self._known) > MOST:
                self._known.clear()
            self._known |= found
        return found


def months_between(earlier: date, later: date) -> int:
    """Whole months from one month to another: how long a coefficient was carried."""
    return (later.year - earlier.year) * 12 + later.month - earlier.month
