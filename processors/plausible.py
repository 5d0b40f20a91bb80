"""Whether a coefficient lies where others of its kind lie: against scopes of its level, and its own a year before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from enum import IntEnum
from typing import Final

from carbonstream.processors.coefficients import NATION

# The official factors of two regions differ up to fivefold, of one region from year to year by -22 to +24 %
# (data years 2021 to 2023): beyond these limits a value is more likely a slip of unit, kind or row.
NEIGHBOURS_FACTOR: Final = 2  # below the lowest by this, or above the highest
LAST_YEAR: Final = (Decimal("0.7"), Decimal("1.4"))  # of the same scope's value twelve months before


class Level(IntEnum):
    """What a scope is, narrowest first."""

    ENTERPRISE = 0
    COUNTY_INDUSTRY = 1
    CITY_INDUSTRY = 2
    PROVINCE_INDUSTRY = 3
    COUNTY = 4
    CITY = 5
    PROVINCE = 6
    GRID = 7
    NATION = 8


def level_of(scope: str) -> Level:
    """Of enterprise:ID, INDUSTRY@REGION, or a region: GB/T 2260 ends a city's code in 00, a province's in 0000."""
    if scope.startswith("enterprise:"):
        return Level.ENTERPRISE
    industry, _, region = scope.rpartition("@")
    if region == NATION:
        return Level.NATION
    if region.startswith("GRID-"):
        return Level.GRID
    level = (
        Level.PROVINCE if region.endswith("0000") else Level.CITY if region.endswith("00") else Level.COUNTY
    )
    return Level(level - 3) if industry else level


def neighbours(
    scope: str, in_force: Mapping[str, Decimal], exceptional: Collection[str]
) -> tuple[Decimal, ...]:
    """Values of other scopes of the level of `scope`; where there are none, of the next wider one, then narrower ones.

    exceptional: scopes whose value in force was published with an exception; they say nothing of others.
    """
    by_level: dict[Level, list[Decimal]] = {}
    for other, value in in_force.items():
        if other != scope and other not in exceptional:
            by_level.setdefault(level_of(other), []).append(value)
    own = level_of(scope)
    nearest = [*range(own, Level.NATION + 1), *range(own - 1, Level.ENTERPRISE - 1, -1)]
    return next((tuple(by_level[level]) for level in map(Level, nearest) if level in by_level), ())


def implausible(value: Decimal, others: Iterable[Decimal], last_year: Decimal | None) -> str | None:
    """Why a value is not plausible; None: nothing speaks against it."""
    known = sorted(others)
    if known and not known[0] / NEIGHBOURS_FACTOR <= value <= known[-1] * NEIGHBOURS_FACTOR:
        return f"scopes beside it have {known[0]:f} to {known[-1]:f}"
    if last_year is not None and not LAST_YEAR[0] * last_year <= value <= LAST_YEAR[1] * last_year:
        return f"a year before it was {last_year:f}"
    return None
