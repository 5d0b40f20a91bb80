"""Clean series of interval meters from CSV files: meter,time,value; time ends the interval, value is kWh.

What other people's files bring is taken as far as its meaning is certain; what cannot be scored is left out and told.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from carbonstream.connectors.sources.instants import check_span, from_iso
from carbonstream.connectors.sources.replay.formats import uncompressed
from carbonstream.ops.vee_score.series import Series, commonest_step, series_of
from carbonstream.schemas.errors import InvalidReading, LoadRefused
from carbonstream.schemas.periods import MINUTE_MS

COLUMNS: Final = ("meter", "time", "value")
OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)?$", re.ASCII)
NO_VALUE: Final = frozenset({"", "nan", "null", "none", "na", "n/a"})  # an interval that is missing
Wrong = tuple[str, str]  # a kind, under which it is counted, and what is told
EXAMPLES: Final = 20  # lines left out that are told one by one; all are counted


@dataclass(frozen=True, slots=True)
class Skipped:
    """A meter that cannot be scored, or a file that cannot be read (meter is then empty)."""

    meter: str
    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.meter + ': ' if self.meter else ''}{self.reason}"


@dataclass(slots=True)
class Loaded:
    """Every series that can be scored, and what was left out."""

    series: list[Series] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    lines: Counter[str] = field(default_factory=Counter)  # left out, by what is wrong with them
    examples: list[str] = field(default_factory=list)  # the first of them

    def leave_out(self, where: str, wrong: Wrong) -> None:
        """Count a line that is not taken."""
        kind, why = wrong
        self.lines[kind] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{where}: {why}")

    def notes(self) -> list[str]:
        """What was left out, a line each."""
        more = self.lines.total() - len(self.examples)
        told = self.examples + ([f"... and {more:,} more lines left out"] if more else [])
        return told + [f"skipped: {one}" for one in self.skipped]

    def document(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "skipped": [{"meter": s.meter, "file": s.file, "reason": s.reason} for s in self.skipped],
            "lines_left_out": dict(sorted(self.lines.items())),
        }


@dataclass(slots=True)
class _Part:
    """What one file says of one meter."""

    file: str
    value: dict[int, float] = field(
        default_factory=dict
    )  # kWh by end, on the wall clock as if it were UTC, ms
    offsets: Counter[int] = field(default_factory=Counter)

    def continues(self, other: _Part) -> bool:
        """Whether it is a further part of the same meter, not another meter of that name."""
        shared = self.value.keys() & other.value.keys()
        differ = sum(self.value[at] != other.value[at] for at in shared)
        return 2 * differ <= len(shared) and commonest_step(self.value) == commonest_step(other.value)


def load(paths: Iterable[Path]) -> Loaded:
    """Every meter of every file; a file may be gzipped. A meter's parts in several files are one series.

    Raises LoadRefused, one line an error, where nothing can be scored.
    """
    loaded = Loaded()
    meters: dict[str, _Part] = {}
    for path in paths:
        try:
            parts = _read(path, loaded)
        except LoadRefused as error:
            loaded.skipped += [Skipped("", str(path), reason) for reason in error.errors]
            continue
        for meter, part in parts.items():
            known = meters.setdefault(meter, part)
            if known is not part and not part.continues(known):
                meters[f"{meter} of {path}"] = part
            elif known is not part:
                _join(meter, known, part, loaded)
    for meter, part in meters.items():
        # On the wall clock a day has 24 h where summer time begins and ends, as the meter's users live.
        offset = part.offsets.most_common(1)[0][0]
        made = series_of(meter, {at - offset: value for at, value in part.value.items()}, offset)
        if isinstance(made, Series):
            loaded.series.append(made)
        else:
            loaded.skipped.append(Skipped(meter, part.file, made))
    if not loaded.series:
        raise LoadRefused(loaded.notes() or ["no files; name at least one"])
    return loaded


def _join(meter: str, known: _Part, part: _Part, loaded: Loaded) -> None:
    known.offsets += part.offsets
    for at, value in part.value.items():
        if known.value.setdefault(at, value) != value:
            loaded.leave_out(
                part.file, ("conflict", f"a reading of {meter} differs from that in {known.file}")
            )


def _read(path: Path, loaded: Loaded) -> dict[str, _Part]:
    try:
        text = uncompressed(path.read_bytes()).decode("utf-8-sig")
    except OSError as error:
        raise LoadRefused([f"{error.strerror}; name a file that can be read"]) from error
    except UnicodeDecodeError as error:
        raise LoadRefused([f"byte {error.start}: not UTF-8; save the file as CSV UTF-8"]) from error
    rows = csv.reader(io.StringIO(text, newline=""))
    parts: dict[str, _Part] = {}
    try:
        header = [name.strip().lower() for name in next(filter(any, rows), [])]
        if any(header.count(name) != 1 for name in COLUMNS):
            columns = ",".join(header) or "missing"
            raise LoadRefused([f"line 1: columns {columns}; it needs meter, time and value, each once"])
        order = [header.index(name) for name in COLUMNS]
        instants: dict[str, tuple[int, int]] = {}
        for row in rows:
            if any(map(str.strip, row)):
                wrong = _take(row, order, str(path), parts, instants)
                if wrong is not None:
                    loaded.leave_out(f"{path}: line {rows.line_num}", wrong)
    except csv.Error as error:
        loaded.skipped.append(
            Skipped("", str(path), f"line {rows.line_num} and all behind it: not CSV: {error}; mend it")
        )
    if not parts:
        raise LoadRefused(["no readings; it needs at least a line behind its header"])
    return parts


def _take(
    row: list[str],
    order: list[int],
    file: str,
    parts: dict[str, _Part],
    instants: dict[str, tuple[int, int]],
) -> Wrong | None:
    """One line into its meter's readings, or what is wrong with it.

    instants: texts of times that were read before, as (wall clock, offset), ms.
    """
    if len(row) <= max(order):
        return "fields", f"{len(row)} fields; it needs meter, time and value"
    meter, time, text = (row[i].strip() for i in order)
    if not meter:
        return "no_meter", "meter: empty; name the meter"
    if time not in instants:
        try:
            end = from_iso("time", time)
            check_span("time", end)
        except InvalidReading as error:
            return "no_time", str(error)
        offset = _offset(time)
        instants[time] = end + offset, offset
    at, offset = instants[time]
    part = parts.setdefault(meter, _Part(file))
    part.offsets[offset] += 1
    if text.lower() in NO_VALUE:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        return "no_number", f"value: {text!r} is not a finite number"
    if value < 0:
        return "negative", f"value: {text} is below zero, which no clean reading of consumption is"
    first = part.value.setdefault(at, value)
    if first != value:
        return "conflict", f"time: {time} of {meter} has {text} here and {first:g} before; the first stays"
    return None


def _offset(text: str) -> int:
    """ms of '...+08:00' or Z."""
    found = OFFSET.search(text)
    if found is None:
        return 0
    sign, hours, minutes = found.groups()
    return (1 if sign == "+" else -1) * (int(hours) * 60 + int(minutes or 0)) * MINUTE_MS
