"""An emissions frame as instant rules see it, and what they know of meters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.schemas.codes import Mode, Outcome
from carbonstream.schemas.periods import MINUTE_MS

Ints = NDArray[np.int64]

# Near-real-time data come within 15 minutes (T/CEPPC 14-2023 8.6 c): what comes later is not judged any more.
LATENESS_MS: Final = 15 * MINUTE_MS
NEVER: Final = 0
FOREVER: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Frame:
    """The rows of known meters of one emissions frame, columns of equal length.

    number: dense meter number; start, end: UTC ms; quantity: thousandths of the carrier's base unit.
    """

    source: str
    mode: Mode
    tick: int
    number: Ints
    start: Ints
    end: Ints
    quantity: Ints
    quality: Ints
    code: Ints
    is_distinct: bool = field(default=False, kw_only=True)  # no meter has two rows

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Frame:
        """From a decoded record of carbon.emissions."""
        meter = np.array(document["meter"], np.int64)
        number = np.array(document["numbers"], np.int64)[meter] if len(meter) else meter

        def column(name: str) -> Ints:
            value = document[name]
            return (
                np.array(value, np.int64) if isinstance(value, list) else np.full(len(meter), value, np.int64)
            )

        columns = [
            number, *(column(name) for name in ("start", "end", "quantity", "quality", "code"))
        ]  # fmt: skip
        void = document.get("void", ())  # what is struck or withdrawn was no reading
        if len(void) or (len(number) and number.min() < 0):
            known = number >= 0
            known[list(void)] = False
            columns = [values[known] for values in columns]
        is_distinct = bool(np.bincount(meter).max(initial=0) <= 1)
        return cls(
            document["source"], Mode(document["mode"]), document["tick"], *columns, is_distinct=is_distinct
        )

    def taken(self) -> NDArray[np.bool_]:
        """Rows that were taken, a register's first index too."""
        return self.code <= Outcome.BASELINE

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True, slots=True)
class Meter:
    """A registered meter. valid_to: UTC ms, FOREVER where it is open."""

    number: int
    meter_id: str
    carrier: int
    interval_ms: int
    valid_to: int

    @property
    def site(self) -> str:
        """Entity of its site."""
        return "site:" + self.meter_id.rpartition("/")[0]

    @property
    def subject(self) -> str:
        """How rules name it."""
        return "meter:" + self.meter_id


class Fleet:
    """All registered meters; arrays are by dense number, 0 where there is none."""

    def __init__(self, meters: Iterable[Meter] = ()) -> None:
        self.by_number = {meter.number: meter for meter in meters}
        self.size = max(self.by_number, default=-1) + 1
        self.interval: Ints = np.zeros(self.size, np.int64)
        self.valid_to: Ints = np.zeros(self.size, np.int64)
        for number, meter in self.by_number.items():
            self.interval[number], self.valid_to[number] = meter.interval_ms, meter.valid_to
