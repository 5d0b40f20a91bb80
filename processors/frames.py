"""Read a record of meter.readings into columns. Total: any bytes give a Frame, a Tick or a Refusal, never an
error.

A frame whose shape is wrong is refused whole; a single faulty reading in a sound frame becomes NaN, MISSING or
FAULTY and gets its own code in processors.checks, so that nothing beside or behind it is held up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeGuard

import numpy as np
import orjson
from numpy.typing import NDArray

from carbonstream.schemas.carriers import UNITS
from carbonstream.schemas.codes import Mode, Outcome
from carbonstream.schemas.frames import MAX_READINGS, TYPE_TICK
from carbonstream.schemas.shards import SHARDS
from carbonstream.schemas.texts import shown
from carbonstream.schemas.topics import REFERENCE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING: Final = np.iinfo(np.int64).min  # a start that was null or absent, or an end that is no time
FAULTY: Final = np.iinfo(np.int64).max  # a start that was given and is no time: it lies after every end
UNIT_OF_METER: Final = -2  # the reading names no unit: the meter's own is meant
UNIT_UNKNOWN: Final = -1
UNIT_INDEX: Final = {unit: i for i, unit in enumerate(UNITS)}
NO_QUALITY: Final = -1  # an estimate that does not say what it is
MODES: Final = tuple(mode.value for mode in Mode)
MAX_TEXT: Final = 200  # characters of a source's name or a meter's id: both are keys of tables
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
    start: Ints  # UTC ms, MISSING or FAULTY
    end: Ints  # UTC ms or MISSING
    value: Floats  # NaN where not a finite number
    unit: Ints  # index into UNITS, UNIT_OF_METER or UNIT_UNKNOWN
    document: dict[str, Any]  # the record as it came, for held and rejected readings
    quality: Ints | None = None  # as estimates say it; None where the frame says nothing

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


def parse_record(value: bytes | None, type_: str, latest_tick: int | None = None) -> Frame | Tick | Refusal:
    """Parse one record of meter.readings by its CloudEvents type (missing type: a frame).

    latest_tick: UTC ms; a later tick is refused, as the clock never goes back. None: any is taken.
    """
    try:
        document = orjson.loads(value or b"")
    except orjson.JSONDecodeError as error:
        return Refusal(Outcome.INVALID_FRAME, f"not JSON: {error}")
    if not isinstance(document, dict):
        return Refusal(Outcome.INVALID_FRAME, f"a frame is a JSON object, not {type(document).__name__}")
    if type_ == TYPE_TICK or "tick" in document:
        return _tick(document, latest_tick)
    return _frame(document)


def _tick(document: dict[str, Any], latest: int | None) -> Tick | Refusal:
    time, reference = document.get("time"), document.get("reference")
    if not _whole(time) or not 0 < time < MAX_TIME_MS:
        return Refusal(Outcome.INVALID_FRAME, f"time: {_shown(time)} is not UTC milliseconds")
    if latest is not None and time > latest:
        ahead = (time - latest) // 1_000
        return Refusal(
            Outcome.INVALID_FRAME,
            f"time: a tick {ahead} s further ahead of Kafka's clock than is taken: set the ticker's",
        )
    if not isinstance(reference, dict) or not all(_whole(v) and 0 <= v < 2**62 for v in reference.values()):
        return Refusal(Outcome.INVALID_FRAME, "reference: must map topic to end offset")
    return Tick(time, {topic: reference[topic] for topic in REFERENCE if topic in reference})


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    """A value for a message: the answer must not outgrow the record that it answers."""
    return shown(value, MAX_TEXT)


def _frame(document: dict[str, Any]) -> Frame | Refusal:
    end = document.get("end")
    n = len(end) if isinstance(end, list) else 0
    source, shard, seq = document.get("source"), document.get("shard"), document.get("seq")

    def refuse(field: str, detail: str, code: Outcome = Outcome.INVALID_FRAME) -> Refusal:
        return Refusal(
            code,
            f"{field}: {detail}",
            n,
            source if is_name(source) else "",
            shard if _whole(shard) else -1,
            seq if _whole(seq) else -1,
        )

    if not is_name(source):
        return refuse("source", f"must be a string of 1 to {MAX_TEXT} characters without NUL")
    if not _whole(shard) or not 0 <= shard < SHARDS:
        return refuse("shard", f"{_shown(shard)} is not 0 to {SHARDS - 1}")
    if not _whole(seq) or not 0 <= seq < 2**62:
        return refuse("seq", f"{_shown(seq)} is not a whole number >= 0")
    mode, sent = document.get("mode", Mode.LIVE), document.get("sent")
    if mode not in MODES:
        return refuse("mode", f"{_shown(mode)} is not live, backfill, estimate or edit")
    if not _whole(sent) or not 0 <= sent < MAX_TIME_MS:
        return refuse("sent", f"{_shown(sent)} is not UTC milliseconds")
    meters, meter, value = document.get("meters"), document.get("meter"), document.get("value")
    if not isinstance(end, list) or not isinstance(meter, list) or not isinstance(value, list):
        return refuse("end, meter, value", "must be arrays")
    start, unit, quality = document.get("start"), document.get("unit"), document.get("quality")
    if (
        len(meter) != n
        or len(value) != n
        or (start is not None and (not isinstance(start, list) or len(start) != n))
        or (isinstance(unit, list) and len(unit) != n)
        or (isinstance(quality, list) and len(quality) != n)
    ):
        return refuse("meter, start, end, value, unit, quality", "arrays differ in length")
    if n > MAX_READINGS:
        return refuse("end", f"{n} readings, at most {MAX_READINGS} a frame", Outcome.OVERSIZED)
    if not isinstance(meters, list) or not set(map(type, meters)) <= {str}:
        return refuse("meters", "must be an array of ids")
    if len(meters) > MAX_READINGS:
        return refuse("meters", f"{len(meters)} ids, at most {MAX_READINGS} a frame", Outcome.OVERSIZED)
    if max(map(len, meters), default=0) > MAX_TEXT or "\0" in "".join(meters):
        return refuse("meters", f"ids have at most {MAX_TEXT} characters, and no NUL")
    if not set(map(type, meter)) <= {int} or (n and (min(meter) < 0 or max(meter) >= len(meters))):
        return refuse("meter", "must index into meters")
    return Frame(
        source,
        shard,
        seq,
        sent,
        Mode(mode),
        meters,
        np.array(meter, np.int64),
        np.full(n, MISSING) if start is None else _times(start, FAULTY),
        _times(end, MISSING),
        _values(value),
        _units(unit, n),
        document,
        None if quality is None else _qualities(quality, n),
    )


def is_name(source: object) -> TypeGuard[str]:
    """Whether a source can be told and kept by this name. (PostgreSQL's text cannot hold NUL.)"""
    return isinstance(source, str) and 0 < len(source) <= MAX_TEXT and "\0" not in source


def _times(column: list[Any], faulty: int) -> Ints:
    """UTC ms; MISSING where null, `faulty` where it is no whole number or surely not milliseconds."""
    if set(map(type, column)) == {int}:
        try:
            times = np.array(column, np.int64)
        except OverflowError:
            pass
        else:
            strange = (times < -MAX_TIME_MS) | (times > MAX_TIME_MS)
            if strange.any():
                times[strange] = faulty
            return times
    return np.array([MISSING if t is None else _time(t, faulty) for t in column], np.int64)


def _time(value: Any, faulty: int) -> int:
    return value if _whole(value) and abs(value) <= MAX_TIME_MS else faulty


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


def _qualities(quality: object, n: int) -> Ints:
    """NO_QUALITY where it is no code."""
    column = quality if isinstance(quality, list) else [quality] * n
    return np.array([q if _whole(q) and 0 <= q < 100 else NO_QUALITY for q in column], np.int64)


def _unit(unit: object) -> int:
    return UNIT_INDEX.get(unit, UNIT_UNKNOWN) if isinstance(unit, str) else UNIT_UNKNOWN
