"""The score as tables for people (rich)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from carbonstream.ops.vee_score.score import Score


def score_tables(score: Score, console: Console | None = None) -> None:
    """Recall, precision and false alarms by fault, then what was taken for what."""
    console = console or Console()
    table = Table(title="Checks", title_justify="left")
    for name in ("fault", "injected", "recall", "told", "precision", "false alarms"):
        table.add_column(name, justify="left" if name == "fault" else "right")
    for fault, tally in score.faults.items():
        table.add_row(
            fault.replace("_", " "),
            f"{tally.injected:,}",
            _share(tally.found, tally.injected),
            f"{tally.raised:,}",
            _share(tally.right, tally.raised),
            f"{score.confused[fault, '']:,}",
        )
    console.print(table)
    document = score.document()
    rate = document["false_alarms_per_1000"]
    console.print(
        f"{score.alarms:,} of {score.clean:,} clean readings not accepted"
        + ("" if rate is None else f": {rate:.2f} per 1,000")
    )
    for (told, was), times in sorted(score.confused.items()):
        if told != was and was:
            console.print(f"  {told} was told {times:,} times where {was} was injected")
    for (fault, meter), times in Counter((fault, meter) for fault, meter, _ in score.missed).items():
        console.print(f"  {fault} was not found {times:,} times in {meter}")


def gaps_table(document: dict[str, Any], console: Console | None = None) -> None:
    """Errors of estimates by length of gap."""
    table = Table(title="Estimates of gaps", title_justify="left")
    for name in ("gap", "day error", "mae, kWh", "last value's", "yesterday's"):
        table.add_column(name, justify="left" if name == "gap" else "right")
    for length, figures in document["gaps"].items():
        error = figures["day_error"]
        table.add_row(
            length,
            "-" if error is None else f"{error:.2%}",
            *(
                "-" if (e := figures[name]) is None else f"{e:.3f}"
                for name in ("mae", "mae_last", "mae_yesterday")
            ),
        )
    (console or Console()).print(table)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"
