"""`carbonstream migrate` and `carbonstream load`: the tables, and what stands in them before the first
reading."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.settings import settings

AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
File = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, readable=True)]


def migrate(as_json: AsJson = False) -> None:
    """Bring the database to this version's tables; safe to repeat, and from two processes at once."""
    from carbonstream.connectors.migrations import migrate as apply_migrations

    applied = apply_migrations(settings())
    if as_json:
        print(json.dumps({"applied": applied}))
    else:
        print(f"applied: {', '.join(applied)}" if applied else "nothing to apply")


def load(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="files named after their tables: sites.csv meters.csv coefficients.csv ..."),
    ] = None,
    sites: File = None,
    meters: File = None,
    multipliers: File = None,
    exchanges: File = None,
    tree: File = None,
    coefficients: File = None,
    targets: File = None,
    phases: File = None,
    activity: File = None,
    rules: File = None,
    warning_rules: File = None,
    check_parameters: File = None,
    packaged: Annotated[
        bool, typer.Option("--packaged", help="regions, industries and official coefficients")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="return when the changes are in force")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", help="seconds to wait at most")] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Load reference data: all of the files or nothing, every error with its line."""
    from carbonstream.connectors.database import connect
    from carbonstream.ops.load import load_files, load_packaged
    from carbonstream.ops.load.in_force import wait_until_in_force

    named = {
        "sites": sites,
        "meters": meters,
        "multipliers": multipliers,
        "exchanges": exchanges,
        "tree": tree,
        "coefficients": coefficients,
        "targets": targets,
        "phases": phases,
        "activity": activity,
        "rules": rules,
        "warning_rules": warning_rules,
        "check_parameters": check_parameters,
    }
    paths = _by_table(files or [], {table: path for table, path in named.items() if path is not None})
    if not paths and not packaged and not wait:
        raise typer.BadParameter("name a file, or --packaged")
    loaded: dict[str, Any] = {}
    now = datetime.now(UTC)
    try:
        with connect(settings(), application="load") as connection, connection.transaction():
            if packaged:
                loaded["packaged"] = {k: asdict(v) for k, v in load_packaged(connection, now).items()}
            if paths:
                loaded |= {k: asdict(v) for k, v in load_files(connection, paths, now).items()}
    except LoadRefused as refused:
        _refuse(refused, as_json)
    if wait:
        loaded["in_force"] = wait_until_in_force(settings(), timeout_s)
        if released := _released(timeout_s):
            loaded["released"] = released
    print(json.dumps(loaded, ensure_ascii=False) if as_json else _table(loaded))


def _released(timeout_s: float) -> dict[str, int]:
    """Held readings of meters registered now, taken in: by what became of them."""
    from carbonstream.ops.held import release

    outcomes: dict[str, int] = release(settings(), wait_s=timeout_s)["outcomes"]
    return outcomes


def _by_table(files: list[Path], named: dict[str, Path]) -> dict[str, Path]:
    """Files by table: those named by an option, and those whose name begins with a table's."""
    from carbonstream.ops.load import FILES

    paths = dict(named)
    for path in files:
        table = next((table for table in FILES if path.name.startswith(table)), None)
        if table is None:
            raise typer.BadParameter(
                f"{path.name} begins with none of {', '.join(FILES)}: use --sites FILE ..."
            )
        if table in paths:
            raise typer.BadParameter(f"{table} is named twice: {paths[table]} and {path}")
        paths[table] = path
    return paths


def _refuse(refused: LoadRefused, as_json: bool) -> None:
    """Every error on a line of its own; exit code 2."""
    if as_json:
        print(json.dumps({"errors": refused.errors}, ensure_ascii=False))
    else:
        for error in refused.errors:
            print(error, file=sys.stderr)
        print(f"carbonstream: {len(refused.errors)} errors, nothing was loaded", file=sys.stderr)
    raise typer.Exit(2)


def _table(loaded: dict[str, Any]) -> str:
    lines = []
    for table, counts in [*loaded.pop("packaged", {}).items(), *loaded.items()]:
        if table == "in_force":
            lines.append("in force")
        elif table == "released":
            lines.append("held readings released: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
        else:
            lines.append(
                f"{table}: {counts['rows']} rows, {counts['added']} new, {counts['changed']} changed"
            )
    return "\n".join(lines)
