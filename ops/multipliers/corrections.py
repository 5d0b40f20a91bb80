"""Corrections of multipliers in the database: submitted by one person, decided by another, then in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from carbonstream.ops.load import outbox
from carbonstream.ops.load.changes import FIRST_VERSIONS
from carbonstream.ops.multipliers.preview import preview
from carbonstream.ops.multipliers.registers import (
    Connection,
    Register,
    as_instant,
    milli,
    register,
    stored_rows,
)
from carbonstream.ops.second_person import second_person
from carbonstream.processors.recomputing import (
    ALWAYS,
    Recomputed,
    Timeline,
    corrected,
    differing,
    intervals_of,
    with_multipliers,
)
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import SHANGHAI, local_iso, to_ms

LISTED: Final = """
select c.id, c.meter_id, c.valid_from, c.valid_to, c.multiplier, c.document, c.submitted_by, d.decided_by, d.reason,
       case when f.correction is not null then 'done' else coalesce(d.decision, 'pending') end
from multiplier_correction c
left join multiplier_correction_decision d on d.correction = c.id
left join multiplier_correction_done f on f.correction = c.id
where %(id)s::bigint is null or c.id = %(id)s
order by c.id
"""
OPEN: Final = """
select c.id from multiplier_correction c
left join multiplier_correction_decision d on d.correction = c.id
left join multiplier_correction_done f on f.correction = c.id
where c.meter_id = %s and d.decision is distinct from 'rejected' and f.correction is null
"""
SUBMIT: Final = """
insert into multiplier_correction (meter_id, valid_from, valid_to, multiplier, document, submitted_by, submitted_at)
values (%s, %s, %s, %s, %s, %s, %s) returning id
"""
ADD: Final = """
insert into meter_multiplier (meter_id, version, valid_from, multiplier, loaded_at, correction)
values (%s, %s, %s, %s, %s, %s)
"""
NEWEST: Final = """
update meter m set multiplier = v.multiplier, loaded_at = %(now)s
from (select multiplier from meter_multiplier where meter_id = %(meter)s and superseded_by is null
      order by valid_from desc nulls last limit 1) v
where m.meter_id = %(meter)s
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody says was right: `multiplier` for intervals that end in (since, until]; UTC ms."""

    meter_id: str
    since: int  # ALWAYS: from the beginning
    until: int | None  # None: from now on too
    multiplier: Decimal
    document: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What a correction makes of the meter's multipliers and intervals."""

    register: Register
    timeline: Timeline
    wrong: list[Recomputed]


def judge(connection: Connection, asked: Asked) -> Judged:
    """What would be recomputed. Raises LoadRefused where it cannot be, or nothing would change."""
    found = register(connection, asked.meter_id)
    if asked.until is not None and asked.until <= asked.since:
        raise LoadRefused([f"to: {local_iso(asked.until)!r}: must be after --from"])
    timeline = corrected(
        found.history.multipliers, asked.since, asked.until, milli(asked.multiplier), max(found.milli_of)
    )
    rows = stored_rows(connection, found.number, asked.since, asked.until)
    history = with_multipliers(found.history, timeline)
    wrong, unknown = differing(intervals_of(rows), history, found.milli_of)
    if unknown:
        at = local_iso(unknown[0].end)
        raise LoadRefused([f"from: the interval up to {at} needs an index that is not kept: begin behind it"])
    if not wrong:
        raise LoadRefused(
            [
                f"multiplier: {asked.multiplier}: no stored interval of {asked.meter_id} changes by it: give one from "
                "a date on in multipliers.csv"
            ]
        )
    return Judged(found, timeline, wrong)


def dry_run(connection: Connection, asked: Asked) -> dict[str, Any]:
    """What the correction restates; writes nothing."""
    with connection.transaction():
        judged = judge(connection, asked)
        return preview(connection, judged.register, judged.wrong)


def submit(connection: Connection, asked: Asked, by: str, now: datetime) -> tuple[int, dict[str, Any]]:
    """Keep a correction until a second person decides; its id, and what it restates."""
    with connection.transaction():
        connection.execute("lock table multiplier_correction in share row exclusive mode")
        judged = judge(connection, asked)
        other = connection.execute(OPEN, [asked.meter_id]).fetchone()
        if other is not None:
            raise LoadRefused(
                [f"correction {other[0]} of {asked.meter_id} is not done: decide or finish that one first"]
            )
        values = (as_instant(asked.since), as_instant(asked.until), asked.multiplier, asked.document, by, now)
        row = connection.execute(SUBMIT, [asked.meter_id, *values]).fetchone()
        return int(row[0]) if row else 0, preview(connection, judged.register, judged.wrong)


def decide(connection: Connection, id_: int, by: str, decision: str, reason: str, now: datetime) -> None:
    """Approve or reject as a second person. An approved correction is in force with the next tick that names it.

    Raises LoadRefused where there is none of this id, it is decided, or it is the person's own.
    """
    with connection.transaction(), connection.cursor() as cursor:
        outbox.begin(cursor)
        line = one(connection, id_)
        if line["state"] != "pending":
            raise LoadRefused([f"correction {id_} is {line['state']} already, by {line['decided_by']}"])
        second_person(connection, by, line["submitted_by"], f"correction {id_}")
        cursor.execute(
            "insert into multiplier_correction_decision values (%s, %s, %s, %s, %s)",
            [id_, decision, by, now, reason],
        )
        if decision == "approved":
            asked = asked_of(line)
            _put_in_force(connection, id_, asked, judge(connection, asked).timeline, now)
            outbox.note(cursor, outbox.METER, [asked.meter_id])
        outbox.publish(cursor)


def _put_in_force(connection: Connection, id_: int, asked: Asked, timeline: Timeline, now: datetime) -> None:
    meter = asked.meter_id
    connection.execute(FIRST_VERSIONS, [now, [meter]])
    connection.execute(
        "update meter_multiplier set superseded_by = %s where meter_id = %s and version = any (%s)",
        [id_, meter, list(timeline.superseded)],
    )
    for added in timeline.added:
        value = Decimal(added.milli).scaleb(-3)
        connection.execute(ADD, [meter, added.version, as_instant(added.valid_from), value, now, id_])
    connection.execute(NEWEST, {"meter": meter, "now": now})


def listed(connection: Connection, id_: int | None = None) -> list[dict[str, Any]]:
    """Corrections, oldest first. state: pending, approved (its intervals are under way), done or rejected."""
    names = (
        "id", "meter", "from", "to", "multiplier", "document", "submitted_by", "decided_by", "reason", "state",
    )  # fmt: skip
    found = []
    for row in connection.execute(LISTED, {"id": id_}):
        line = dict(zip(names, row, strict=True))
        line |= {
            n: None if line[n] is None else line[n].astimezone(SHANGHAI).isoformat() for n in ("from", "to")
        }
        found.append(line | {"multiplier": f"{line['multiplier'].normalize():f}"})
    return found


def one(connection: Connection, id_: int) -> dict[str, Any]:
    """One correction. Raises LoadRefused where there is none of this id."""
    found = listed(connection, id_)
    if not found:
        raise LoadRefused([f"correction {id_} is not known: `carbonstream multipliers list` shows them"])
    return found[0]


def asked_of(line: dict[str, Any]) -> Asked:
    """What a listed correction asks for."""
    since, until = (
        None if line[n] is None else to_ms(datetime.fromisoformat(line[n])) for n in ("from", "to")
    )
    return Asked(
        line["meter"],
        ALWAYS if since is None else since,
        until,
        Decimal(line["multiplier"]),
        line["document"],
    )
