"""The command line: `carbonstream COMMAND`. Each command is a few lines; the work is elsewhere."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Annotated, Any

import psycopg
import typer
from confluent_kafka import KafkaException
from psycopg.errors import UndefinedColumn, UndefinedFunction, UndefinedObject, UndefinedTable
from pydantic import ValidationError

from carbonstream.ops import (
    coefficient_commands,
    consistency_command,
    declare_command,
    figure_commands,
    held,
    index_commands,
    multiplier_commands,
    notices_command,
    reading_commands,
    reference_commands,
    rejects,
    rule_commands,
    source_commands,
    vee_command,
    warnings_command,
)
from carbonstream.ops.here import speak_to_what_is_here
from carbonstream.ops.local.commands import app as local
from carbonstream.ops.services import NAMES, run_service
from carbonstream.schemas.errors import CarbonstreamError
from carbonstream.schemas.settings import settings

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(local, name="local", help="Kafka and TimescaleDB on this machine, without Docker.")
app.add_typer(held.app, name="held", help="Readings that wait until their meter is registered.")
app.add_typer(reading_commands.app, name="readings", help="Stored readings that are wrong, or called so.")
app.add_typer(rejects.app, name="rejects", help="Readings that were not taken, and why.")
app.add_typer(
    notices_command.app, name="notices", help="Who is told of warnings, and what could not be told."
)
app.add_typer(coefficient_commands.app, name="coefficients", help="Publish coefficients, as two persons.")
app.add_typer(multiplier_commands.app, name="multipliers", help="Correct a wrong multiplier, as two persons.")
app.add_typer(index_commands.app, name="indexes", help="Strike a wrong index of a register, as two persons.")
app.add_typer(figure_commands.periods, name="periods", help="Months as they were reported.")
app.add_typer(rule_commands.app, name="rules", help="Try rules before they are relied on.")
app.add_typer(warnings_command.app, name="warnings", help="The operators' side of warnings.")
app.command()(figure_commands.totals)
app.command()(figure_commands.explain)
app.command()(reference_commands.migrate)
app.command()(reference_commands.load)
app.command()(source_commands.replay)
app.command()(source_commands.simulate)
app.command()(vee_command.vee_score)
app.command()(consistency_command.consistency)
app.command()(declare_command.declare)
# what a database says that lacks tables, columns, functions or roles of this version
NOT_MIGRATED = (UndefinedTable, UndefinedColumn, UndefinedFunction, UndefinedObject)
WITH_SERVERS_OF_THEIR_OWN = {"local", "demo", "bench"}
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def say(result: Any, as_json: bool, text: str) -> None:
    """Print a result for a program or for a person."""
    print(json.dumps(result, ensure_ascii=False) if as_json else text)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="one of: " + ", ".join(NAMES))],
) -> None:
    """Run one service in the foreground."""
    if name not in NAMES:
        raise typer.BadParameter(f"{name!r} is not a service; choose one of {', '.join(NAMES)}")
    run_service(name, settings())


@app.command()
def up(
    only: Annotated[str, typer.Option(help="comma-separated services, default all")] = "",
) -> None:
    """Run all services under one supervisor until SIGINT or SIGTERM."""
    from carbonstream.connectors.telemetry import configure
    from carbonstream.ops.supervisor import Supervisor
    from carbonstream.ops.tokens import api_token

    chosen = only.split(",") if only else list(NAMES)
    if strange := sorted(set(chosen) - set(NAMES)):
        raise typer.BadParameter(f"{', '.join(strange)}: choose from {', '.join(NAMES)}", param_hint="--only")
    configure(settings(), "supervisor")
    token = api_token(settings())
    supervisor = Supervisor(
        [name for name in NAMES if name in chosen], os.environ | {"CARBONSTREAM_API_TOKEN": token}
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    supervisor.start()
    supervisor.run()


@app.command()
def topics(as_json: AsJson = False) -> None:
    """Create the topics of the catalogue and write the layout into the database; safe to repeat."""
    from carbonstream.ops.topics import create_topics, record_layout

    created = create_topics(settings())
    layout = record_layout(settings())
    say(
        {"created": created, "topics": layout},
        as_json,
        f"{len(created)} topics created, {len(layout)} in the layout",
    )


@app.command()
def ledger(
    wait: Annotated[float, typer.Option(help="seconds to wait for readings in flight")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Account for every accepted reading; exit 1 when it does not balance."""
    from carbonstream.ops.balance import ledger as account
    from carbonstream.ops.report import ledger_table

    result = account(settings(), wait)
    say(result, as_json, "")
    if not as_json:
        ledger_table(result)
    raise typer.Exit(0 if result["balanced"] else 1)


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="stop after the replay; 0 only if all is right")
    ] = False,
) -> None:
    """Real servers, all services, one real plant's year, then a live simulated park."""
    from carbonstream.ops.demo import demo as run_demo
    from carbonstream.ops.local.runtime import runtime_folder

    raise typer.Exit(run_demo(runtime_folder(), once))


