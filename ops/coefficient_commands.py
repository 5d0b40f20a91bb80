"""`carbonstream coefficients`: publish, list, pending, approve, reject."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from carbonstream.schemas.settings import settings

if TYPE_CHECKING:
    from carbonstream.api.publishing import Examined
    from carbonstream.processors.publication import Fault, Submitted

SHOWN: Final = 20
app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
By = Annotated[str, typer.Option("--by", help="who you are, as it is recorded")]
Number = Annotated[int, typer.Argument(min=1, metavar="ID", help="number of the publication")]


@app.command()
def publish(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="CSV, see docs/data.md")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="judge and show only")] = False,
    by: Annotated[str, typer.Option("--by", help="who submits; your login name where absent")] = "",
    as_json: AsJson = False,
) -> None:
    """Judge a file and show what it would restate; without --dry-run it then waits for a second person."""
    from carbonstream.api.publishing import examine, shown, submit
    from carbonstream.ops.api_reads import services

    rows, faults = _read(file)

    async def work() -> tuple[Examined, int | None]:
        async with services(settings()) as here:
            examined = await examine(here.database, rows, here.now_ms())
            if dry_run or faults or examined.faults:
                return examined, None
            who = by.strip() or getpass.getuser()
            return examined, await submit(here.commands, file.name, who, examined.entries)

    examined, id_ = asyncio.run(work())
    found = [*faults, *(_told(file.name, f) for f in examined.faults if rows or not faults)]
    if found or examined.preview is None:
        _refuse(found, as_json)
        return
    result = {
        "id": id_,
        "status": "dry run" if id_ is None else "pending",
        "coefficients": len(examined.entries),
        "restates": shown(examined.preview),
    }
    if as_json:
        print(json.dumps(result, ensure_ascii=False))
        return
    _show(result)


@app.command()
def approve(id_: Number, by: By, reason: str = "", as_json: AsJson = False) -> None:
    """Put a publication in force, as another person than the one who submitted it."""
    from carbonstream.ops.approval import approve as put_in_force

    restated = put_in_force(settings(), id_, by, reason)
    months = restated["months"]
    span = f"{months[0]} to {months[-1]}" if months else "no month with totals"
    _say(
        restated,
        as_json,
        f"publication {id_} is in force: {len(restated['coefficients'])} coefficients, {restated['entities']} "
        f"entities restated, {span}",
    )


@app.command()
def reject(
    id_: Number, by: By, reason: Annotated[str, typer.Option(help="why; kept")] = "", as_json: AsJson = False
) -> None:
    """Turn a publication down; it stays on record."""
    from carbonstream.api.publishing import decide
    from carbonstream.ops.api_reads import services

    async def work() -> None:
        async with services(settings()) as here:
            await decide(here.commands, id_, by, "rejected", reason)

    asyncio.run(work())
    _say({"id": id_, "status": "rejected", "decided_by": by}, as_json, f"publication {id_} is rejected")


@app.command()
def pending(as_json: AsJson = False) -> None:
    """Publications that wait for a second person, with their coefficients."""
    found = _publications("pending")
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for publication in found:
        print(f"{publication['id']}: {publication['file']}, by {publication['submitted_by']}")
        for e in publication["entries"]:
            print(
                f"  {e['carrier']} {e['kind']} {e['scope']} {e['month']}: {e['value']} {e['unit']}, {e['document']}"
            )
    if not found:
        print("nothing is pending")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All publications, newest first: who submitted, who decided, when."""
    found = _publications(None)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for p in found:
        decided = (
            f", {p['status']} by {p['decided_by']} at {p['decided_at']}" if p["decided_by"] else ", pending"
        )
        print(f"{p['id']}: {p['file']}, {len(p['entries'])} coefficients, by {p['submitted_by']}{decided}")


def _publications(status: str | None) -> list[dict[str, Any]]:
    from carbonstream.api.publications import document
    from carbonstream.api.publishing import publications
    from carbonstream.ops.api_reads import services

    async def work() -> list[dict[str, Any]]:
        async with services(settings()) as here:
            return [document(p).model_dump() for p in await publications(here.database, status=status)]

    return asyncio.run(work())


def _read(file: Path) -> tuple[list[Submitted], list[str]]:
    """The rows of a file, and what is wrong with the file itself."""
    from carbonstream.ops.load.rows import Refusals, read_rows
    from carbonstream.processors.publication import COLUMNS, LEFT_ASIDE, MONTHS, OPTIONAL, Submitted

    refusals = Refusals()
    rows = [
        Submitted(row.line, row.values)
        for row in read_rows(file, COLUMNS, refusals, either=MONTHS, optional=(*OPTIONAL, *LEFT_ASIDE))
    ]
    return rows, refusals.errors


def _told(name: str, fault: Fault) -> str:
    return f"{name}:{fault.line}: {fault.field}: {fault.value!r}: {fault.remedy}"


def _refuse(errors: Sequence[str], as_json: bool) -> None:
    """Every error on a line of its own; exit code 2."""
    if as_json:
        print(json.dumps({"errors": list(errors)}, ensure_ascii=False))
    else:
        for error in errors:
            print(error, file=sys.stderr)
        print(f"carbonstream: {len(errors)} errors, nothing was published", file=sys.stderr)
    raise typer.Exit(2)


def _show(result: dict[str, Any]) -> None:
    restates = result["restates"]
    entities = restates["entities"]
    print(
        f"{result['coefficients']} coefficients restate {len(entities)} totals in {len(restates['months'])} months"
    )
    for name in restates["own_classes"]:
        print(f"{name} gets its first coefficient of its own")
    for e in entities[:SHOWN]:
        unit = "kg CO2" if e["indicator"] == "co2" else "kgce"
        print(f"  {e['entity']:<40} {e['old'] or 'unknown':>24} -> {e['new'] or 'unknown':>24} {unit}")
    if len(entities) > SHOWN:
        print(f"  and {len(entities) - SHOWN} more; --json prints all")
    if result["id"] is not None:
        id_ = result["id"]
        print(f"pending as {id_}: a second person runs `carbonstream coefficients approve {id_} --by NAME`")


def _say(result: Any, as_json: bool, text: str) -> None:
    print(json.dumps(result, ensure_ascii=False) if as_json else text)
