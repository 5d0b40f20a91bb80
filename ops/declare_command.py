"""`carbonstream declare`: amounts that nobody meters, written down by one person and approved by another."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.settings import settings

AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]


def declare(
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, readable=True, help="declarations.csv")
    ] = None,
    by: Annotated[str, typer.Option(help="who declares, approves or rejects")] = "",
    approve: Annotated[int | None, typer.Option(help="approve this declaration, and send it")] = None,
    reject: Annotated[
        int | None, typer.Option(help="turn this declaration down, or withdraw your own")
    ] = None,
    reason: Annotated[str, typer.Option(help="why it is rejected; kept")] = "",
    list_: Annotated[bool, typer.Option("--list", help="show all declarations")] = False,
    as_json: AsJson = False,
) -> None:
    """Declare amounts of a period (FILE --by NAME), approve them as a second person (--approve ID --by NAME), or reject
    them (--reject ID --by NAME --reason WHY).
    """
    from carbonstream.connectors.database import connect
    from carbonstream.connectors.sources.declaring import send_approved
    from carbonstream.ops import declarations

    if (file is not None) + (approve is not None) + (reject is not None) + list_ != 1:
        raise typer.BadParameter("give a FILE, or --approve ID, or --reject ID, or --list")
    if not list_ and not by.strip():
        raise typer.BadParameter("name who does it", param_hint="--by")
    now = datetime.now(UTC)
    lines: list[dict[str, Any]] = []
    try:
        with connect(settings(), application="declare", autocommit=True) as connection:
            if file is not None:
                lines = declarations.declare(connection, file, by.strip(), now)
            elif approve is not None:
                declarations.approve(connection, approve, by.strip())
                send_approved(connection, settings())
                lines = declarations.listed(connection, approve)
            elif reject is not None:
                declarations.reject(connection, reject, by.strip(), reason)
                lines = declarations.listed(connection, reject)
            else:
                # what an approval could not send while Kafka was away goes now
                send_approved(connection, settings())
                lines = declarations.listed(connection)
    except LoadRefused as refused:
        _refuse(refused, as_json)
    print(json.dumps({"declarations": lines}, ensure_ascii=False) if as_json else as_text(lines))


def as_text(lines: list[dict[str, Any]]) -> str:
    """One line a declaration."""
    return "\n".join(
        f"{d['id']}: {d['meter']} {d['first_day']} to {d['last_day']}: {d['amount']} {d['unit']}, {d['state']} "
        f"(declared by {d['declared_by']}, {_decided(d)})"
        for d in lines
    )


def _decided(line: dict[str, Any]) -> str:
    if line["rejected_by"]:
        return f"rejected by {line['rejected_by']}: {line['reason']}"
    return f"approved by {line['approved_by'] or 'nobody yet'}"


def _refuse(refused: LoadRefused, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"errors": refused.errors}, ensure_ascii=False))
    else:
        print("\n".join(refused.errors), file=sys.stderr)
    raise typer.Exit(2)
