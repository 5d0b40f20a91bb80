"""What the checks are given of a frame, and what they tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

FINDING: Final = np.dtype(
    [
        ("row", "<i4"),  # of the frame: the reading that tells
        ("check", "i1"),
        ("decision", "i1"),
        ("of", "<i8"),  # end of the reading that is meant, UTC ms: the row's own, or the one held before it
        (
            "size",
            "<f4",
        ),  # ratio of a changed level or a spike, hours of a moved clock, values in a run; else 0
        ("set", "<i4"),  # of the parameters in parameter_sets.Chosen; of a user's rule nothing
    ]
)
NOTHING: Final = np.empty(0, FINDING)


def records(found: Array, definitions: Sequence[str]) -> list[dict[str, Any]]:
    """FINDING entries as carbon.emissions has them, size with three digits. definitions: of each, what judged."""
    return [
        {
            "row": row,
            "check": check,
            "decision": decision,
            "of": of,
            "size": float(f"{size:.3g}"),
            "definition": definition,
        }
        for (row, check, decision, of, size, _), definition in zip(found.tolist(), definitions, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Readings:
    """What judge took of one frame: one entry a reading, any order."""

    slot: Ints
    start: Ints  # UTC ms
    end: Ints  # UTC ms
    quantity: Ints  # thousandths of the base unit
    interval: Ints  # ms; from one reading to the next
    register: Mask  # a register's repetitions and late indexes are judge's

    def take(self, which: Ints) -> Readings:
        """The readings at these positions."""
        return Readings(*(getattr(self, name)[which] for name in self.__slots__))
