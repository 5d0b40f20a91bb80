"""`carbonstream replay`: a file of readings into Kafka, once."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from carbonstream.connectors.sources.replay import Format, Options
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.settings import settings

AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, .gz too: meter,time,value (time ENDS "
                                         "the interval) or meter,start,end,value; ISO 8601 with offset")],
    source: Annotated[str, typer.Option(help="name of the source; default replay/FILE")] = "",
    format_: Annotated[Format, typer.Option("--format", help="csv or uci-steel")] = Format.CSV,
    meter: Annotated[str, typer.Option(help="meter id, for formats without one")] = "",
    speed: Annotated[float, typer.Option(help="multiple of event time; 0: as fast as it goes")] = 0.0,
    shift_days: Annotated[int, typer.Option(help="move all times by whole days")] = 0,
    mode: Annotated[Mode, typer.Option(help="live or backfill")] = Mode.BACKFILL,
    tick_s: Annotated[int, typer.Option(help="virtual time: a tick every so many seconds of event time; 0: none")] = 0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send a file of readings; a file known by its hash is not sent twice, a killed replay goes on where it stood."""
    from rich.console import Console
    from rich.progress import Progress

    from carbonstream.connectors.sources.replay import replay as send

    options = Options(
        source=source or f"replay/{file.name}",
        format=format_,
        meter=meter or None,
        shift_days=shift_days,
        mode=mode,
        speed=speed,
        tick_s=tick_s or None,
    )
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        bar = progress.add_task("readings acknowledged by Kafka")
        report = send(
            settings(), file, options, progress=lambda n, of: progress.update(bar, completed=n, total=of)
        )
    if as_json:
        print(json.dumps(asdict(report)))
    elif report.already_sent:
        print(f"{file} was sent before by source {report.source}; to send it again name another --source")
    else:
        print(f"{report.readings:,} readings in {report.frames_sent:,} frames, {report.seconds:.1f} s")
