"""Clean series of interval meters from CSV files: meter,time,value; time ends the interval, value is kWh."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.connectors.sources.instants import check_span, from_iso
from carbonstream.connectors.sources.replay.formats import uncompressed
from carbonstream.schemas.errors import InvalidReading, LoadRefused
from carbonstream.schemas.periods import DAY_MS, MINUTE_MS, OFFSET_MS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

COLUMNS: Final = ("meter", "time", "value")
OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)?$", re.ASCII)
MAX_ERRORS: Final = 200  # told; the rest are counted
MIN_DAYS: Final = 14  # two weeks: one to learn from, one to judge


@dataclass(frozen=True, slots=True)
class Series:
    """Readings of one meter in time order, each time once."""

    meter: str
    interval_ms: int  # the commonest distance of two readings
    end: Ints  # [n] UTC ms, rising
    value: Floats  # [n] kWh
    offset_ms: int = OFFSET_MS  # of local time: the commonest offset of its times


def read_series(paths: Iterable[Path]) -> list[Series]:
    """Every meter of every file, files in their order; a file may be gzipped.

    Raises LoadRefused with one line an error: file, line, what is wrong and what to do.
    """
    series: list[Series] = []
    errors: list[str] = []
    more = 0
    for path in paths:
        found, wrong = _read(path)
        series += found
        more += max(len(wrong) - MAX_ERRORS, 0)
        errors += [f"{path}: {line}" for line in wrong[:MAX_ERRORS]]
    if more:
        errors.append(f"... and {more} more")
    if errors:
        raise LoadRefused(errors)
    return series


def _read(path: Path) -> tuple[list[Series], list[str]]:
    try:
        text = uncompressed(path.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        return [], [f"{error.strerror}; name a file that can be read"]
    except LoadRefused as error:
        return [], error.errors
    except UnicodeDecodeError as error:
        return [], [f"byte {error.start}: not UTF-8; save the file as CSV UTF-8"]
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    errors: list[str] = []
    meters: dict[str, dict[int, tuple[float, int]]] = {}
    offsets: Counter[int] = Counter()
    try:
        header = [name.strip() for name in next(rows, [])]
        if sorted(header) != sorted(COLUMNS):
            return [], [f"line 1: columns {','.join(header) or 'missing'}; use meter,time,value"]
        order = [header.index(name) for name in COLUMNS]
        instants: dict[str, int] = {}
        for row in rows:
            if row:
                try:
                    _take(row, order, rows.line_num, meters, instants)
                    offsets[_offset(row[order[1]])] += 1
                except InvalidReading as error:
                    errors.append(f"line {rows.line_num}: {error}")
    except csv.Error as error:
        errors.append(
            f"line {rows.line_num}: not CSV: {error}; put a field that holds a quote or comma in quotes"
        )
    if not errors and not meters:
        errors.append("the file holds no readings; it needs at least a line behind its header")
    if errors:
        return [], errors
    return _series(meters, offsets.most_common(1)[0][0])


def _take(
    row: list[str],
    order: list[int],
    line: int,
    meters: dict[str, dict[int, tuple[float, int]]],
    instants: dict[str, int],
) -> None:
    """One line into its meter's readings. instants: texts of times that were read before."""
    if len(row) != len(COLUMNS):
        raise InvalidReading(
            "line", "missing", f"{len(row)} fields, the header has {len(COLUMNS)}; complete it"
        )
    meter, time, text = (row[i].strip() for i in order)
    if not meter:
        raise InvalidReading("meter", "missing", "empty; name the meter")
    end = instants.get(time)
    if end is None:
        end = from_iso("time", time)
        check_span("time", end)
        instants[time] = end
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise InvalidReading("value", "not_finite", f"{text!r} is not a finite number; leave the line out")
    known = meters.setdefault(meter, {})
    before = known.setdefault(end, (value, line))
    if before[0] != value:
        raise InvalidReading(
            "time",
            "time",
            f"{time} of {meter} has {text} here and {before[0]:g} in line {before[1]}; keep one",
        )


def _offset(text: str) -> int:
    """ms of '...+08:00' or Z."""
    found = OFFSET.search(text.strip())
    if found is None:
        return 0
    sign, hours, minutes = found.groups()
    return (1 if sign == "+" else -1) * (int(hours) * 60 + int(minutes or 0)) * MINUTE_MS


def _series(
    meters: dict[str, dict[int, tuple[float, int]]], offset_ms: int
) -> tuple[list[Series], list[str]]:
    found, errors = [], []
    for meter, readings in meters.items():
        end = np.array(sorted(readings), np.int64)
        if len(end) < 3 or end[-1] - end[0] < MIN_DAYS * DAY_MS:
            errors.append(
                f"line {next(iter(readings.values()))[1]}: {meter} has less than {MIN_DAYS} days; "
                "give more, the first half only teaches its habit"
            )
            continue
        steps, times = np.unique(np.diff(end), return_counts=True)
        interval = int(steps[times.argmax()])
        if interval % MINUTE_MS or DAY_MS % interval:
            errors.append(
                f"line {next(iter(readings.values()))[1]}: {meter} reports every {interval / MINUTE_MS:g} min; "
                "resample it to whole minutes that divide a day"
            )
            continue
        found.append(
            Series(meter, interval, end, np.array([readings[t][0] for t in end.tolist()]), offset_ms)
        )
    return found, errors
