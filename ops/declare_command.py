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
    withdraw: Annotated[
        int | None, typer.Option(help="ask for this approved declaration to be withdrawn")
    ] = None,
    approve_withdrawal: Annotated[
        int | None, typer.Option(help="approve the withdrawal of this declaration, and send it")
    ] = None,
    reject_withdrawal: Annotated[
        int | None, typer.Option(help="turn the withdrawal of this declaration down")
    ] = None,
    reason: Annotated[str, typer.Option(help="why it is rejected or withdrawn; kept")] = "",
    list_: Annotated[bool, typer.Option("--list", help="show all declarations")] = False,
    as_json: AsJson = False,
) -> None:
    """Declare amounts of a period (FILE --by NAME), approve them as a second person (--approve ID --by NAME), or reject
    them (--reject ID --by NAME --reason WHY). What was approved is withdrawn by two persons too (--withdraw ID
    --by NAME --reason WHY, --approve-withdrawal ID --by NAME).
    """
    from carbonstream.connectors.database import connect
    from carbonstream.connectors.sources.declaring import send_approved
    from carbonstream.ops import declarations

    named = (file, approve, reject, withdraw, approve_withdrawal, reject_withdrawal)
    if sum(one is not None for one in named) + list_ != 1:
        raise typer.BadParameter(
            "give a FILE, or one of --approve, --reject, --withdraw, --approve-withdrawal, --reject-withdrawal with "
            "an ID, or --list"
        )
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
            elif withdraw is not None:
                declarations.withdraw(connection, withdraw, by.strip(), reason)
                lines = declarations.listed(connection, withdraw)
            elif approve_withdrawal is not None or reject_withdrawal is not None:
                is_approved = approve_withdrawal is not None
                id_ = (approve_withdrawal if is_approved else reject_withdrawal) or 0
                declarations.decide_withdrawal(connection, id_, by.strip(), reason, is_approved=is_approved)
                send_approved(connection, settings())
                lines = declarations.listed(connection, id_)
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
    told = f"approved by {line['approved_by'] or 'nobody yet'}"
    if line["withdrawal"] is None:
        return told
    decided = f" by {line['withdrawal_decided_by']}" if line["withdrawal_decided_by"] else ""
    return (
        f"{told}, withdrawal asked for by {line['withdrawal_by']}: {line['withdrawal_reason']}, "
        f"{line['withdrawal']}{decided}"
    )


def _refuse(refused: LoadRefused, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"errors": refused.errors}, ensure_ascii=False))
    else:
        print("\n".join(refused.errors), file=sys.stderr)
    raise typer.Exit(2)
