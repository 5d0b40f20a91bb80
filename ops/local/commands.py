"""`carbonstream local up|down|status|reset`: the local servers by hand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from carbonstream.ops.local import process, servers
from carbonstream.ops.local.errors import LocalError
from carbonstream.ops.local.servers import SERVERS, Report, Server

app = typer.Typer(
    help="Kafka and TimescaleDB on this machine, without a container engine.", no_args_is_help=True
)
# stdout is kept for --json.
console = Console(stderr=True, highlight=False)

ProfileName = Annotated[
    str, typer.Option("--profile", help="Servers and data of their own: demo, test, bench ...")
]


@app.command()
def up(profile: ProfileName = "demo") -> None:
    """Start both servers, fetching what is missing; nothing happens when they run already."""
    for server in SERVERS:
        if servers.existing(server):
            console.print(f"{server}: {servers.EXISTING[server]} names an existing one, nothing is started")
    process.end_at_once_on_interrupt()
    with _explained(), _progress() as report:
        servers.start(profile, report=report)
    for state in servers.status(profile):
        if not servers.existing(state.server):
            console.print(f"{state.server}: ready on {state.address}")


@app.command()
def down(profile: ProfileName = "demo") -> None:
    """Stop both servers; their data stays."""
    with _explained():
        servers.stop(profile)


@app.command()
def status(
    profile: ProfileName = "demo",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what runs where; exit code 1 unless both servers answer."""
    with _explained():
        states = servers.status(profile)
    if as_json:
        content = {
            state.server: {k: v for k, v in state._asdict().items() if k != "server"} for state in states
        }
        print(json.dumps({"profile": profile, **content}))
    else:
        table = Table("server", "running", "ready", "pid", "address")
        for state in states:
            table.add_row(
                state.server,
                "yes" if state.running else "no",
                "yes" if state.ready else "no",
                str(state.pid or ""),
                state.address or "",
            )
        Console(highlight=False).print(table)
    if not all(state.ready for state in states):
        raise typer.Exit(1)


@app.command()
def reset(profile: ProfileName = "demo") -> None:
    """Stop both servers and delete their data; the programs fetched for them stay."""
    with _explained():
        servers.reset(profile)


@contextmanager
def _explained() -> Iterator[None]:
    """A LocalError is told to the person in front, without a traceback."""
    try:
        yield
    except LocalError as error:
        console.print(f"[red]error[/red] {error}", soft_wrap=True)
        raise typer.Exit(1) from error


@contextmanager
def _progress() -> Iterator[Report]:
    """One line a server with its present step and its time so far; plain lines where there is no terminal."""
    if not console.is_terminal:
        yield lambda server, step: console.print(f"{server}: {step}")
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[server]:<8}"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {server: progress.add_task("looking", server=server, total=1) for server in SERVERS}

        def report(server: Server, step: str) -> None:
            progress.update(tasks[server], description=step, completed=1 if step == "ready" else 0)

        yield report
