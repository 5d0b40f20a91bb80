"""CSV files of readings as columns. The whole file is checked first: every error is told with its line and
field.

A column is parsed by its distinct texts: 100,000 meters of one day have 96 different times.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.connectors.sources.framing import Columns
from carbonstream.connectors.sources.instants import check_span, from_iso
from carbonstream.connectors.sources.reading import check_meter, check_unit
from carbonstream.schemas.codes import Edge
from carbonstream.schemas.errors import InvalidReading, LoadRefused
from carbonstream.schemas.periods import DAY_MS, MINUTE_MS, SHANGHAI, to_ms

MAX_ERRORS: Final = 200  # told; the rest are counted
STEEL_DATE: Final = re.compile(
    r"(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d)", re.ASCII
)  # strptime is six times slower
STEEL_INTERVAL_MS: Final = 15 * MINUTE_MS


class Format(StrEnum):
    """How a file says what it holds."""

    CSV = "csv"  # meter,time,value[,unit] or meter,start,end,value[,unit]; time ends the interval
    UCI_STEEL = "uci-steel"  # UCI Machine Learning Repository, data set 851


def uncompressed(content: bytes) -> bytes:
    """The file's own bytes, gzip or not. Raises LoadRefused for a damaged gzip file."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise LoadRefused([f"the gzip file is damaged: {error}"]) from error


def parse(content: bytes, format_: Format, meter: str | None = None) -> Columns:
    """Readings of an uncompressed file in its order.

    meter: id for a format that carries none. Raises LoadRefused with one text an error.
    """
    table = _read(content)
    if format_ is Format.UCI_STEEL:
        return _uci_steel(table, meter)
    if meter is not None:
        raise LoadRefused(["--meter is for files without a meter column"])
    return _csv(table)


@dataclass(slots=True)
class _Table:
    header: list[str]
    lines: NDArray[np.int64]  # line in the file of each row
    columns: dict[str, tuple[str, ...]]
    errors: list[str] = field(default_factory=list)
    more: int = 0

    def refuse(self, line: int, detail: str) -> None:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(f"line {line}: {detail}")
        else:
            self.more += 1

    def finish(self) -> None:
        """Raise LoadRefused where anything was refused, or there is nothing."""
        if not len(self.lines) and not self.errors:
            raise LoadRefused(["the file holds no readings"])
        if self.more:
            self.errors.append(f"... and {self.more} more")
        if self.errors:
            raise LoadRefused(self.errors)

    def parsed(self, name: str, parse_one: Callable[[str, str], Any]) -> list[Any]:
        """One column through `parse_one(field, text)`, which raises InvalidReading."""
        texts = self.columns[name]
        known: dict[str, Any] = {}
        wrong: dict[str, InvalidReading] = {}
        for text in dict.fromkeys(texts):  # in order: a replay makes the same frames every time
            try:
                known[text] = parse_one(name, text)
            except InvalidReading as error:
                wrong[text] = error
                known[text] = 0
        if wrong:
            for line, text in zip(self.lines.tolist(), texts, strict=True):
                if text in wrong:
                    self.refuse(line, str(wrong[text]))
        return [known[text] for text in texts]


def _read(content: bytes) -> _Table:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise LoadRefused([f"line {line}: not UTF-8; save the file as CSV UTF-8"]) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    wrong: list[tuple[int, str]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        for row in reader:
            if len(row) == len(header):
                rows.append(row)
                lines.append(reader.line_num)
            elif row:
                wrong.append((reader.line_num, f"{len(row)} fields, the header has {len(header)}"))
    except csv.Error as error:
        raise LoadRefused([f"line {reader.line_num}: not CSV: {error}"]) from error
    if not header:
        raise LoadRefused(["the file holds no readings: line 1, the names of its columns, is empty"])
    columns: Iterable[tuple[str, ...]] = zip(*rows, strict=True) if rows else [()] * len(header)
    table = _Table(header, np.array(lines, np.int64), dict(zip(header, columns, strict=True)))
    for line, detail in wrong:
        table.refuse(line, detail)
    return table


def _csv(table: _Table) -> Columns:
    names = set(table.header)
    timed = {"meter", "time", "value"} <= names <= {"meter", "time", "value", "unit"}
    spanned = {"meter", "start", "end", "value"} <= names <= {"meter", "start", "end", "value", "unit"}
    if len(names) != len(table.header) or not (timed or spanned):
        raise LoadRefused(
            [
                f"line 1: columns {','.join(table.header)}; "
                "use meter,time,value[,unit] or meter,start,end,value[,unit]"
            ]
        )
    ids: dict[str, int] = {}

    def meter_index(name: str, text: str) -> int:
        check_meter(name, text)
        return ids.setdefault(text, len(ids))

    meter = np.array(table.parsed("meter", meter_index), np.int64)
    end = np.array(table.parsed("time" if timed else "end", _instant), np.int64)
    start = None
    if spanned:
        start = np.array(table.parsed("start", _instant), np.int64)
        if not table.errors:
            for i in np.flatnonzero(start >= end).tolist():
                table.refuse(int(table.lines[i]), "start: not before end")
    value = np.array(table.parsed("value", _number), np.float64)
    unit: Any = None
    if "unit" in names:
        unit = np.array(table.parsed("unit", _unit), object)
    table.finish()
    return Columns(tuple(ids), meter, start, end, value, unit)


def _uci_steel(table: _Table, meter: str | None) -> Columns:
    if meter is None:
        raise LoadRefused(["this format carries no meter: name it with --meter SITE/METER"])
    try:
        check_meter("--meter", meter)
    except InvalidReading as error:
        raise LoadRefused([str(error)]) from error
    missing = {"date", "Usage_kWh"} - set(table.header)
    if missing:
        raise LoadRefused(
            [f"line 1: no column {', '.join(sorted(missing))}; is this the data set's own file?"]
        )
    end = np.array(table.parsed("date", _steel_instant), np.int64)
    value = np.array(table.parsed("Usage_kWh", _number), np.float64)
    table.finish()
    return Columns((meter,), np.zeros(len(end), np.int64), end - STEEL_INTERVAL_MS, end, value, "kWh")


def _instant(name: str, text: str) -> int:
    at = from_iso(name, text)
    check_span(name, at)
    return at


def _steel_instant(name: str, text: str) -> int:
    """dd/mm/yyyy HH:MM local, ending the interval; the data set writes a day's 24:00 as 00:00 of that same
    date.
    """
    found = STEEL_DATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        day, month, year, hour, minute = map(int, found.groups())
        at = to_ms(datetime(year, month, day, hour, minute, tzinfo=SHANGHAI))
    except ValueError as error:
        raise InvalidReading(name, Edge.TIME, f"{text!r} is not dd/mm/yyyy HH:MM") from error
    return at if hour or minute else at + DAY_MS


def _number(name: str, text: str) -> float:
    try:
        value = float(text.replace("_", "?"))  # Python takes 1_000
    except ValueError as error:
        raise InvalidReading(name, Edge.WRONG_TYPE, f"{text!r} is not a number; write e.g. 1234.5") from error
    if not np.isfinite(value):
        raise InvalidReading(name, Edge.NOT_FINITE, f"{text!r} is not a finite number; leave the line out")
    return value


def _unit(name: str, text: str) -> str | None:
    if not text:
        return None
    check_unit(name, text)
    return text
