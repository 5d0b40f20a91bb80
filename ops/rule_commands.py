"""`carbonstream rules`: rules tried on the past, on cases of their users, and on stored history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from carbonstream.connectors.sources.replay import Format

app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


@app.command()
def backtest(
    files: Annotated[
        list[Path] | None, typer.Argument(help="clean CSV files, default the packaged steel plant's year")
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="csv or uci-steel")] = Format.CSV,
    as_json: AsJson = False,
) -> None:
    """Try rule pace on budgets of 90 % and of 110 % of what was used: days ahead, and false alarms."""
    from carbonstream.ops.rules.backtesting import backtest_files, backtest_table

    result = backtest_files(files or [], format_)
    if as_json:
        print(json.dumps(result))
    else:
        backtest_table(result)


@app.command("test")
def run_cases(
    file: Annotated[Path, typer.Argument(help="cases: TOML or JSON, see docs/warnings.md")],
    as_json: AsJson = False,
) -> None:
    """Run cases of rules (series in, warnings out); exit 1 when one gives anything else."""
    from carbonstream.ops.rules.cases import run_file

    results = run_file(file)
    failed = [result for result in results if not result.passed]
    if as_json:
        document = {"cases": len(results), "failed": len(failed), "results": [r.document() for r in results]}
        print(json.dumps(document, ensure_ascii=False))
    else:
        for result in results:
            print(result.text())
        print(f"{len(results)} cases, {len(failed)} failed")
    raise typer.Exit(1 if failed else 0)


@app.command()
def simulate(
    days: Annotated[
        int, typer.Option(min=1, max=1_461, help="how far back, from the newest closed day")
    ] = 90,
    targets: Annotated[
        Path | None, typer.Option(help="a targets.csv that is tried, default the targets that are loaded")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="a warning_rules.csv that is tried beside the rules that are loaded")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What the rules would have raised on stored history; writes nothing."""
    from carbonstream.ops.rules.simulating import simulate_text, simulated
    from carbonstream.schemas.settings import settings

    result: dict[str, Any] = simulated(settings(), days, targets, rules)
    print(json.dumps(result, ensure_ascii=False) if as_json else simulate_text(result))
