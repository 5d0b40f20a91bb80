"""Exact grouped sums of integer columns (no floats, so order and size do not matter)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def grouped(keys: list[Ints], sums: list[Ints]) -> tuple[list[Ints], list[Ints]]:
    """Distinct key tuples in ascending order, and the sum of each column over them. All inputs int64[n]."""
    n = len(keys[0])
    if n == 0:
        return keys, sums
    packed = _packed(keys)
    order = np.argsort(packed, kind="stable") if packed is not None else np.lexsort(keys[::-1])
    columns = [key[order] for key in keys]
    changes = np.zeros(n, np.bool_)
    changes[0] = True
    if packed is not None:
        ordered = packed[order]
        np.not_equal(ordered[1:], ordered[:-1], out=changes[1:])
    else:
        for column in columns:
            changes[1:] |= column[1:] != column[:-1]
    starts = np.flatnonzero(changes)
    return [column[starts] for column in columns], [np.add.reduceat(s[order], starts) for s in sums]


def _packed(keys: list[Ints]) -> Ints | None:
    """All keys in one int64 that sorts the same, or None where they need more than 62 bits."""
    packed = np.zeros(len(keys[0]), np.int64)
    bits = 0
    for key in keys:
        low, high = int(key.min()), int(key.max())
        width = (high - low).bit_length()
        bits += width
        if bits > 62:
            return None
        packed = (packed << width) | (key - low)
    return packed
