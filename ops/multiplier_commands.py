"""`carbonstream multipliers`: a multiplier that was wrong in the past, corrected by two persons."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from carbonstream.ops.commanding import with_connection
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.settings import settings

if TYPE_CHECKING:
    from carbonstream.ops.multipliers.registers import Connection

T = TypeVar("T")
SHOWN: Final = 20
app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
By = Annotated[str, typer.Option("--by", help="who you are, as it is recorded")]
Number = Annotated[int, typer.Argument(min=1, metavar="ID", help="number of the correction")]
Wait = Annotated[float, typer.Option(help="seconds to wait until it is in force and stored")]


@app.command()
def correct(
    meter: Annotated[str, typer.Argument(help="SITE/METER, a register")],
    multiplier: Annotated[str, typer.Argument(help="what was right: CT x PT")],
    document: Annotated[str, typer.Option(help="what says so")],
    from_: Annotated[
        str, typer.Option("--from", help="of intervals that end after it; absent: from the beginning")
    ] = "",
    to: Annotated[str, typer.Option(help="up to it; absent: from now on too")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="judge and show only")] = False,
    by: Annotated[str, typer.Option("--by", help="who submits; your login name where absent")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what a right multiplier restates; without --dry-run it then waits for a second person."""
    from carbonstream.ops.load import fields
    from carbonstream.ops.load.changes import multiplier as parse
    from carbonstream.ops.multipliers import corrections
    from carbonstream.processors.recomputing import ALWAYS
    from carbonstream.schemas.periods import to_ms

    def work(connection: Connection) -> dict[str, Any]:
        since, until = (
            to_ms(_parsed(n, fields.instant, t)) if t else None for n, t in (("from", from_), ("to", to))
        )
        right = _parsed("multiplier", parse, multiplier)
        told = _parsed("document", fields.name, document.strip())
        asked = corrections.Asked(meter, ALWAYS if since is None else since, until, right, told)
        if dry_run:
            return {"id": None, "status": "dry run", "restates": corrections.dry_run(connection, asked)}
        who = by.strip() or getpass.getuser()
        id_, restates = corrections.submit(connection, asked, who, datetime.now(UTC))
        return {"id": id_, "status": "pending", "restates": restates}

    result = with_connection("multipliers", work, as_json)
    print(json.dumps(result, ensure_ascii=False) if as_json else _shown(result))


@app.command()
def approve(id_: Number, by: By, reason: str = "", wait: Wait = 120.0, as_json: AsJson = False) -> None:
    """Put a correction in force, as another person than the one who submitted it, and recompute its intervals."""
    from carbonstream.ops.multipliers import corrections

    with_connection(
        "multipliers",
        lambda c: corrections.decide(c, id_, by.strip(), "approved", reason, datetime.now(UTC)),
        as_json,
    )
    _resume(wait, as_json)


@app.command()
def resume(wait: Wait = 120.0, as_json: AsJson = False) -> None:
    """Go on with approved corrections that were cut off; safe to repeat."""
    _resume(wait, as_json)


@app.command()
def reject(
    id_: Number, by: By, reason: Annotated[str, typer.Option(help="why; kept")] = "", as_json: AsJson = False
) -> None:
    """Turn a correction down; it stays on record."""
    from carbonstream.ops.multipliers import corrections

    with_connection(
        "multipliers",
        lambda c: corrections.decide(c, id_, by.strip(), "rejected", reason, datetime.now(UTC)),
        as_json,
    )
    said = {"id": id_, "status": "rejected", "decided_by": by}
    print(json.dumps(said, ensure_ascii=False) if as_json else f"correction {id_} is rejected")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All corrections: who submitted, who decided, and whether their intervals are stored."""
    from carbonstream.ops.multipliers import corrections

    found = with_connection("multipliers", corrections.listed, as_json)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for c in found:
        span = f"{c['from'] or 'the beginning'} to {c['to'] or 'now on'}"
        print(
            f"{c['id']}: {c['meter']} x {c['multiplier']} from {span}, {c['state']} (by {c['submitted_by']}, "
            f"decided by {c['decided_by'] or 'nobody yet'}): {c['document']}"
        )


def _resume(wait: float, as_json: bool) -> None:
    from carbonstream.ops.multipliers.recompute import resume as go_on

    done = go_on(settings(), wait)
    if as_json:
        print(json.dumps({"corrections": done}, ensure_ascii=False))
        return
    for line in done:
        print(
            f"correction {line['id']}: {line['intervals']:,} intervals of {line['meter']} recomputed and stored"
        )
    if not done:
        print("nothing is left to recompute")


def _parsed(name: str, parse: Callable[[str], T], given: str) -> T:
    try:
        return parse(given)
    except ValueError as error:
        raise LoadRefused([f"{name}: {given!r}: {error}"]) from error


def _shown(result: dict[str, Any]) -> str:
    restates = result["restates"]
    lines = [
        f"{restates['intervals']:,} intervals are recomputed, in {', '.join(restates['months'])}",
        *restated_lines(restates),
    ]
    if (id_ := result["id"]) is not None:
        lines.append(
            f"pending as {id_}: a second person runs `carbonstream multipliers approve {id_} --by NAME`"
        )
    return "\n".join(lines)


def restated_lines(restates: dict[str, Any]) -> list[str]:
    """Entities with their old and new totals, and the reported months among them."""
    lines = []
    for e in restates["entities"][:SHOWN]:
        quantity = e["quantity"]
        lines.append(
            f"  {e['entity']:<40} {quantity['old']:>18} -> {quantity['new']:>18} {quantity['unit']}, "
            f"{e['co2_kg']['old'] or 'unknown'} -> {e['co2_kg']['new'] or 'unknown'} kg CO2"
        )
    if (more := len(restates["entities"]) - SHOWN) > 0:
        lines.append(f"  and {more} more; --json prints all")
    lines += [
        f"  {lock['month']} of {lock['entity']} stays as reported ({lock['document']}), the difference beside it"
        for lock in restates["locked"]
    ]
    return lines
