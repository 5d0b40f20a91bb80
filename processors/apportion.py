"""Cut intervals at local hour borders, so that no stored row crosses an hour, day or month.

The parts of an interval are in proportion to time and add up to it exactly: part k is
floor(Q x t_k / T) - floor(Q x t_(k-1) / T), with t_k the time from the interval's start to the part's end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from carbonstream.schemas.periods import HOUR_MS

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Parts:
    """One entry a part, parts of an interval in time order. `of` is the interval's position."""

    of: Ints
    start: Ints  # UTC ms
    end: Ints
    quantity: Ints
    last: NDArray[np.bool_]  # the part that ends where the interval ends


def apportion(start: Ints, end: Ints, quantity: Ints) -> Parts:
    """Cut each [start, end) (UTC ms, end >= start) at whole hours; offsets of whole hours only, as UTC+8 is."""
    first = start // HOUR_MS
    pieces = np.maximum((end - 1) // HOUR_MS - first, 0) + 1
    if (pieces == 1).all():
        return Parts(np.arange(len(start)), start, end, quantity, np.ones(len(start), np.bool_))
    of = np.repeat(np.arange(len(start)), pieces)
    k = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begins, ends, whole = start[of], end[of], quantity[of]
    cut_low = np.maximum((first[of] + k) * HOUR_MS, begins)
    cut_high = np.minimum((first[of] + k + 1) * HOUR_MS, ends)
    cut_high = np.maximum(cut_high, cut_low)
    span = np.maximum(ends - begins, 1)
    share = _floor_share(whole, cut_high - begins, span) - _floor_share(whole, cut_low - begins, span)
    last = k == pieces[of] - 1
    # a point (a register's baseline) has no span: its quantity, zero, goes to its only part
    return Parts(of, cut_low, cut_high, np.where(ends == begins, whole, share), last)


def _floor_share(quantity: Ints, elapsed: Ints, span: Ints) -> Ints:
    """floor(quantity x elapsed / span) without overflow: quantity <= 1e15, spans of years in ms <= 2e11."""
    whole, rest = np.divmod(quantity, span)
    product = rest * elapsed  # rest < span, elapsed <= span: at most (1.6e11)^2 = 2.5e22 would overflow
    if span.max(initial=1) > 3_000_000_000:  # (3e9)^2 = 9e18 fits in int64; longer spans go through Python
        exact = [r * e // s for r, e, s in zip(rest.tolist(), elapsed.tolist(), span.tolist(), strict=True)]
        return whole * elapsed + np.array(exact, np.int64)
    return whole * elapsed + product // span
