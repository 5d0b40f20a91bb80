"""What an edit of a stored interval adds to what was accepted: plain code that shares nothing with convert.

A register's interval that is computed anew adds what it is now less what the frame says stood there, one up to an
index that is struck takes away what stood there; an interval meter's edit claims what it says, and what it takes the
place of is superseded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from carbonstream.processors.accepted_registers import between, milli_at
from carbonstream.processors.judged import MAX_QUANTITY
from carbonstream.processors.register_history import History
from carbonstream.schemas.frames import EDITORS

MOST_REPLACED: Final = 2**62
MOST_QUALITY: Final = 100


@dataclass(frozen=True, slots=True)
class Edited:
    """A meter of electricity. history: where there was more than one multiplier or register."""

    register: bool
    multiplier_milli: int
    modulus: int
    history: History | None


def edited_wh(
    frame: dict[str, Any], i: int, end: int, meter: Edited, scale: float | None, window: tuple[int, int]
) -> int | None:
    """Wh of the i-th entry; None where it is no edit.

    end: UTC ms, 0 where none; scale: Wh in its unit; window: times an edit may reach.
    """
    if scale is None:
        return None
    index = _wh(frame["value"][i], scale)
    if not meter.register:
        return index if index is not None and index <= MAX_QUANTITY else None
    starts, firsts, replaces = (_column(frame, name) for name in ("start", "first_index", "replaces"))
    if frame["source"] not in EDITORS or starts is None or firsts is None or replaces is None:
        return None
    start, first, replaced = starts[i], _wh(firsts[i], scale), replaces[i]
    if type(start) is not int or not window[0] <= start < end <= window[1] or not _is_quality(frame, i):
        return None
    if first is None or type(replaced) is not int or abs(replaced) > MOST_REPLACED:
        return None
    if frame["value"][i] is None:
        return -replaced if first <= MAX_QUANTITY else None
    if index is None:
        return None
    factor = max(milli_at(meter.history, meter.multiplier_milli, end), 1_000)
    if max(index, first) * factor > MAX_QUANTITY * 1_000:
        return None
    wh = between(meter.history, meter.multiplier_milli, meter.modulus, (start, first), (end, index))
    return None if wh is None else wh - replaced


def behind(frame: dict[str, Any], i: int) -> int | None:
    """End of the interval that the i-th entry, which strikes an index, merges with; None where that is the newest."""
    starts, at, ends, k = _column(frame, "start"), frame["meter"], frame["end"], i + 1
    if (
        starts is None
        or k == len(at)
        or (at[k], starts[k]) != (at[i], starts[i])
        or frame["value"][k] is None
    ):
        return None
    return int(ends[k]) if type(ends[k]) is type(ends[i]) is int and ends[k] > ends[i] else None


def _column(frame: dict[str, Any], name: str) -> list[Any] | None:
    column = frame.get(name)
    return column if isinstance(column, list) and len(column) == len(frame["end"]) else None


def _wh(value: Any, scale: float) -> int | None:
    """Whole Wh of a number that is not negative; None for all else."""
    if type(value) not in (int, float):
        return None
    amount = value * scale
    return round(amount) if 0 <= amount <= MAX_QUANTITY * 1_000 else None


def _is_quality(frame: dict[str, Any], i: int) -> bool:
    told = frame.get("quality")
    quality = told[i] if isinstance(told, list) else told
    return type(quality) is int and 0 <= quality < MOST_QUALITY
