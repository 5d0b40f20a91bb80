"""The operators' turn of a pass of warn: time, conditions and commands, in this order, on one desk.

Commands come from warn.commands in the order of their offsets, each id once. What is no command, or fits no warning, is
answered in table warning_command and holds up nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from carbonstream.connectors import telemetry
from carbonstream.processors.alarm_commands import Kind, Order, Refusal
from carbonstream.processors.alarm_desk import Answer, Desk, Outcome, Written, verdict
from carbonstream.processors.alarm_states import PRIORITY_NAMES
from carbonstream.processors.enterprise_answers import Reply, ReplyKind
from carbonstream.processors.suppression import Suppression
from carbonstream.schemas.operator import ANSWERING, SUPPRESSING, Command
from carbonstream.schemas.periods import to_datetime, to_ms
from carbonstream.streams.warn_causes import common_causes, end_causes, open_disputes, reviews
from carbonstream.streams.warn_desk import (
    covered,
    due,
    keep,
    load_cards,
    load_conditions,
    load_suppressions,
    newest_episodes,
    take_marks,
)

Connection = psycopg.Connection[Any]

MARKS_A_PASS: Final = 5_000
COMMANDS_A_PASS: Final = 50  # of 200 warnings: 10,000 changes, about a second
SHOWN: Final = 4_000  # characters kept of what is no command

KNOWN: Final = "select id from warning_command where id = any (%s)"
ANSWER: Final = """
insert into warning_command (id, kind, by, why, given_at, taken_at, offset_, outcome, targets, body)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (id) do nothing
"""
MAKE: Final = """
insert into warning_suppression (id, entities, rules, start, "end", recurrence, by, why, made_at, in_force, changes_at)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
TURN: Final = "update warning_suppression set in_force = %s, changes_at = %s where id = %s"
METER_OF: Final = """
select o.id from meter m join site s using (site_id) join entity o on o.number = s.enterprise where m.meter_id = %s
"""
END: Final = """
update warning_suppression set in_force = false, changes_at = null, ended_at = %s, ended_by = %s, ended_why = %s
where id = %s
"""


@dataclass(frozen=True, slots=True)
class Received:
    """A record of warn.commands."""

    partition: int
    offset: int
    value: bytes


def operate(connection: Connection, now: int, received: Sequence[Received]) -> list[Written]:
    """All that changes how warnings stand with the operators at `now` (UTC ms): stored, answered and told.

    A common cause that is told by this is laid on the desk at once, in a turn of its own.
    """
    written, more = _operate(connection, now, received)
    while more:
        further, more = _operate(connection, now, ())
        written += further
    return written


def _operate(connection: Connection, now: int, received: Sequence[Received]) -> tuple[list[Written], bool]:
    found = load_suppressions(connection, now)
    desk = Desk(
        now, [one for one, in_force, is_due in found if (one.is_in_force(now) if is_due else in_force)]
    )
    commands = _readable(connection, now, received)
    marked, overdue = take_marks(connection, MARKS_A_PASS), due(connection, now)
    _put(connection, desk, {*marked, *overdue, *(id_ for _, c in commands for id_ in c.warnings)})
    under_review = (c.answer.dispute.review for c in desk.cards.values() if c.answer and c.answer.dispute)
    _put(connection, desk, list(under_review))
    for id_ in overdue:
        desk.look(id_)
    arrived = load_conditions(connection, desk.cards)
    restated = {(one.id, one.restated_at) for one in arrived if one.restated_at is not None}
    reviewed = reviews(connection, Counter(at for _, at in restated), now)
    folded = common_causes(connection, desk, arrived)
    for one in arrived:
        parent = folded.get(one.id) if one.restated_at is None else reviewed.get(one.restated_at)
        desk.condition(one.id, one.condition, one.source, parent)
    for child, parent in folded.items():
        desk.adopt(child, parent)
    more = bool(reviewed) or bool(folded)
    for suppression, _, is_due in found:
        if is_due:
            _turn(connection, desk, suppression)
    suppressions = {one.id: one for one, _, is_due in found if not (is_due and one.is_over(now))}
    for record, command in commands:
        if command.kind in SUPPRESSING:
            answers = _suppress(connection, desk, suppressions, command)
        elif command.kind in ANSWERING:
            said = _reply(connection, command)
            answers = [
                desk.reply(id_, said, command.id, command.versions.get(id_)) for id_ in command.warnings
            ]
        else:
            order = _order(command)
            answers = [
                desk.order(id_, replace(order, expected=command.versions.get(id_)), command.id)
                for id_ in command.warnings
            ]
        _answer(connection, now, record, command, answers)
    more = open_disputes(connection, desk.written, now) or more
    keep(connection, [desk.cards[id_] for id_ in sorted(desk.touched)], desk.written, now)
    for written in desk.written:
        if written.annunciates:
            telemetry.ANNUNCIATIONS.labels(PRIORITY_NAMES[written.card.priority]).inc()
    return desk.written, end_causes(connection, desk.left, now) or more


