"""`carbonstream indexes`: an index that a register never showed, struck by two persons."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from carbonstream.ops.commanding import with_connection
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.settings import settings

if TYPE_CHECKING:
    from carbonstream.ops.multipliers.registers import Connection

T = TypeVar("T")
app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
By = Annotated[str, typer.Option("--by", help="who you are, as it is recorded")]
Number = Annotated[int, typer.Argument(min=1, metavar="ID", help="number of the strike")]
Wait = Annotated[float, typer.Option(help="seconds to wait until it is stored")]


@app.command()
def strike(
    meter: Annotated[str, typer.Argument(help="SITE/METER, a register")],
    at: Annotated[str, typer.Argument(metavar="TIME", help="of the index, e.g. 2026-03-01T08:15:00+08:00")],
    reason: Annotated[str, typer.Option(help="why it is wrong; kept")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="judge and show only")] = False,
    by: Annotated[str, typer.Option("--by", help="who submits; your login name where absent")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what striking an index restates; without --dry-run it then waits for a second person."""
    from carbonstream.ops import strikes
    from carbonstream.ops.load import fields
    from carbonstream.schemas.periods import to_ms

    def work(connection: Connection) -> dict[str, Any]:
        try:
            instant = to_ms(fields.instant(at))
        except ValueError as error:
            raise LoadRefused([f"time: {at!r}: {error}"]) from error
        if dry_run:
            return {"id": None, "status": "dry run", "restates": strikes.dry_run(connection, meter, instant)}
        who = by.strip() or getpass.getuser()
        id_, restates = strikes.submit(connection, meter, instant, reason, who)
        return {"id": id_, "status": "pending", "restates": restates}

    result = with_connection("indexes", work, as_json)
    print(json.dumps(result, ensure_ascii=False) if as_json else _shown(meter, at, result))


@app.command()
def approve(id_: Number, by: By, reason: str = "", wait: Wait = 120.0, as_json: AsJson = False) -> None:
    """Strike the index, as another person than the one who submitted it."""
    from carbonstream.ops import strikes

    with_connection(
        "indexes", lambda c: strikes.decide(c, id_, by.strip(), "approved", reason.strip()), as_json
    )
    _resume(wait, as_json)


@app.command()
def resume(wait: Wait = 120.0, as_json: AsJson = False) -> None:
    """Go on with approved strikes that were cut off; safe to repeat."""
    _resume(wait, as_json)


@app.command()
def reject(
    id_: Number, by: By, reason: Annotated[str, typer.Option(help="why; kept")] = "", as_json: AsJson = False
) -> None:
    """Turn a strike down, or take your own back; it stays on record."""
    from carbonstream.ops import strikes

    with_connection(
        "indexes", lambda c: strikes.decide(c, id_, by.strip(), "rejected", reason.strip()), as_json
    )
    said = {"id": id_, "status": "rejected", "decided_by": by}
    print(json.dumps(said, ensure_ascii=False) if as_json else f"strike {id_} is rejected")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All strikes: which index, why, who submitted, who decided."""
    from carbonstream.ops import strikes

    found = with_connection("indexes", strikes.listed, as_json)
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for s in found:
        print(
            f"{s['id']}: {s['meter']} {s['index']} at {s['time']}, {s['state']} (by {s['submitted_by']}, "
            f"decided by {s['decided_by'] or 'nobody yet'}): {s['reason']}"
        )


def _resume(wait: float, as_json: bool) -> None:
    from carbonstream.ops.strikes import resume as go_on

    done = go_on(settings(), wait)
    if as_json:
        print(json.dumps({"strikes": done}, ensure_ascii=False))
        return
    for line in done:
        print(
            f"strike {line['id']}: {line['index']} of {line['meter']} at {line['time']} stands no more; what was "
            "rejected behind it is sent again with `carbonstream rejects replay`"
        )
    if not done:
        print("nothing is left to strike")


def _shown(meter: str, at: str, result: dict[str, Any]) -> str:
    from carbonstream.ops.multiplier_commands import restated_lines

    restates = result["restates"]
    lines = [
        f"index {restates['index']} of {meter} at {at} goes; {restates['before']} stands before it, in "
        f"{', '.join(restates['months'])}",
        *restated_lines(restates),
    ]
    if (id_ := result["id"]) is not None:
        lines.append(f"pending as {id_}: a second person runs `carbonstream indexes approve {id_} --by NAME`")
    return "\n".join(lines)
