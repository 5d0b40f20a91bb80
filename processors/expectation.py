"""How many readings are due: what completeness is measured against.

A meter's intervals lie on a grid of its interval length that starts at local midnight (Asia/Shanghai). An
interval is due when it lies whole within the meter's validity, and it is due in the period it starts in, as a
reading counts to the period its interval starts in. So the readings due in a day are the sum of those due in
its hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.schemas.periods import OFFSET_MS

Ints = NDArray[np.int64]
FOREVER_MS: Final = 1 << 60  # a meter without valid_to; far enough from the int64 limit to add to


@dataclass(frozen=True, slots=True)
class Span:
    """`meters` meters that share an interval and a validity. Times UTC ms; valid_to None: still in
    service.
    """

    interval_ms: int
    valid_from: int
    valid_to: int | None
    meters: int


def readings_due(start: Ints, end: Ints, spans: Iterable[Span]) -> Ints:
    """Readings due in each period [start, end), summed over `spans`. UTC ms; shape and dtype as `start`.

    For readings due by an instant T rather than in the whole period, cut each span's validity at T (`until`).
    """
    due = np.zeros(len(start), np.int64)
    for span in spans:
        step, to = span.interval_ms, FOREVER_MS if span.valid_to is None else span.valid_to
        # grid lines at or after x: ceil((x + OFFSET) / step), as local midnight of 1970-01-01 is -OFFSET
        first = _ceil(np.maximum(start, span.valid_from) + OFFSET_MS, step)
        # a start s is due while s < end and s + step <= valid_to
        last = _ceil(np.minimum(end, to - step + 1) + OFFSET_MS, step)
        due += np.maximum(last - first, 0) * span.meters
    return due


def reaches_due(start: Ints, end: Ints, interval_ms: Ints) -> NDArray[np.bool_]:
    """Whether a reading is the one by which an interval that was due counts as come, by its start and end (UTC ms).

    Of readings closer together than the meter's interval one counts an interval, so that no meter counts more than it
    owes and makes up for another. It is the one that passes the middle between two grid lines, as readings come some
    seconds beside the line. A reading over several intervals counts once. interval_ms: the meter's; 0: all count.
    """
    step = np.maximum(interval_ms, 1)
    passed: NDArray[np.bool_] = (end + OFFSET_MS + step // 2) // step > (
        start + OFFSET_MS + step // 2
    ) // step
    passed |= interval_ms == 0
    return passed


def until(spans: Iterable[Span], at_ms: int) -> list[Span]:
    """The same spans with their validity cut at `at_ms`: what is due by then."""
    return [
        Span(s.interval_ms, s.valid_from, at_ms if s.valid_to is None else min(s.valid_to, at_ms), s.meters)
        for s in spans
    ]


def completeness(readings: int, expected: int) -> float | None:
    """Share of the readings due that came, cut (not rounded) to 4 decimals: 1.0 only where none is missing.

    None where none is due. More than were due counts as 1 (a register's first index is a reading without
    interval).
    """
    if expected <= 0:
        return None
    return min(readings, expected) * 10_000 // expected / 10_000


@dataclass(frozen=True, slots=True)
class Metering:
    """`sites` sites that were metered in the same span; valid_from None: never. Times UTC ms; valid_to None: still."""

    valid_from: int | None
    valid_to: int | None
    sites: int


def coverage(start: int, end: int, metering: Iterable[Metering]) -> float | None:
    """Share of an entity's sites that were metered at some time in [start, end) (UTC ms), cut to 4 decimals.

    None where it has no site. What metered sites did not send is told by completeness, not here.
    """
    sites = metered = 0
    for span in metering:
        sites += span.sites
        in_service = span.valid_from is not None and span.valid_from < end
        if in_service and (span.valid_to is None or span.valid_to > start):
            metered += span.sites
    return metered * 10_000 // sites / 10_000 if sites else None


def _ceil(values: Ints, step: int) -> Ints:
    return -(-values // step)
