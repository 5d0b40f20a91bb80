"""A posted frame into columns: {"meters", "meter", "end", "value", "start"?, "unit"?, "mode"?}. Pure.

Its sites may be mixed: it is split by shard. `source`, `shard`, `seq` and `sent` are ours to fill in; a
sender that builds whole frames may leave its own in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from carbonstream.connectors.sources.framing import Columns, Unit
from carbonstream.connectors.sources.http.problems import MAX_TOLD, Fault, Refused, refused
from carbonstream.connectors.sources.http.rows import instant, number
from carbonstream.connectors.sources.reading import check_meter, check_unit
from carbonstream.processors.frames import MISSING, Ints
from carbonstream.schemas.codes import Edge
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.periods import YEAR_2000_MS
from carbonstream.schemas.texts import shown

COLUMNS: Final = ("meters", "meter", "end", "value")
OURS: Final = frozenset({"source", "shard", "seq", "sent"})
FIELDS: Final = frozenset({*COLUMNS, "start", "unit", "mode"}) | OURS


def columns_of_frame(frame: dict[str, Any], latest_ms: int) -> Columns:
    """All readings of the frame, or Refused with every fault. latest_ms: UTC ms, the last instant that is
    taken.
    """
    for field in sorted(frame.keys() - FIELDS):
        raise refused(field[:60], Edge.UNKNOWN_FIELD, "not a field of a frame")
    for field in COLUMNS:
        if field not in frame:
            raise refused(field, Edge.MISSING, "a frame has the columns meters, meter, end and value")
    n = len(frame["end"]) if isinstance(frame["end"], list) else 0
    for field in ("end", "meters", "meter", "value", "start"):
        column = frame.get(field)
        if field == "start" and column is None:
            continue
        if not isinstance(column, list):
            raise refused(field, Edge.WRONG_TYPE, f"{shown(column)} is not an array")
        if field != "meters" and len(column) != n:
            raise refused(field, Edge.WRONG_TYPE, f"{len(column)} entries, `end` has {n}")
    checking = _Checking()
    checking.each("meters", frame["meters"], _meter)
    ids: list[str] = frame["meters"]
    meter = checking.each("meter", frame["meter"], lambda field, value: _index(field, value, len(ids)))
    end = _instants(checking, "end", frame["end"], latest_ms)
    start = None
    if frame.get("start") is not None:
        start = _instants(checking, "start", frame["start"], latest_ms)
    value = checking.each("value", frame["value"], number)
    unit = _units(checking, frame.get("unit"), n)
    checking.finish()
    if len(set(ids)) != len(ids):
        raise refused("meters", Edge.METER, "names a meter twice; name each once and index it")
    if start is not None:
        for i in np.flatnonzero((start != MISSING) & (start >= end)).tolist():
            raise refused(f"start[{i}]", Edge.TIME, "must be before `end`")
    return Columns(ids, np.array(meter, np.int64), start, end, np.array(value, np.float64), unit)


class _Checking:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._total = 0

    def each(self, name: str, column: list[Any], check: Callable[[str, object], Any]) -> list[Any]:
        """`check(field, value)` of every entry; a faulty one is noted and left as 0."""
        try:
            return [check(name, value) for value in column]
        except InvalidReading:
            pass
        found = []
        for i, value in enumerate(column):
            try:
                found.append(check(f"{name}[{i}]", value))
            except InvalidReading as error:
                found.append(0)
                self._total += 1
                if self._total <= MAX_TOLD:
                    self._faults.append(Fault(error.field, Edge(error.code), error.detail))
        return found

    def finish(self) -> None:
        if self._faults:
            raise Refused(self._faults, self._total)


def _meter(field: str, value: object) -> str:
    if type(value) is not str:
        raise InvalidReading(field, Edge.WRONG_TYPE, f"{shown(value)} is not a text like 330502-0001/E01")
    check_meter(field, value)
    return value


def _index(field: str, value: object, meters: int) -> int:
    if type(value) is not int or not 0 <= value < meters:
        raise InvalidReading(field, Edge.WRONG_TYPE, f"{shown(value)} does not index into `meters`")
    return value


def _instants(checking: _Checking, name: str, column: list[Any], latest_ms: int) -> Ints:
    if set(map(type, column)) == {int} and min(column) >= YEAR_2000_MS and max(column) <= latest_ms:
        return np.array(column, np.int64)

    def one(field: str, value: object) -> int:
        return MISSING if value is None and name == "start" else instant(field, value, latest_ms)

    return np.array(checking.each(name, column, one), np.int64)


def _units(checking: _Checking, unit: object, n: int) -> Unit:
    if unit is None:
        return None
    if isinstance(unit, list):
        if len(unit) != n:
            raise refused("unit", Edge.WRONG_TYPE, f"{len(unit)} entries, `end` has {n}")
        found = checking.each(
            "unit", unit, lambda field, value: None if value is None else _unit(field, value)
        )
        return np.array(found, object)
    found = checking.each("unit", [unit], _unit)
    return str(found[0])


def _unit(field: str, value: object) -> str:
    if type(value) is not str:
        raise InvalidReading(field, Edge.WRONG_TYPE, f"{shown(value)} is not a text like kWh")
    check_unit(field, value)
    return value
