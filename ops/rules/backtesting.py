"""`carbonstream rules backtest`: clean series from files, day by day, tried by processors.backtest."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.connectors.sources.framing import Columns
from carbonstream.connectors.sources.replay import Format
from carbonstream.connectors.sources.replay.formats import parse, uncompressed
from carbonstream.processors.apportion import apportion
from carbonstream.processors.backtest import DailySeries, summary, trials
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS, local_iso

STEEL: Final = Path(str(files("carbonstream.schemas") / "reference" / "steel" / "Steel_industry_data.csv.gz"))
STEEL_METER: Final = "uci-851/E01"  # the data set names none
GRAINS: Final = {"month": Grain.MONTH, "year": Grain.YEAR}


def backtest_files(paths: Sequence[Path], format_: Format) -> dict[str, Any]:
    """{"pace": {"month": ..., "year": ...}} over all meters of all files; no file: the packaged steel year.

    Raises LoadRefused naming file, line, what is wrong and what to do.
    """
    if not paths:
        paths, format_ = [STEEL], Format.UCI_STEEL
    series = [found for path in paths for found in read_daily(path, format_)]
    calendar = packaged_calendar()
    return {
        "pace": {
            name: summary(trial for one in series for trial in trials(one, grain, calendar))
            for name, grain in GRAINS.items()
        }
    }


def read_daily(path: Path, format_: Format) -> list[DailySeries]:
    """Daily sums of every meter of a file, exact in thousandths of its unit. Raises LoadRefused."""
    try:
        content = uncompressed(path.read_bytes())
    except OSError as error:
        raise LoadRefused([f"{path}: {error.strerror}; name a file that can be read"]) from error
    try:
        columns = parse(content, format_, STEEL_METER if format_ is Format.UCI_STEEL else None)
        return [_daily(columns, meter) for meter in range(len(columns.ids))]
    except LoadRefused as error:
        raise LoadRefused([f"{path}: {line}" for line in error.errors]) from error


def _daily(columns: Columns, meter: int) -> DailySeries:
    name, at = columns.ids[meter], np.flatnonzero(columns.meter == meter)
    at = at[np.argsort(columns.end[at], kind="stable")]
    end = columns.end[at]
    if isinstance(columns.unit, np.ndarray) and len({unit for unit in columns.unit[at].tolist() if unit}) > 1:
        raise LoadRefused([f"{name}: unit changes within the file; write all of its values in one"])
    steps, times = np.unique(np.diff(end), return_counts=True)
    if not len(steps) or steps[0] == 0:
        raise LoadRefused([f"{name}: time is given twice, or there is one reading only; keep each once"])
    interval = int(steps[times.argmax()])
    if columns.start is None and steps[-1] > interval:
        first = int(end[int(np.argmax(np.diff(end) > interval))])
        raise LoadRefused([f"{name}: time leaves a gap after {local_iso(first)}; give a series without gaps"])
    if interval > DAY_MS:
        raise LoadRefused([f"{name}: time has steps of more than a day; give at least one reading a day"])
    start = end - interval if columns.start is None else columns.start[at]
    parts = apportion(start, end, np.rint(columns.value[at] * 1_000).astype(np.int64))
    day = (parts.start + OFFSET_MS) // DAY_MS
    # a first or last day that is covered in part is left out: only whole days count
    first, last = -(-(int(start[0]) + OFFSET_MS) // DAY_MS), (int(end[-1]) + OFFSET_MS) // DAY_MS
    if first >= last:
        raise LoadRefused([f"{name}: time covers no whole local day; give at least a month"])
    inside = (day >= first) & (day < last)
    sums = np.zeros(last - first, np.int64)
    np.add.at(sums, day[inside] - first, parts.quantity[inside])
    return DailySeries(name, first * DAY_MS - OFFSET_MS, [Decimal(amount) for amount in sums.tolist()])


def backtest_table(result: dict[str, Any]) -> None:
    """The figures for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Rule pace: budgets of 90 % (exceeded) and of 110 % (kept)")
    names = ("exceeded", "warned", "days_ahead_median", "days_ahead_min", "kept", "false_alarms")
    for name in ("period", *(name.replace("_", " ") for name in names)):
        table.add_column(name, justify="right")
    for period, found in result["pace"].items():
        table.add_row(period, *("-" if found[name] is None else str(found[name]) for name in names))
    Console().print(table)
