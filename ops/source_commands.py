"""`carbonstream replay` and `carbonstream simulate`: sources of readings without a meter."""

from __future__ import annotations

import json
import math
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from carbonstream.connectors.sources.replay import Format, Options
from carbonstream.schemas.codes import SENT_MODES, Mode
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
    tick_s: Annotated[int, typer.Option(min=0, help="virtual time: a tick every so many s of event time; 0: none")] = 0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send a file of readings; a file known by its hash is not sent twice, a killed replay goes on where it stood."""
    from rich.console import Console
    from rich.progress import Progress

    from carbonstream.connectors.sources.replay import replay as send

    if mode not in SENT_MODES:
        raise typer.BadParameter(f"--mode {mode.value}: a file is sent live or backfill")
    if not 0 <= speed < math.inf:
        raise typer.BadParameter(f"--speed {speed}: a multiple of event time, or 0 for as fast as it goes")
    if tick_s and not settings().virtual_time:
        raise typer.BadParameter(
            "--tick-s moves the clock of virtual time: set CARBONSTREAM_VIRTUAL_TIME=true first"
        )

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


def simulate(
    sites: Annotated[int, typer.Option(help="sites, spread over the eight industries")] = 16,
    interval_s: Annotated[int, typer.Option("--interval", help="seconds between a meter's readings")] = 60,
    seed: Annotated[int, typer.Option(help="same seed, same park")] = 1,
    fault: Annotated[
        list[str] | None, typer.Option(help="NAME=SHARE, e.g. missing=0.01; may be repeated")
    ] = None,
    source: Annotated[str, typer.Option(help="name of the source")] = "simulate/park",
    write: Annotated[
        Path | None, typer.Option(help="only write sites.csv and meters.csv for `load` here")
    ] = None,
) -> None:
    """Send the readings of a simulated park as time passes, until Ctrl-C. Register its meters first (--write)."""
    from carbonstream.connectors.sources.clock import wall_ms
    from carbonstream.connectors.sources.simulate import build_park, live_park, meters_csv, sites_csv
    from carbonstream.processors.load_faults import Fault
    from carbonstream.schemas.periods import DAY_MS, OFFSET_MS

    park = build_park(sites, interval_s, seed)
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
        today = (wall_ms() + OFFSET_MS) // DAY_MS * DAY_MS - OFFSET_MS
        (write / "sites.csv").write_text(sites_csv(park), encoding="utf-8")
        (write / "meters.csv").write_text(meters_csv(park, today), encoding="utf-8")
        print(f"wrote {write / 'sites.csv'} and {write / 'meters.csv'}; load them, then simulate")
        return
    faults: dict[Fault, float] = {}
    for entry in fault or []:
        name, _, share = entry.partition("=")
        try:
            faults[Fault(name)] = float(share)
        except ValueError:
            known = ", ".join(f.value for f in Fault)
            raise typer.BadParameter(f"--fault {entry!r}: NAME=SHARE with NAME one of {known}") from None
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    live_park(settings(), stopping, park, source=source, faults=faults, seed=seed)
