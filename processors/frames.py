"""Read a record of meter.readings into columns. Total: any bytes give a Frame, a Tick or a Refusal, never an error.

A frame whose shape is wrong is refused whole; a single faulty reading in a sound frame becomes NaN or MISSING and
gets its own code in processors.checks, so that nothing beside or behind it is held up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from carbonstream.schemas.carriers import UNITS
from carbonstream.schemas.codes import Mode, Outcome
from carbonstream.schemas.frames import MAX_READINGS, TYPE_TICK
from carbonstream.schemas.shards import SHARDS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING: Final = np.iinfo(np.int64).min  # a time that was null, absent or not a whole number
UNIT_OF_METER: Final = -2  # the reading names no unit: the meter's own is meant
UNIT_UNKNOWN: Final = -1
UNIT_INDEX: Final = {unit: i for i, unit in enumerate(UNITS)}
MODES: Final = {mode.value for mode in Mode}
MAX_TIME_MS: Final = 4_102_444_800_000  # 2100; beyond it numbers are surely not milliseconds


@dataclass(frozen=True, slots=True)
class Frame:
    """Readings of one source and shard; all columns have one entry a reading."""

    source: str
    shard: int
    seq: int
    sent: int
    mode: Mode
    meters: list[str]
    meter: Ints  # index into meters
    start: Ints  # UTC ms or MISSING
    end: Ints  # UTC ms or MISSING
    value: Floats  # NaN where not a finite number
    unit: Ints  # index into UNITS, UNIT_OF_METER or UNIT_UNKNOWN
    document: dict[str, Any]  # the record as it came, for held and rejected readings

    def __len__(self) -> int:
        return len(self.end)


@dataclass(frozen=True, slots=True)
class Tick:
    """The clock: time in UTC ms, and the end offset of each ref.* topic."""

    time: int
    reference: dict[str, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record no reading could be taken from. `readings` is how many it seems to hold."""

    code: Outcome
    detail: str
    readings: int = 0
    source: str = ""
    shard: int = -1
    seq: int = -1


def parse_record(value: bytes | None, type_: str) -> Frame | Tick | Refusal:
    """Parse one record of meter.readings by its CloudEvents type (missing type: a frame)."""
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError as error:
        return Refusal(Outcome.INVALID_FRAME, f"not JSON: {error}")
    if not isinstance(document, dict):
        return Refusal(Outcome.INVALID_FRAME, f"a frame is a JSON object, not {type(document).__name__}")
    if type_ == TYPE_TICK or "tick" in document:
        return _tick(document)
    return _frame(document)


def _tick(document: dict[str, Any]) -> Tick | Refusal:
    time, reference = document.get("time"), document.get("reference")
    if not _whole(time) or not 0 < time < MAX_TIME_MS:
        return Refusal(Outcome.INVALID_FRAME, f"time: {time!r} is not UTC milliseconds")
    if not isinstance(reference, dict) or not all(isinstance(k, str) and _whole(v) for k, v in reference.items()):
        return Refusal(Outcome.INVALID_FRAME, "reference: must map topic to end offset")
    return Tick(time, reference)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _frame(document: dict[str, Any]) -> Frame | Refusal:
    end = document.get("end")
    n = len(end) if isinstance(end, list) else 0
    source, shard, seq = document.get("source"), document.get("shard"), document.get("seq")

    def refuse(field: str, detail: str, code: Outcome = Outcome.INVALID_FRAME) -> Refusal:
        return Refusal(
            code,
            f"{field}: {detail}",
            n,
            source if isinstance(source, str) else "",
            shard if _whole(shard) else -1,  # type: ignore[arg-type]
            seq if _whole(seq) else -1,  # type: ignore[arg-type]
        )

    if not isinstance(source, str) or not source:
        return refuse("source", "must be a non-empty string")
    if not _whole(shard) or not 0 <= shard < SHARDS:  # type: ignore[operator]
        return refuse("shard", f"{shard!r} is not 0 to {SHARDS - 1}")
    if not _whole(seq) or not 0 <= seq < 2**62:  # type: ignore[operator]
        return refuse("seq", f"{seq!r} is not a whole number >= 0")
    mode, sent = document.get("mode", Mode.LIVE), document.get("sent")
    if mode not in MODES:
        return refuse("mode", f"{mode!r} is not live or backfill")
    if not _whole(sent) or not 0 <= sent < MAX_TIME_MS:  # type: ignore[operator]
        return refuse("sent", f"{sent!r} is not UTC milliseconds")
    meters, meter, value = document.get("meters"), document.get("meter"), document.get("value")
    if not isinstance(end, list) or not isinstance(meter, list) or not isinstance(value, list):
        return refuse("end, meter, value", "must be arrays")
    start, unit = document.get("start"), document.get("unit")
    if (
        len(meter) != n
        or len(value) != n
        or (start is not None and (not isinstance(start, list) or len(start) != n))
        or (isinstance(unit, list) and len(unit) != n)
    ):
        return refuse("meter, start, end, value, unit", "arrays differ in length")
    if n > MAX_READINGS:
        return refuse("end", f"{n} readings, at most {MAX_READINGS} a frame", Outcome.OVERSIZED)
    if not isinstance(meters, list) or not set(map(type, meters)) <= {str}:
        return refuse("meters", "must be an array of ids")
    if not set(map(type, meter)) <= {int} or (n and not (0 <= min(meter) and max(meter) < len(meters))):
        return refuse("meter", "must index into meters")
    return Frame(
        source,
        shard,  # type: ignore[arg-type]
        seq,  # type: ignore[arg-type]
        sent,  # type: ignore[arg-type]
        Mode(mode),
        meters,
        np.array(meter, np.int64),
        np.full(n, MISSING) if start is None else _times(start),
        _times(end),
        _values(value),
        _units(unit, n),
        document,
    )


def _times(column: list[Any]) -> Ints:
    if set(map(type, column)) == {int}:
        try:
            times = np.array(column, np.int64)
        except OverflowError:
            pass
        else:
            times[(times < -MAX_TIME_MS) | (times > MAX_TIME_MS)] = MISSING
            return times
    return np.array([t if _whole(t) and abs(t) <= MAX_TIME_MS else MISSING for t in column], np.int64)


def _values(column: list[Any]) -> Floats:
    if set(map(type, column)) <= {int, float}:
        try:
            return np.array(column, np.float64)
        except OverflowError:
            pass
    return np.array([_number(v) for v in column], np.float64)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("nan")


def _units(unit: object, n: int) -> Ints:
    if unit is None:
        return np.full(n, UNIT_OF_METER)
    if isinstance(unit, str):
        return np.full(n, UNIT_INDEX.get(unit, UNIT_UNKNOWN))
    if isinstance(unit, list):
        return np.array([UNIT_OF_METER if u is None else _unit(u) for u in unit], np.int64)
    return np.full(n, UNIT_UNKNOWN)


def _unit(unit: object) -> int:
    return UNIT_INDEX.get(unit, UNIT_UNKNOWN) if isinstance(unit, str) else UNIT_UNKNOWN
