"""From rows of totals_of to buckets and their sum. Pure; sums are exact.

A bucket's CO2 is null where a carrier metered in it has no coefficient, or where nothing came though readings
were due: unknown is never zero. The sum over a range is what is known of it, with its completeness; it is
null where a coefficient is missing or nothing came at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from carbonstream.api.decimals import ZERO, plus
from carbonstream.processors.expectation import Span, readings_due
from carbonstream.processors.total_records import estimated_share, total
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import bucket_start, next_bucket, to_ms


@dataclass(frozen=True, slots=True)
class TotalRow:
    """One row of totals_of: a class and carrier of an entity in a stored bucket. Quantities in
    thousandths.
    """

    entity: int
    bucket: datetime
    class_: int
    carrier: int
    readings: int
    quantity: Decimal
    estimated: Decimal
    co2_kg: Decimal | None
    kgce: Decimal | None
    coefficient: int | None
    coefficient_month: date | None
    kgce_coefficient: int | None
    ratio: int | None = None  # of a row of inferred_of: its coefficient of fuel by electricity


@dataclass(slots=True)
class Tally:
    """What is known of one bucket, or of several. Quantities in thousandths of the carriers' base units."""

    readings: int = 0
    expected: int = 0
    open: bool = False  # the period has not ended yet
    quantity: dict[int, int] = field(default_factory=dict)
    estimated: dict[int, int] = field(default_factory=dict)
    declared: dict[int, int] = field(default_factory=dict)
    co2_kg: Decimal = ZERO
    kgce: Decimal = ZERO
    co2_of: dict[int, Decimal | None] = field(default_factory=dict)  # by carrier
    coverage: float | None = None
    oldest_missing: int | None = None  # UTC ms
    missing: set[int] = field(default_factory=set)  # carriers without a CO2 coefficient
    missing_kgce: set[int] = field(default_factory=set)

    def add(self, row: TotalRow) -> None:
        """Take in one row."""
        self.readings += row.readings
        self.quantity[row.carrier] = self.quantity.get(row.carrier, 0) + int(row.quantity)
        self.estimated[row.carrier] = self.estimated.get(row.carrier, 0) + int(row.estimated)
        self.co2_of[row.carrier] = total((self.co2_of.get(row.carrier, ZERO), row.co2_kg))
        if row.co2_kg is None:
            self.missing.add(row.carrier)
        else:
            self.co2_kg = plus(self.co2_kg, row.co2_kg)
        if row.kgce is None:
            self.missing_kgce.add(row.carrier)
        else:
            self.kgce = plus(self.kgce, row.kgce)

    def merge(self, other: Tally) -> None:
        """Take in another tally."""
        self.readings += other.readings
        self.expected += other.expected
        self.open |= other.open
        for carrier, quantity in other.quantity.items():
            self.quantity[carrier] = self.quantity.get(carrier, 0) + quantity
            self.estimated[carrier] = self.estimated.get(carrier, 0) + other.estimated[carrier]
            self.co2_of[carrier] = total((self.co2_of.get(carrier, ZERO), other.co2_of[carrier]))
        self.coverage = _least(self.coverage, other.coverage)
        self.oldest_missing = _least(self.oldest_missing, other.oldest_missing)
        for carrier, quantity in other.declared.items():
            self.declared[carrier] = self.declared.get(carrier, 0) + quantity
        self.co2_kg = plus(self.co2_kg, other.co2_kg)
        self.kgce = plus(self.kgce, other.kgce)
        self.missing |= other.missing
        self.missing_kgce |= other.missing_kgce

    @property
    def known_co2_kg(self) -> Decimal | None:
        """CO2, None where unknown."""
        return self.co2_kg if self.quantity and not self.missing else None

    @property
    def known_kgce(self) -> Decimal | None:
        """Standard coal, None where unknown."""
        return self.kgce if self.quantity and not self.missing_kgce else None

    @property
    def estimated_share(self) -> float | None:
        """See processors.total_records."""
        return estimated_share(self.quantity, self.estimated, self.co2_of)

    @property
    def provisional(self) -> bool:
        """True while the figure may still change by itself: open, incomplete, estimated, or without a
        coefficient.
        """
        return bool(
            self.open or self.readings < self.expected or any(self.estimated.values()) or self.missing
        )


def tallies(
    rows: Iterable[TotalRow], grain: Grain, starts: NDArray[np.int64], spans: Sequence[Span], now_ms: int
) -> dict[int, Tally]:
    """Tally of each bucket that has rows, or has begun and had readings due; by start in UTC ms, ascending.

    rows: of one entity, whose bucket is one of the grain, or a month of it where the grain is quarter or
    year. starts: int64[n] UTC ms, the buckets asked for.
    """
    ends = np.append(starts[1:], next_bucket(grain, int(starts[-1]))) if len(starts) else starts
    due = readings_due(starts, ends, spans)
    found: dict[int, Tally] = {}
    for row in rows:
        at = to_ms(row.bucket)
        if grain in (Grain.QUARTER, Grain.YEAR):
            at = int(bucket_start(grain, np.array([at], np.int64))[0])
        found.setdefault(at, Tally()).add(row)
    listed: dict[int, Tally] = {}
    for at, end, expected in zip(starts.tolist(), ends.tolist(), due.tolist(), strict=True):
        tally = found.get(at)
        if tally is None:
            if expected == 0 or at > now_ms:
                continue
            tally = Tally()
        tally.expected, tally.open = expected, end > now_ms
        listed[at] = tally
    return listed


Number = TypeVar("Number", int, float)


def _least(one: Number | None, other: Number | None) -> Number | None:
    """The lower of those that are known."""
    return min((x for x in (one, other) if x is not None), default=None)


def total_of(parts: Iterable[Tally]) -> Tally:
    """The sum of several tallies."""
    whole = Tally()
    for part in parts:
        whole.merge(part)
    return whole
