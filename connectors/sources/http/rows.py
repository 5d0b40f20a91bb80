"""Reading objects into columns: {"meter", "value", "end" | "time", "start"?, "unit"?}. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

import numpy as np

from carbonstream.connectors.sources.framing import Columns, Unit
from carbonstream.connectors.sources.http.problems import MAX_TOLD, Fault, Refused
from carbonstream.connectors.sources.instants import EXAMPLE, check_span, from_iso
from carbonstream.connectors.sources.reading import check_meter, check_unit
from carbonstream.processors.frames import MISSING
from carbonstream.schemas.codes import Edge
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.texts import shown

FIELDS: Final = frozenset({"meter", "value", "end", "time", "start", "unit"})
EXAMPLE_READING: Final = f'{{"meter":"330502-0001/E01","end":"{EXAMPLE}","value":1.5}}'


def columns_of(rows: Sequence[object], path: str, latest_ms: int) -> Columns:
    """All rows, or Refused with every faulty one.

    path: how a row's field is called, with {} for the row's number, e.g. "readings[{}]."; latest_ms: UTC ms,
    the last instant that is taken.
    """
    taking = _Taking(latest_ms)
    faults: list[Fault] = []
    total = 0
    for i, row in enumerate(rows):
        try:
            taking.take(row)
        except InvalidReading as error:
            total += 1
            if total <= MAX_TOLD:
                field = (path.format(i) + error.field).rstrip(".") or "body"
                faults.append(Fault(field, Edge(error.code), error.detail))
    if faults:
        raise Refused(faults, total)
    return taking.columns()


def instant(field: str, value: object, latest_ms: int) -> int:
    """UTC ms of an integer or an ISO 8601 text. Raises InvalidReading."""
    if type(value) is int:
        at = value
    elif type(value) is str:
        at = from_iso(field, value)
    else:
        raise InvalidReading(
            field, Edge.WRONG_TYPE, f"{shown(value)} is no time; send UTC milliseconds or e.g. {EXAMPLE}"
        )
    check_span(field, at, latest_ms)
    return at


def number(field: str, value: object) -> float:
    """A finite number. Raises InvalidReading."""
    if type(value) is not float and type(value) is not int:
        raise InvalidReading(field, Edge.WRONG_TYPE, f"{shown(value)} is not a number; send e.g. 1.5")
    try:
        found = float(value)
    except OverflowError:
        found = float("inf")
    if not isfinite(found):
        raise InvalidReading(field, Edge.NOT_FINITE, "not a finite number; leave the reading out")
    return found


class _Taking:
    def __init__(self, latest_ms: int) -> None:
        self._latest_ms = latest_ms
        self._ids: dict[str, int] = {}
        self._units: set[str] = set()
        self._meter: list[int] = []
        self._start: list[int] = []
        self._end: list[int] = []
        self._value: list[float] = []
        self._unit: list[str | None] = []

    def take(self, row: object) -> None:
        if type(row) is not dict:
            raise InvalidReading("", Edge.WRONG_TYPE, f"{shown(row)} is not a reading like {EXAMPLE_READING}")
        if not row.keys() <= FIELDS:
            unknown = min(row.keys() - FIELDS)
            raise InvalidReading(
                unknown[:60],
                Edge.UNKNOWN_FIELD,
                f"not a field of a reading; it has {', '.join(sorted(FIELDS))}",
            )
        meter = self._meter_index(row)
        name = "end" if "end" in row else "time"
        if name not in row:
            raise InvalidReading(
                "end", Edge.MISSING, f"every reading needs the end of its interval, e.g. {EXAMPLE}"
            )
        if name == "end" and "time" in row:
            raise InvalidReading(
                "time", Edge.UNKNOWN_FIELD, "`time` is another name of `end`; send one of them"
            )
        end = instant(name, row[name], self._latest_ms)
        start = MISSING
        if row.get("start") is not None:
            start = instant("start", row["start"], self._latest_ms)
            if start >= end:
                raise InvalidReading("start", Edge.TIME, "must be before `end`")
        if "value" not in row:
            raise InvalidReading(
                "value", Edge.MISSING, "every reading needs a number; leave it out where there is none"
            )
        value = number("value", row["value"])
        unit = row.get("unit")
        if unit is not None and (type(unit) is not str or unit not in self._units):
            self._new_unit(unit)
        self._meter.append(meter)
        self._start.append(start)
        self._end.append(end)
        self._value.append(value)
        self._unit.append(unit)

    def _meter_index(self, row: dict[str, Any]) -> int:
        if "meter" not in row:
            raise InvalidReading("meter", Edge.MISSING, "every reading names its meter, e.g. 330502-0001/E01")
        meter = row["meter"]
        if type(meter) is not str:
            raise InvalidReading(
                "meter", Edge.WRONG_TYPE, f"{shown(meter)} is not a text like 330502-0001/E01"
            )
        index = self._ids.get(meter)
        if index is None:
            check_meter("meter", meter)
            index = self._ids[meter] = len(self._ids)
        return index

    def _new_unit(self, unit: object) -> None:
        if type(unit) is not str:
            raise InvalidReading("unit", Edge.WRONG_TYPE, f"{shown(unit)} is not a text like kWh")
        check_unit("unit", unit)
        self._units.add(unit)

    def columns(self) -> Columns:
        unit: Unit = None
        if self._units:
            unit = np.array(self._unit, object)
        return Columns(
            tuple(self._ids),
            np.array(self._meter, np.int64),
            np.array(self._start, np.int64),
            np.array(self._end, np.int64),
            np.array(self._value, np.float64),
            unit,
        )
