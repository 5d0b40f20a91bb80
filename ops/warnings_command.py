"""`carbonstream warnings`: the operators' list and commands, alarm health, hand-over of a shift."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from carbonstream.schemas.periods import SHANGHAI, to_datetime
from carbonstream.schemas.settings import settings


class Step(StrEnum):
    """Of an enterprise's answer."""

    RECEIPT = "receipt"
    CAUSE = "cause"
    MEASURE = "measure"
    DISPUTE = "dispute"
    CLOSURE = "closure"


class Of(StrEnum):
    """What is disputed."""

    METER = "meter"
    MULTIPLIER = "multiplier"


class Decision(StrEnum):
    """On a dispute."""

    UPHOLD = "uphold"
    DISMISS = "dismiss"


app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
Ids = Annotated[list[str], typer.Argument(help="ids of warnings, 1 to 200")]
By = Annotated[str, typer.Option(help="who: your name, it stands in the history")]
Why = Annotated[str, typer.Option(help="comment or reason")]
WAIT_S: Final = 15.0  # warn answers within a second where it runs
LOOK_S: Final = 0.1


@app.command("list")
def list_(
    state: Annotated[
        str, typer.Option(help="open, annunciated, inhibited, or a state such as shelved")
    ] = "open",
    limit: Annotated[int, typer.Option(min=1, max=1_000)] = 100,
    as_json: AsJson = False,
) -> None:
    """Warnings in the operators' order: to be answered first, by priority, by class, the latest first."""
    from carbonstream.api.warnings import WarningsQuery, read_warnings

    async def read(here: Any) -> Any:
        query = WarningsQuery.model_validate({"operator_state": state, "limit": limit})
        return (await read_warnings(query, here)).model_dump()

    found = _with_services(read)
    lines = [
        f"{w['operator']['state']:16} {w['operator']['priority']:6} {w['severity']:7} "
        f"{w['operator']['since'][:19]}  {w['id']}"
        + (f"  ({w['operator']['claimed_by']})" if w["operator"]["claimed_by"] else "")
        + (f"  answer: {w['answer']['state']}" if w["answer"] else "")
        + (", overdue" if w["answer"] and w["answer"]["overdue"] else "")
        for w in found["warnings"]
    ]
    _say(found, as_json, "\n".join(lines) or f"no warning is {state}")


@app.command()
def ack(ids: Ids, by: By, why: Why = "", as_json: AsJson = False) -> None:
    """Acknowledge warnings."""
    _give(as_json, kind="acknowledge", warnings=ids, by=by, why=why)


@app.command()
def claim(ids: Ids, by: By, as_json: AsJson = False) -> None:
    """Take warnings on: others see who deals with them."""
    _give(as_json, kind="claim", warnings=ids, by=by)


@app.command()
def shelve(
    ids: Ids,
    by: By,
    why: Annotated[str, typer.Option(help="reason")],
    hours: Annotated[
        float, typer.Option(help="until then it is put aside; 168 at most", min=0.01, max=168)
    ] = 8,
    as_json: AsJson = False,
) -> None:
    """Put warnings aside for some hours."""
    until = to_datetime(_clock()).astimezone(SHANGHAI) + timedelta(hours=hours)
    _give(as_json, kind="shelve", warnings=ids, by=by, why=why, until=until)


@app.command()
def unshelve(ids: Ids, by: By, why: Why = "", as_json: AsJson = False) -> None:
    """Take warnings off the shelf."""
    _give(as_json, kind="unshelve", warnings=ids, by=by, why=why)


@app.command()
def suppress(
    by: By,
    why: Annotated[str, typer.Option(help="reason")],
    entity: Annotated[
        list[str] | None, typer.Option(help="id, or a beginning ending in *; repeat it")
    ] = None,
    rule: Annotated[list[str] | None, typer.Option(help="rule of warnings; repeat it")] = None,
    start: Annotated[
        datetime | None, typer.Option(help="local; without it at once and until resumed")
    ] = None,
    end: Annotated[datetime | None, typer.Option(help="local")] = None,
    recurrence: Annotated[str, typer.Option(help="such as FREQ=WEEKLY;BYDAY=SA,SU")] = "",
    as_json: AsJson = False,
) -> None:
    """Suppress by design: a maintenance window (--start, --end, --recurrence), or a rule until `resume`."""
    calendar: dict[str, Any] = {"entities": entity or [], "rules": rule or []}
    if start is not None:
        calendar["start"] = start.replace(tzinfo=SHANGHAI)
    if end is not None:
        calendar["end"] = end.replace(tzinfo=SHANGHAI)
    if recurrence:
        calendar["recurrence"] = recurrence
    _give(as_json, kind="suppress", by=by, why=why, calendar=calendar)