@app.command()
def bench(
    meters: Annotated[int, typer.Option(help="quarter-hour meters, half of them registers")] = 100_000,
    sites: Annotated[int, typer.Option(help="sites they belong to")] = 1_000,
    seconds: Annotated[int, typer.Option(help="seconds of sending at full speed")] = 40,
    mixed: Annotated[
        bool, typer.Option(help="every frame holds meters of many sites, not of one or two")
    ] = False,
    alerts: Annotated[
        bool,
        typer.Option(
            help="instead: a factor restated for a region of 10,000 open warnings, and 1,000 boards"
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure throughput, latency and loss on servers of its own; ends by itself within 6 minutes."""
    from rich.console import Console

    if alerts:
        from carbonstream.ops.bench import alerts as of_alerts

        found = of_alerts.bench_alerts(of_alerts.Plan(), Console(stderr=True).log)
        say(found, as_json, json.dumps(found, indent=2))
        return
    from carbonstream.ops.bench.run import Plan
    from carbonstream.ops.bench.run import bench as run_bench

    console = Console(stderr=True)
    result = run_bench(Plan(sites=sites, meters=meters, mixed=mixed, throughput_s=seconds), console.log)
    say(result, as_json, json.dumps(result, indent=2))


@app.command()
def link(
    operator: Annotated[
        str, typer.Option(help="name of the person who may answer warnings with it; without, it only reads")
    ] = "",
) -> None:
    """A link that signs a browser in to the board, once, within 10 minutes."""
    import time

    from carbonstream.api.auth import one_time_link
    from carbonstream.ops.tokens import api_token

    chosen = settings()
    chosen = chosen.model_copy(update={"api_token": api_token(chosen)})
    print(one_time_link(chosen, time.time(), operator.strip()))


@app.command()
def repair(
    new_epoch: Annotated[bool, typer.Option("--new-epoch", help="accept topics that were recreated")] = False,
    as_json: AsJson = False,
) -> None:
    """Mend a broken chain of carbon.emissions, or open a new epoch after topics were recreated."""
    from carbonstream.ops.repair import repair as mend

    result = mend(settings(), new_epoch=new_epoch)
    say(result, as_json, json.dumps(result, indent=2))
    raise typer.Exit(1 if "remedy" in result else 0)


def main() -> None:
    """Entry point: errors of ours are one clear line and exit code 2."""
    try:
        if sys.argv[1:] and "--help" not in sys.argv and sys.argv[1] not in WITH_SERVERS_OF_THEIR_OWN:
            speak_to_what_is_here()
        app()
    except (CarbonstreamError, ValidationError) as error:
        print(f"carbonstream: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KafkaException as error:
        print(f"carbonstream: Kafka refused or does not answer ({error.args[0].str()}); `carbonstream local up` starts "
              "the one of this folder", file=sys.stderr)  # fmt: skip
        raise SystemExit(2) from None
    except NOT_MIGRATED as error:
        print(f"carbonstream: the database is not of this version ({error.diag.message_primary}): run "
              "`carbonstream migrate`", file=sys.stderr)  # fmt: skip
        raise SystemExit(2) from None
    except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
        print(f"carbonstream: the database does not answer ({error}): start it with `carbonstream local up`, prepare a "
              "new one with `carbonstream migrate`", file=sys.stderr)  # fmt: skip
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
