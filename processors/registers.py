"""Registers into intervals: the difference of two indexes, multiplied, so that differences always add up.

Energy of an interval = floor(index x multiplier) - floor(previous index x multiplier): it telescopes, so however
many indexes came in between, the sum is the last less the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.meters import NEVER, NO_MODULUS
from carbonstream.schemas.codes import Outcome

Ints = NDArray[np.int64]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Moved:
    """One entry a row; only entries of registers mean anything."""

    verdict: Ints
    start: Ints
    quantity: Ints


def multiplied(raw: Ints, milli: Ints) -> Ints:
    """floor(raw x milli / 1000), exact in int64 as long as the result is."""
    if (milli % 1_000 == 0).all():
        return raw * (milli // 1_000)
    whole, part = np.divmod(raw, 1_000)
    return whole * milli + part * milli // 1_000


def advance(
    end: Ints, raw: Ints, amount: Ints, milli: Ints, before: Array, register: NDArray[np.bool_]
) -> Moved | None:
    """The usual case: every index is later and not lower than the one before it (`before`: STATE entries).

    amount: multiplied(raw, milli).

    None where some register row is not: then rows decide what follows them, see advance_one_by_one.
    """
    first = before["end"] == NEVER
    sound = first | ~register | ((end > before["end"]) & (raw >= before["raw"]))
    if not sound.all():
        return None
    if first.any():
        quantity = np.where(first, 0, amount - multiplied(np.where(first, 0, before["raw"]), milli))
        verdict = np.where(first, int(Outcome.BASELINE), int(Outcome.STORED))
        return Moved(verdict, np.where(first, end, before["end"]), quantity)
    return Moved(np.zeros(len(end), np.int64), before["end"], amount - multiplied(before["raw"], milli))


def advance_one_by_one(slot: Ints, end: Ints, raw: Ints, master: Array, known: Array) -> Moved:
    """The rare case: some index is late, repeated or below its forerunner. Rows: by slot, in time order."""
    n = len(slot)
    moved = Moved(np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64))
    newest: dict[int, tuple[int, int]] = {}
    for i in np.flatnonzero(master["register"]).tolist():
        s, at, index = int(slot[i]), int(end[i]), int(raw[i])
        last_at, last = newest.get(s) or (int(known["end"][i]), int(known["raw"][i]))
        milli, modulus = int(master["multiplier_milli"][i]), int(master["modulus"][i])
        if last_at == NEVER:
            moved.verdict[i], moved.start[i] = Outcome.BASELINE, at
        elif at <= last_at:
            moved.verdict[i] = Outcome.DUPLICATE if (at, index) == (last_at, last) else Outcome.LATE_INDEX
            continue
        elif index >= last:
            moved.start[i], moved.quantity[i] = last_at, index * milli // 1_000 - last * milli // 1_000
        elif modulus != NO_MODULUS and modulus > last and (index + modulus - last) * 2 < modulus:
            # rolled over: less than half a turn since the last index
            turned = (modulus + index) * milli // 1_000
            moved.start[i], moved.quantity[i] = last_at, turned - last * milli // 1_000
        else:
            moved.verdict[i] = Outcome.REGISTER_BACKWARDS
            continue
        newest[s] = at, index
    return moved
