"""`carbonstream notices`: who is told of warnings, what could not be delivered, and a test of each channel."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter, ValidationError

from carbonstream.connectors.database import connect
from carbonstream.connectors.sinks.notify import subscriptions
from carbonstream.connectors.sinks.notify.sending import Message, sender
from carbonstream.processors.notices import notice_id
from carbonstream.processors.notices_addresses import redacted
from carbonstream.processors.notices_delivery import Outcome
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.notices import Subscription
from carbonstream.schemas.settings import settings

app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
Id = Annotated[str, typer.Argument(help="subscription")]
FileArgument = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="JSON: a list of subscriptions")
]


def _say(result: Any, as_json: bool, text: str) -> None:
    print(json.dumps(result, ensure_ascii=False) if as_json else text)


def _refuse(errors: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"errors": errors}, ensure_ascii=False))
    else:
        print("\n".join(errors), file=sys.stderr)
    raise typer.Exit(2)


def read_subscriptions(text: str) -> list[Subscription]:
    """The subscriptions of a file, by the schema `subscription.json`. Raises LoadRefused with a line an error."""
    try:
        return TypeAdapter(list[Subscription]).validate_json(text)
    except ValidationError as error:
        raise LoadRefused(
            [f"{'.'.join(str(at) for at in e['loc']) or 'file'}: {e['msg']}" for e in error.errors()]
        ) from error


@app.command()
def subscribe(file: FileArgument, as_json: AsJson = False) -> None:
    """Load subscriptions, all or nothing; prints the secret of each new webhook, once."""
    try:
        wanted = read_subscriptions(file.read_text(encoding="utf-8"))
        config = settings()
        with connect(config, application="notices", autocommit=True) as connection:
            made = subscriptions.subscribe(connection, wanted, datetime.now(UTC), config.notify_networks)
    except LoadRefused as refused:
        _refuse(refused.errors, as_json)
        return
    text = "\n".join([f"{len(wanted)} subscriptions", *map(_secret_line, made)])
    _say({"subscriptions": len(wanted), "secrets": made}, as_json, text)


@app.command()
def unsubscribe(id_: Id, as_json: AsJson = False) -> None:
    """Switch a subscription off; what waits for it is kept as dead."""
    try:
        with connect(settings(), application="notices", autocommit=True) as connection:
            subscriptions.unsubscribe(connection, id_, datetime.now(UTC))
    except LoadRefused as refused:
        _refuse(refused.errors, as_json)
    _say({"unsubscribed": id_}, as_json, f"{id_} is off")


@app.command()
def rotate(id_: Id, as_json: AsJson = False) -> None:
    """New secrets for the webhooks of a subscription; the old ones sign too for 24 hours."""
    try:
        with connect(settings(), application="notices", autocommit=True) as connection:
            made = subscriptions.rotate(connection, id_, datetime.now(UTC))
    except LoadRefused as refused:
        _refuse(refused.errors, as_json)
        return
    _say({"secrets": made}, as_json, "\n".join(map(_secret_line, made)))


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All subscriptions, their channels, and what waits, was sent, is dead."""
    with connect(settings(), application="notices", autocommit=True) as connection:
        found = subscriptions.listed(connection, datetime.now(UTC))
    lines = []
    for one in found:
        state = f"off: {one['disabled']}" if one["disabled"] else f"from {one['severity']}"
        lines.append(f"{one['id']} ({one['enterprise'] or one['operator_group']}), {state}")
        lines += [
            f"  {c['id']}: {c['address']} {c['waiting']} waiting, {c['sent']} sent, {c['dead']} dead"
            + (f", off: {c['disabled']}" if c["disabled"] else ", paused" if c["paused"] else "")
            for c in one["channels"]
        ]
    _say({"subscriptions": found}, as_json, "\n".join(lines) or "no subscriptions")


@app.command("test")
def try_channels(id_: Id, as_json: AsJson = False) -> None:
    """Send a test notice through each channel of a subscription now; exit 1 where one does not take it."""
    now = datetime.now(UTC)
    config = settings()
    try:
        with connect(config, application="notices", autocommit=True) as connection:
            channels = subscriptions.channels_of(connection, id_, now)
            language = next(o["language"] for o in subscriptions.listed(connection, now) if o["id"] == id_)
    except LoadRefused as refused:
        _refuse(refused.errors, as_json)
        return
    send = sender(config)
    message = Message(notice_id(id_, f"test:{now.isoformat()}", 1), now, language, [])
    results = []
    for channel in channels:
        answer = send(channel, message, now)
        address = redacted(channel.address)
        results.append(
            {"channel": channel.id, "address": address, "outcome": answer.outcome.value, "code": answer.code,
             "detail": answer.detail}
        )  # fmt: skip
    lines = [f"{r['channel']}: {r['address']} {r['outcome']} {r['detail']}".rstrip() for r in results]
    _say({"notice": message.id, "channels": results}, as_json, "\n".join(lines))
    raise typer.Exit(0 if all(r["outcome"] == Outcome.ACCEPTED.value for r in results) else 1)


@app.command()
def dead(
    subscription: Annotated[str, typer.Option(help="of this subscription only")] = "", as_json: AsJson = False
) -> None:
    """Notices that were given up, and why; the oldest thousand."""
    with connect(settings(), application="notices", autocommit=True) as connection:
        found = subscriptions.dead(connection, subscription)
    lines = [
        f"{d['notice']} {d['subscription']} {d['address']}: {d['changes']} changes, {d['attempts']} attempts, "
        f"{d['settled_at']}: {d['reason']}"
        for d in found
    ]
    _say({"dead": found}, as_json, "\n".join(lines) or "none is dead")


@app.command()
def resend(
    notice: Annotated[list[str] | None, typer.Argument(help="notices; none: all that are dead")] = None,
    subscription: Annotated[str, typer.Option(help="of this subscription only")] = "",
    as_json: AsJson = False,
) -> None:
    """Try dead notices again, for another 24 hours and with the same ids."""
    with connect(settings(), application="notices", autocommit=True) as connection:
        count = subscriptions.resend(
            connection, datetime.now(UTC), subscription=subscription, notices=notice or ()
        )
    _say({"resent": count}, as_json, f"{count} wait to be sent again")


def _secret_line(made: dict[str, str]) -> str:
    return f"{made['subscription']} {made['address']} {made['secret']}"
