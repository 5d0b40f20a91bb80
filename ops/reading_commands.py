"""`carbonstream readings`: stored readings that a finding or a person calls wrong, and what was decided about them."""

from __future__ import annotations

import getpass
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from carbonstream.ops.commanding import with_connection
from carbonstream.schemas.errors import LoadRefused, NotReady
from carbonstream.schemas.settings import settings

if TYPE_CHECKING:
    import psycopg

POLL_S: Final = 0.2
STANDING: Final = """
select m.number, m.kind, r.quantity, r.quality, r.time is not null
from meter m left join reading r on r.meter = m.number and r.time = %(end)s where m.meter_id = %(meter)s
"""
DECIDE: Final = """
insert into reading_decision (meter, time, decision, decided_by, decided_at, reason) values (%s, %s, %s, %s, %s, %s)
"""
LIST: Final = """
with concerned as (
  select meter, time from finding where "check" = 3 and decision = 3 and size >= 3
  union select meter, time from reading_decision
)
select m.meter_id, c.time, r.quantity, r.quality, w.old_quantity, d.decision, d.decided_by, d.decided_at, d.reason
from concerned c join meter m on m.number = c.meter
left join reading r on r.meter = c.meter and r.time = c.time
left join reading_decided d on d.meter = c.meter and d.time = c.time
left join lateral (
  select x.old_quantity from correction x where x.meter = c.meter and x.time = c.time
    and x.old_quality not in (8, 9) and x.new_quality in (8, 9)
  order by x.recorded_at desc, x.source_offset desc limit 1
) w on true
where %(meter)s = '' or m.meter_id = %(meter)s
order by c.time desc, m.meter_id limit %(limit)s
"""
app = typer.Typer(no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]
Meter = Annotated[str, typer.Argument(help="SITE/METER, of kind interval")]
End = Annotated[str, typer.Argument(help="end of its interval, e.g. 2026-03-01T08:15:00+08:00")]
Reason = Annotated[str, typer.Option(help="why; kept")]
By = Annotated[str, typer.Option("--by", help="who decides; your login name where absent")]
Wait = Annotated[float, typer.Option(help="seconds to wait until it is stored so")]


@app.command()
def accept(
    meter: Meter, end: End, reason: Reason, by: By = "", wait: Wait = 60.0, as_json: AsJson = False
) -> None:
    """The reading is right after all: what was measured stands again, marked as validated."""
    _decide(meter, end, "accepted", by, reason, wait, as_json)


@app.command()
def refuse(
    meter: Meter, end: End, reason: Reason, by: By = "", wait: Wait = 60.0, as_json: AsJson = False
) -> None:
    """The reading is wrong: an estimate takes its place, and it is kept."""
    _decide(meter, end, "estimated", by, reason, wait, as_json)


@app.command("list")
def list_(
    meter: Annotated[str, typer.Option(help="only this meter")] = "",
    limit: Annotated[int, typer.Option(help="the newest so many", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Readings that a finding or a person calls wrong: what stands, what was measured, who decided."""
    from carbonstream.connectors.database import connect

    with connect(settings(), application="readings") as connection:
        lines = [shown(row) for row in connection.execute(LIST, {"meter": meter, "limit": limit})]
    if as_json:
        print(json.dumps({"readings": lines}, ensure_ascii=False))
        return
    for line in lines:
        decided = (
            f"{line['decision']} by {line['decided_by']}: {line['reason']}"
            if line["decision"]
            else "undecided"
        )
        print(f"{line['meter']}  {line['end']}  {line['quantity']} ({line['quality']})  {decided}")


def shown(row: tuple[Any, ...]) -> dict[str, Any]:
    """One line of the list. Quantities in base units, exact; refused: what an estimate stands in the place of."""
    from carbonstream.processors.explanation import base_units
    from carbonstream.schemas.codes import Quality
    from carbonstream.schemas.periods import local_text

    meter, end, quantity, quality, refused, decision, by, at, reason = row
    return {
        "meter": meter,
        "end": local_text(end),
        "quantity": None if quantity is None else base_units(quantity),
        "quality": None if quality is None else Quality(quality).name.lower(),
        "refused": None if refused is None else base_units(refused),
        "decision": decision,
        "decided_by": by,
        "decided_at": None if at is None else local_text(at),
        "reason": reason,
    }


def _decide(meter: str, end: str, decision: str, by: str, reason: str, wait: float, as_json: bool) -> None:
    who = by.strip() or getpass.getuser()
    line = with_connection(
        "readings", lambda c: decide(c, meter, end, decision, who, reason.strip(), wait), as_json
    )
    print(json.dumps(line, ensure_ascii=False) if as_json else f"{meter} at {end} is {decision}")


def decide(
    connection: psycopg.Connection[Any],
    meter: str,
    end: str,
    decision: str,
    by: str,
    reason: str,
    wait_s: float,
) -> dict[str, Any]:
    """Record a decision and wait until the row stands so; what `list` says of it then.

    Raises LoadRefused where there is no such reading, NotReady where the estimator has not edited it in time: the
    decision stands, and it will.
    """
    from carbonstream.ops.load import fields
    from carbonstream.schemas.codes import ESTIMATED_QUALITIES, MeterKind

    try:
        at = fields.instant(end)
    except ValueError as error:
        raise LoadRefused([f"end: {end!r}: {error}"]) from error
    if not reason:
        raise LoadRefused(["reason: '': say why, it is kept with the decision"])

    def standing() -> tuple[Any, ...]:
        found = connection.execute(STANDING, {"meter": meter, "end": at}).fetchone()
        if found is None:
            raise LoadRefused([f"meter: {meter!r}: is no registered meter"])
        return tuple(found)

    number, kind, _, _, is_stored = standing()
    if kind != MeterKind.INTERVAL:
        raise LoadRefused([f"meter: {meter!r}: is a register: its energy is between two indexes and stays"])
    if not is_stored:
        raise LoadRefused([f"end: {end!r}: no stored interval of {meter} ends then"])
    connection.execute(DECIDE, [number, at, decision, by, datetime.now(UTC), reason])
    until = time.monotonic() + wait_s
    while (standing()[3] in ESTIMATED_QUALITIES) == (decision == "accepted"):
        if time.monotonic() > until:
            raise NotReady(
                f"the decision is recorded and not stored in {wait_s} s: is the estimator running? (`carbonstream up` "
                "starts all services; `carbonstream readings list` shows what stands)"
            )
        time.sleep(POLL_S)
    values = {"meter": meter, "limit": 1_000_000}
    return next(line for row in connection.execute(LIST, values) if row[1] == at for line in [shown(row)])
