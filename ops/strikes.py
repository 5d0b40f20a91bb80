"""Strikes of registers' indexes in the database and on their way through meter.readings.

One person submits, another decides; an approved strike is one frame of mode edit. What is read here may be overtaken by
an index that comes meanwhile: then convert rejects the edit whole, and it is worked out once more.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Final

from carbonstream.connectors.database import connect
from carbonstream.connectors.locks import SPACE, Only
from carbonstream.connectors.sources.resend import Again, Resending
from carbonstream.ops.multipliers.preview import preview
from carbonstream.ops.multipliers.recompute import settle
from carbonstream.ops.multipliers.registers import Connection, Register, register, stored_rows
from carbonstream.ops.second_person import second_person
from carbonstream.processors.explanation import base_units
from carbonstream.processors.striking import Strike, strike
from carbonstream.schemas.codes import Mode, Quality, RowFlag
from carbonstream.schemas.errors import LoadRefused, NotReady
from carbonstream.schemas.frames import SOURCE_RECOMPUTE
from carbonstream.schemas.periods import local_iso, local_text, to_datetime, to_ms
from carbonstream.schemas.settings import Settings

LISTED: Final = """
select s.id, m.meter_id, s.time, s.raw_index, s.reason, s.submitted_by, d.decided_by, d.reason,
       case when f.strike is not null then 'done' else coalesce(d.decision, 'pending') end
