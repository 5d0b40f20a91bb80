"""The command that measures the checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def vee_score(
    files: Annotated[
        list[Path], typer.Argument(help="clean CSV files: meter,time,value (kWh; time ends it)")
    ],
    seed: Annotated[int, typer.Option(help="the same seed puts the same faults in the same places")] = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="times the second half is judged, each with faults of its own")
    ] = 10,
    gaps: Annotated[
        bool, typer.Option("--gaps", help="hide readings instead, and tell how near their estimates come")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for programs")] = False,
) -> None:
    """Put faults into clean series and tell how many of them the checks find, and how often they are wrong."""
    from carbonstream.ops.vee_score.gaps import score_gaps
    from carbonstream.ops.vee_score.loading import load
    from carbonstream.ops.vee_score.report import gaps_table, score_tables
    from carbonstream.ops.vee_score.score import score

    loaded = load(files)
    for note in loaded.notes():
        typer.echo(note, err=True)
    if gaps:
        estimated = score_gaps(loaded.series, seed)
        if as_json:
            print(json.dumps(estimated | loaded.document()))
        else:
            gaps_table(estimated)
        return
    result = score(loaded.series, seed, rounds)
    if as_json:
        print(json.dumps(result.document() | loaded.document()))
    else:
        score_tables(result)
