"""What reference data say of a meter over time: multipliers (CT x PT) by date, and exchanges of its register.

An interval (start, end] has the multiplier in force at its end; an exchange at an instant ends the old register
there, so it lies in the interval that begins at or before it and ends after it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np

from carbonstream.schemas.carriers import THOUSANDTHS
from carbonstream.schemas.periods import HOUR_MS, to_ms

NO_MODULUS: Final = 0
LARGEST: Final = 10**12  # where none is given: nine digits of the base unit
# IEC 62052-11 (GB/T 17215.211): a register must hold the energy of 1,500 hours at the greatest current.
TURN_MS: Final = 1_500 * HOUR_MS
ALWAYS: Final = int(np.iinfo(np.int64).min)  # a multiplier in force from the beginning


@dataclass(frozen=True, slots=True)
class Multiplier:
    """One version of a meter's multiplier. Versions are numbered from 1, and never reused."""

    valid_from: int  # UTC ms, ALWAYS
    version: int
    milli: int  # thousandths


@dataclass(frozen=True, slots=True)
class Exchange:
    """At `at` (UTC ms) one register ended and another began, or the same one was reset. Indexes in thousandths."""

    at: int
    final: int
    initial: int
    modulus: int | None  # of the new register; None: the old one's


@dataclass(frozen=True, slots=True)
class History:
    """Multipliers by valid_from, at least one; exchanges by instant; the modulus of the first register."""

    multipliers: tuple[Multiplier, ...]
    exchanges: tuple[Exchange, ...] = ()
    modulus: int = NO_MODULUS

    @property
    def steady_from(self) -> int:
        """The last change, UTC ms: what begins after it knows one multiplier and one register."""
        return max([self.multipliers[-1].valid_from, *(exchange.at for exchange in self.exchanges)])

    @property
    def last_modulus(self) -> int:
        """Of the register in use now."""
        return next((x.modulus for x in reversed(self.exchanges) if x.modulus is not None), self.modulus)

    def in_force(self, end: int) -> Multiplier:
        """The multiplier of an interval that ends then."""
        return self.multipliers[max(bisect_left(self.multipliers, end, key=_valid_from) - 1, 0)]

    def crossed(self, start: int, first: int, end: int) -> tuple[Exchange, ...]:
        """Exchanges in [start, end); one at `start` only where index `first` there is still the old register's."""
        return tuple(
            x
            for x in self.exchanges
            if start <= x.at < end and not (x.at == start and first == x.initial != x.final)
        )

    def energy(self, start: int, first: int, end: int, last: int) -> int | None:
        """Thousandths after the multiplier from index `first` at `start` to `last` at `end`; None: impossible.

        Across exchanges: (final - first) + (last - initial), each times the multiplier in force at its end. Sums of
        intervals are those of any other cut, as long as one multiplier is in force between two exchanges.
        """
        total, modulus, index, since = 0, self.modulus, first, start
        crossed = self.crossed(start, first, end)
        for exchange in self.exchanges:
            if exchange.at >= end:
                break
            if exchange in crossed:
                part = moved(index, exchange.final, self.in_force(exchange.at).milli, modulus)
                if part is None:
                    return None
                total, index, since = total + part, exchange.initial, exchange.at
            modulus = modulus if exchange.modulus is None else exchange.modulus
        part = moved(index, last, self.in_force(end).milli, modulus, end - since)
        return None if part is None else total + part


class StoredVersion(NamedTuple):
    """A multiplier that is in force, as table meter_multiplier has it."""

    version: int
    valid_from: datetime | None  # None: from the beginning
    multiplier: Decimal


class StoredExchange(NamedTuple):
    """An exchange as table register_exchange has it, in the meter's unit."""

    at: datetime
    final_index: Decimal
    initial_index: Decimal
    modulus: Decimal | None


def history_of(
    unit: str,
    multiplier: Decimal,
    modulus: Decimal | None,
    versions: Sequence[StoredVersion],
    exchanges: Iterable[StoredExchange],
) -> History:
    """The history that converts a meter's indexes. multiplier, modulus: the meter's; exchanges: by instant.

    versions: by valid_from; none where the multiplier never changed.
    """
    scale = Decimal(str(THOUSANDTHS[unit][1]))
    return History(
        tuple(
            Multiplier(ALWAYS if v.valid_from is None else to_ms(v.valid_from), v.version, int(v.multiplier * 1_000))
            for v in versions or [StoredVersion(1, None, multiplier)]
        ),
        tuple(
            Exchange(
                to_ms(x.at), int(x.final_index * scale), int(x.initial_index * scale),
                None if x.modulus is None else int(x.modulus * scale),
            )
            for x in exchanges
        ),
        NO_MODULUS if modulus is None else int(modulus * scale),
    )  # fmt: skip


def moved(before: int, after: int, milli: int, modulus: int, elapsed_ms: int | None = None) -> int | None:
    """What one register counted from one index to a later one; None where it cannot have.

    An index below the one before it has rolled over where that is less than half a turn. A turn is the same number
    wherever it falls, so that sums do not depend on the cut. elapsed_ms: time between them, by which it is judged
    whether the register can have come so far (`can_count`); None: a person told the later one.
    """
    energy = after * milli // 1_000 - before * milli // 1_000
    turn = 0
    if after < before:
        if modulus <= before or (after + modulus - before) * 2 >= modulus:
            return None
        turn = modulus
    if elapsed_ms is not None and not can_count(after + turn - before, after, modulus, elapsed_ms):
        return None
    return energy + turn * milli // 1_000


def can_count(step: int, after: int, modulus: int, elapsed_ms: int) -> bool:
    """Whether a register can have moved by `step` to index `after` in a time.

    At its greatest load it needs TURN_MS for a turn; a tenth of a turn is believed at any pace, since what lies between
    may be lost, but of an index of 0 only a thousandth: rather the meter has started anew.
    """
    believed = modulus if modulus != NO_MODULUS else LARGEST
    return step * (10 if after else 1_000) <= believed or step * TURN_MS <= believed * elapsed_ms


def _valid_from(multiplier: Multiplier) -> int:
    return multiplier.valid_from