from index_strike s join meter m on m.number = s.meter
left join index_strike_decision d on d.strike = s.id
left join index_strike_done f on f.strike = s.id
where %(id)s::bigint is null or s.id = %(id)s
order by s.id
"""
OPEN: Final = """
select s.id from index_strike s
left join index_strike_decision d on d.strike = s.id
left join index_strike_done f on f.strike = s.id
where s.meter = %s and d.decision is distinct from 'rejected' and f.strike is null
"""
SUBMIT: Final = """
insert into index_strike (meter, time, raw_index, reason, submitted_by, submitted_at) values (%s, %s, %s, %s, %s, %s)
returning id
"""
STANDS: Final = """
select exists (select from reading where meter = %s and time = %s and raw_index is not null and flags & %s = 0)
"""
GO_ON: Final = "the strike is approved: `carbonstream indexes resume` goes on"


def judge(connection: Connection, meter_id: str, at: int) -> tuple[Register, Strike]:
    """What striking the index at `at` (UTC ms) changes. Raises LoadRefused where it cannot be struck."""
    found = register(connection, meter_id)
    try:
        return found, strike(stored_rows(connection, found.number, at - 1, at), at, found.history)
    except ValueError as error:
        raise LoadRefused([f"time: {local_iso(at)!r}: {error}"]) from error


def dry_run(connection: Connection, meter_id: str, at: int) -> dict[str, Any]:
    """What the strike restates; writes nothing."""
    with connection.transaction():
        found, struck = judge(connection, meter_id, at)
        return _shown(connection, found, struck)


def submit(
    connection: Connection, meter_id: str, at: int, reason: str, by: str
) -> tuple[int, dict[str, Any]]:
    """Keep a strike until a second person decides; its id, and what it restates."""
    if not reason.strip():
        raise LoadRefused(["reason: '': say why, it is kept with the strike"])
    with connection.transaction():
        connection.execute("lock table index_strike in share row exclusive mode")
        found, struck = judge(connection, meter_id, at)
        other = connection.execute(OPEN, [found.number]).fetchone()
        if other is not None:
            raise LoadRefused(
                [f"strike {other[0]} of {meter_id} is not done: decide or finish that one first"]
            )
        values = [found.number, to_datetime(at), struck.struck.last, reason.strip(), by, datetime.now(UTC)]
        row = connection.execute(SUBMIT, values).fetchone()
        return int(row[0]) if row else 0, _shown(connection, found, struck)


def _shown(connection: Connection, found: Register, struck: Strike) -> dict[str, Any]:
    first = struck.struck.first
    return preview(connection, found, struck.changes) | {
        "index": base_units(struck.struck.last),
        "before": None if first is None else base_units(first),
        "intervals": 1 if struck.behind is None else 2,
    }


def decide(connection: Connection, id_: int, by: str, decision: str, reason: str) -> None:
    """Approve or reject as a second person; who submitted may reject.

    Raises LoadRefused where there is none of this id, it is decided, or it is the person's own.
    """
    with connection.transaction():
        connection.execute("lock table index_strike_decision in share row exclusive mode")
        line = one(connection, id_)
        if line["state"] != "pending":
            raise LoadRefused([f"strike {id_} is {line['state']} already, by {line['decided_by']}"])
        if decision == "approved":
            second_person(connection, by, line["submitted_by"], f"strike {id_}")
            judge(connection, line["meter"], to_ms(datetime.fromisoformat(line["time"])))
        elif not by or not reason:
            raise LoadRefused([f"say who rejects strike {id_}, and why"])
        connection.execute(
            "insert into index_strike_decision values (%s, %s, %s, %s, %s)",
            [id_, decision, by, datetime.now(UTC), reason],
        )


def listed(connection: Connection, id_: int | None = None) -> list[dict[str, Any]]:
    """Strikes, oldest first. state: pending, approved (it is under way), done or rejected."""
    names = ("id", "meter", "time", "index", "reason", "submitted_by", "decided_by", "decision", "state")
    found = []
    for row in connection.execute(LISTED, {"id": id_}):
        line = dict(zip(names, row, strict=True))
        found.append(line | {"time": local_text(line["time"]), "index": base_units(line["index"])})
    return found


def one(connection: Connection, id_: int) -> dict[str, Any]:
    """One strike. Raises LoadRefused where there is none of this id."""
    found = listed(connection, id_)
    if not found:
        raise LoadRefused([f"strike {id_} is not known: `carbonstream indexes list` shows them"])
    return found[0]


def resume(settings: Settings, wait_s: float) -> list[dict[str, Any]]:
    """Strike what approved strikes leave to be done; the strikes.

    May be killed and repeated, and run twice at once: an index that stands no more is not struck again. Raises NotReady
    where services do not take it up in time.
    """
    done = []
    with connect(settings, application="strike", autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s, %s)", (SPACE, int(Only.RECOMPUTE)))
        for line in listed(connection):
            if line["state"] == "approved":
                _carry_out(settings, connection, line, wait_s)
                connection.execute(
                    "insert into index_strike_done values (%s, %s)", [line["id"], datetime.now(UTC)]
                )
                done.append(line | {"state": "done"})
    return done


def _carry_out(settings: Settings, connection: Connection, line: dict[str, Any], wait_s: float) -> None:
    meter, at = register(connection, line["meter"]), to_ms(datetime.fromisoformat(line["time"]))
    until = time.monotonic() + wait_s
    with Resending(settings, SOURCE_RECOMPUTE, Mode.EDIT) as resending:
        settle(settings, meter, {}, wait_s, GO_ON)
        while _stands(connection, meter, at):
            if time.monotonic() > until:
                raise NotReady(f"the index of {meter.meter_id} still stands after {wait_s} s; {GO_ON}")
            _, struck = judge(connection, meter.meter_id, at)
            resending.send(meter.shard, *frame_of(meter, struck))
            resending.flush()
            settle(settings, meter, resending.reached, wait_s, GO_ON)


def _stands(connection: Connection, meter: Register, at: int) -> bool:
    row = connection.execute(STANDS, [meter.number, to_datetime(at), int(RowFlag.VOID)]).fetchone()
    return bool(row and row[0])


def frame_of(meter: Register, struck: Strike) -> tuple[list[Again], dict[str, Any]]:
    """Readings and further members of a frame of mode edit: nothing up to the struck index, and from the index before
    it to the one behind it what lies between those two."""
    gone = struck.struck
    readings = [Again(meter.meter_id, gone.start, gone.end, float("nan"), meter.unit)]
    replaces, quality = [gone.quantity], [int(Quality.EDITED)]
    if struck.behind is not None:
        i = struck.behind.interval
        readings.append(Again(meter.meter_id, gone.start, i.end, i.last / 1_000, meter.unit))
        replaces.append(i.quantity)
        quality.append(i.quality)
    first = [(gone.first or 0) / 1_000] * len(readings)
    return readings, {"quality": quality, "first_index": first, "replaces": replaces}