@app.command()
def resume(
    suppression: Annotated[str, typer.Argument(help="id of the command that suppressed")],
    by: By,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """End a suppression."""
    _give(as_json, kind="resume", by=by, why=why, suppression=suppression)


@app.command()
def answer(
    step: Annotated[Step, typer.Argument(help="what is said")],
    ids: Ids,
    enterprise: Annotated[str, typer.Option(help="in whose name, such as enterprise:ENT-1")],
    by: By,
    why: Annotated[str, typer.Option(help="the text: cause, measure, what is wrong")] = "",
    of: Annotated[Of | None, typer.Option(help="dispute: its readings, or its multiplier")] = None,
    meter: Annotated[str, typer.Option(help="dispute: the meter's id")] = "",
    as_json: AsJson = False,
) -> None:
    """An enterprise's answer to its own warnings."""
    disputed = {"disputed": {"of": of.value, "meter": meter}} if of is not None else {}
    _give(as_json, kind=step.value, warnings=ids, by=by, why=why, enterprise=enterprise, **disputed)


@app.command()
def decide(
    decision: Annotated[Decision, typer.Argument(help="is the enterprise right")],
    ids: Annotated[list[str], typer.Argument(help="ids of the disputed warnings")],
    by: By,
    why: Annotated[str, typer.Option(help="what the review found")],
    as_json: AsJson = False,
) -> None:
    """Decide what an enterprise disputes."""
    _give(as_json, kind=decision.value, warnings=ids, by=by, why=why)


@app.command()
def health(as_json: AsJson = False) -> None:
    """Load on the operators after EEMUA 191: last hour, day and 30 days."""
    from carbonstream.api.operator_view import read_health

    async def read(here: Any) -> Any:
        return (await read_health(here)).model_dump()

    found = _with_services(read)
    lines = [
        f"{name:8} {span['annunciated']:6} annunciated, {span['rate_mean']} per 10 min and position "
        f"({span['verdict']}), "
        f"{len(span['floods'])} floods, {len(span['chattering'])} chattering"
        for name, span in found["spans"].items()
    ]
    _say(found, as_json, "\n".join([*lines, f"stale    {found['stale_count']:6} active for more than 24 h"]))


@app.command()
def handover(
    hours: Annotated[float, typer.Option(help="since so many hours ago", min=0.1)] = 12,
    as_json: AsJson = False,
) -> None:
    """What the next shift must know."""
    from carbonstream.api.operator_view import read_handover

    async def read(here: Any) -> Any:
        since = to_datetime(here.now_ms()) - timedelta(hours=hours)
        return (await read_handover(here, since)).model_dump()

    found = _with_services(read)
    lines = [
        f"since {found['since'][:19]}: " + ", ".join(f"{n} {k}" for k, n in found["changed_counts"].items())
    ]
    for name in ("open", "shelved", "suppressed", "out_of_service"):
        lines += [f"{w['state']:16} {w['priority']:6} {w['severity']:7} {w['id']}" for w in found[name]]
    _say(found, as_json, "\n".join(lines))


def _clock() -> int:
    from carbonstream.api.app import wall_clock_ms

    return wall_clock_ms()


def _with_services(read: Any) -> Any:
    from carbonstream.ops.api_reads import services

    async def reading() -> Any:
        async with services(settings()) as here:
            return await read(here)

    return asyncio.run(reading())


def _give(as_json: bool, **body: Any) -> None:
    """Hand a command to warn and wait for what becomes of it; exit 1 where not all of it is applied."""
    from carbonstream.api.operating import Giving, answer, command_of, send
    from carbonstream.api.problems import Problem

    async def give(here: Any) -> Any:
        command = command_of(Giving.model_validate(body), None, here.now_ms())
        await send(here, command)
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            try:
                return (await answer(command.id, here)).model_dump()
            except Problem:
                await asyncio.sleep(LOOK_S)
        return {"id": command.id, "outcome": "waiting", "targets": []}

    done = _with_services(give)
    lines = [
        f"{t['outcome']}: {t['target']}" + (f" ({t['reason']})" if t["reason"] else "")
        for t in done["targets"]
    ]
    if done["outcome"] == "waiting":
        lines = [
            f"command {done['id']} is accepted, but warn has not taken it yet: does the service warn run?"
        ]
    _say(done, as_json, "\n".join(lines))
    raise typer.Exit(0 if done["outcome"] == "applied" else 1)


def _say(result: Any, as_json: bool, text: str) -> None:
    print(json.dumps(result, ensure_ascii=False) if as_json else text)