def _readable(
    connection: Connection, now: int, received: Sequence[Received]
) -> list[tuple[Received, Command]]:
    """The commands not yet answered, each id once; what is none is answered here."""
    parsed: dict[str, tuple[Received, Command]] = {}
    for record in received:
        try:
            command = Command.model_validate_json(record.value)
        except ValidationError as error:
            problem = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            _refuse(connection, now, record, problem)
            continue
        refused = _refused(connection, now, record, command)
        if refused is None:
            parsed.setdefault(command.id, (record, command))
        else:
            _refuse(connection, now, record, refused)
    known = {id_ for (id_,) in connection.execute(KNOWN, (list(parsed),))}
    return [pair for id_, pair in parsed.items() if id_ not in known]


def _refused(connection: Connection, now: int, record: Received, command: Command) -> str | None:
    """What the database says against an answer to the command, tried before anything is done; None: it takes it.

    The answer holds every text of the command, so what it takes no later statement refuses.
    """
    try:
        with connection.transaction(force_rollback=True):
            _answer(connection, now, record, command, ())
    except psycopg.DataError as error:
        return f"the database does not take it: {error}"
    return None


def _refuse(connection: Connection, now: int, record: Received, problem: str) -> None:
    """Answer what is no command."""
    telemetry.FAULTS.labels("warn", "unreadable command").inc()
    text = record.value[:SHOWN].decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    id_ = f"unreadable/{record.partition}/{record.offset}"
    body = Jsonb({"text": text, "error": problem[:SHOWN].replace("\0", " ")})
    row = (id_, None, None, "", None, to_datetime(now), record.offset, "unreadable", Jsonb([]), body)
    connection.execute(ANSWER, row)


def _put(connection: Connection, desk: Desk, ids: Iterable[str]) -> None:
    """Warnings, and of each one that is an episode the newest of its alarm."""
    cards = load_cards(connection, [id_ for id_ in ids if id_ not in desk.cards])
    newest = newest_episodes(connection, {card.key for card in cards if card.key != card.id})
    loaded = {card.id for card in cards}
    cards += load_cards(connection, [id_ for id_ in newest if id_ not in loaded and id_ not in desk.cards])
    for card in cards:
        desk.put(card)


def _turn(connection: Connection, desk: Desk, one: Suppression) -> None:
    """A suppression whose window opened or closed by the calendar; with its last window it ends."""
    if one.is_over(desk.now):
        connection.execute(END, (to_datetime(desk.now), None, "its last window is over", one.id))
    else:
        changes_at = one.changes_at(desk.now)
        at = None if changes_at is None else to_datetime(changes_at)
        connection.execute(TURN, (one.is_in_force(desk.now), at, one.id))
    _look(connection, desk, one)


def _look(connection: Connection, desk: Desk, one: Suppression) -> None:
    ids = covered(connection, one)
    _put(connection, desk, ids)
    for id_ in ids:
        desk.look(id_)


def _suppress(
    connection: Connection, desk: Desk, known: dict[str, Suppression], command: Command
) -> list[Answer]:
    """suppress or resume; the answer names the suppression."""
    if command.calendar is None:
        one = known.pop(command.suppression or "", None)
        if one is None:
            return [Answer(command.suppression or "", Outcome.REFUSED, Refusal.UNKNOWN)]
        connection.execute(END, (to_datetime(desk.now), command.by, command.why, one.id))
        desk.in_force = [other for other in desk.in_force if other.id != one.id]
    else:
        asked = command.calendar
        one = Suppression(
            command.id, asked.entities, asked.rules, _ms(asked.start), _ms(asked.end), asked.recurrence
        )
        changes_at, in_force = one.changes_at(desk.now), one.is_in_force(desk.now)
        if one.is_over(desk.now):
            return [Answer(one.id, Outcome.REFUSED, Refusal.EXPIRED)]
        known[one.id] = one
        connection.execute(
            MAKE,
            (
                one.id, list(one.entities), list(one.rules), asked.start, asked.end, asked.recurrence, command.by,
                command.why, to_datetime(desk.now), in_force, None if changes_at is None else to_datetime(changes_at),
            ),
        )  # fmt: skip
        if in_force:
            desk.in_force.append(one)
    _look(connection, desk, one)
    return [Answer(one.id, Outcome.APPLIED)]


def _order(command: Command) -> Order:
    until, remind_at = _ms(command.until), _ms(command.remind_at)
    return Order(Kind(command.kind), command.by, command.why, None, until, remind_at)


def _reply(connection: Connection, command: Command) -> Reply:
    disputed, meter_of = command.disputed, None
    if disputed is not None:
        row = connection.execute(METER_OF, (disputed.meter,)).fetchone()
        meter_of = None if row is None else row[0]
    return Reply(
        ReplyKind(command.kind), command.by, command.why, command.enterprise,
        "" if disputed is None else disputed.of, "" if disputed is None else disputed.meter, meter_of,
    )  # fmt: skip


def _answer(
    connection: Connection, now: int, record: Received, command: Command, answers: Sequence[Answer]
) -> None:
    targets = [
        {"target": a.warning, "outcome": a.outcome.value}
        | ({} if a.reason is None else {"reason": a.reason.value})
        for a in answers
    ]
    connection.execute(
        ANSWER,
        (
            command.id, command.kind, command.by, command.why, command.at, to_datetime(now), record.offset,
            verdict(answers), Jsonb(targets), Jsonb(command.model_dump(mode="json", exclude_defaults=True)),
        ),
    )  # fmt: skip


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)
