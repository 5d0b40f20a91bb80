"""The operators' layer of warn in the database: cards, operations, commands, suppressions.

All in the transaction of the pass: what a command changed, its answer, the outbox rows that tell it and the position
behind it are there together or not at all, so a killed warn applies each command once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from carbonstream.processors.alarm_desk import Card, Written
from carbonstream.processors.alarm_grouping import REVIEWS, Told, instant_of, is_restated, quiet_of
from carbonstream.processors.alarm_states import (
    CLASS,
    RANK,
    Condition,
    OperatorState,
    OutOfService,
    Quiet,
    Shelf,
    Standing,
    due_at,
    priority_of,
)
from carbonstream.processors.enterprise_answers import answer_due_at, answer_of, document
from carbonstream.processors.suppression import Suppression
from carbonstream.schemas import topics
from carbonstream.schemas.operator import Operation
from carbonstream.schemas.periods import local_iso, to_datetime, to_ms

Connection = psycopg.Connection[Any]

TAKE_MARKS: Final = """
delete from warning_mark where ctid in (select ctid from warning_mark limit %s) returning id
"""
DUE: Final = "select id from warning_operator where due_at <= %s"
CARDS: Final = """
select w.id, w.entity, w.rule, w.severity, w.priority, o.priority, o.change, o.version, o.state, o.since, o.active,
       o.acked, o.quiet, o.raised_version, o.raised_at, o.claimed_by, o.shelf, o.out_of_service, o.suppressed_by,
       o.source, o.parent, o.answer, own.enterprise,
       exists (select from notice_subscription n where n.enterprise = own.enterprise and n.disabled is null),
       (w.snapshot #>> '{definition,respond_s}')::int
from warning w left join warning_operator o using (id)
left join lateral (
  select coalesce(owner.id, e.id) as enterprise
  from entity e left join site s on s.entity = e.number left join entity owner on owner.number = s.enterprise
  where e.id = w.entity and (e.kind = 'enterprise' or owner.id is not null)
) own on true
where w.id = any (%s)
"""
NEWEST: Final = """
select (select max(o.id) from warning_operator o where o.key = asked.key) from unnest(%s::text[]) asked (key)
"""
# With what tells a restatement: when the newest coefficient in it was published, and whether its month is locked.
CONDITIONS: Final = """
select h.id, h.version, h.state = 'active', h.changed_at, h.backfill, w.rule, h.snapshot ->> 'source',
       h.snapshot ->> 'until', newest.published_at,
       h.snapshot #>> '{target,grain}' = 'month' and exists (
         select from locked_period l join entity e on e.number = l.entity where e.id = w.entity and l.month = w.period)
from warning_history h join warning w using (id) left join warning_operator o using (id)
left join lateral (
  select max(k.published_at) as published_at
  from jsonb_path_query(h.snapshot, '$.parts[*].coefficient ? (@.type() == "number")') c
  join coefficient k on k.id = (c #>> '{}')::numeric::bigint
) newest on true
where h.id = any (%s) and h.version > coalesce(o.version, 0)
order by h.id, h.version
"""
KEEP: Final = """
insert into warning_operator as o (id, key, entity, rule, change, version, state, rank, priority, class, since, active,
  acked, quiet, raised_version, raised_at, claimed_by, shelf, out_of_service, suppressed_by, source, parent,
  due_at, answer)
values (%(id)s, %(key)s, %(entity)s, %(rule)s, %(change)s, %(version)s, %(state)s, %(rank)s, %(priority)s, %(class)s,
  %(since)s, %(active)s, %(acked)s, %(quiet)s, %(raised_version)s, %(raised_at)s, %(claimed_by)s, %(shelf)s,
  %(out_of_service)s, %(suppressed_by)s, %(source)s, %(parent)s, %(due_at)s, %(answer)s)
on conflict (id) do update set (change, version, state, rank, priority, class, since, active, acked, quiet,
  raised_version, raised_at, claimed_by, shelf, out_of_service, suppressed_by, source, parent, due_at, answer) =
  (excluded.change, excluded.version, excluded.state, excluded.rank, excluded.priority, excluded.class,
  excluded.since, excluded.active, excluded.acked, excluded.quiet, excluded.raised_version, excluded.raised_at,
  excluded.claimed_by, excluded.shelf, excluded.out_of_service, excluded.suppressed_by, excluded.source,
  excluded.parent, excluded.due_at, excluded.answer)
"""
APPEND: Final = """
insert into warning_operation (warning, change, operation, version, from_state, to_state, annunciates, priority, class,
  at, by, why, command, until)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
TELL: Final = "insert into outbox (topic, shard_key, key, value) values (%s, %s, %s, %s)"
SUPPRESSIONS: Final = """
select id, entities, rules, start, "end", recurrence, in_force, coalesce(changes_at <= %s, false)
from warning_suppression where ended_at is null order by id
"""


def take_marks(connection: Connection, most: int) -> list[str]:
    """Warnings whose condition changed."""
    return sorted({id_ for (id_,) in connection.execute(TAKE_MARKS, (most,))})


def due(connection: Connection, now: int) -> list[str]:
    """Warnings that the clock changes now (UTC ms)."""
    return [id_ for (id_,) in connection.execute(DUE, (to_datetime(now),))]


def newest_episodes(connection: Connection, keys: Iterable[str]) -> list[str]:
    """The newest warning that stands of each alarm."""
    return [id_ for (id_,) in connection.execute(NEWEST, (sorted(keys),)) if id_ is not None]


def load_cards(connection: Connection, ids: Iterable[str]) -> list[Card]:
    """The cards of the warnings that exist."""
    return [_card(*row) for row in connection.execute(CARDS, (list(ids),))]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A change that the rules told since the warning was last on the desk. restated_at: of the factor that is why."""

    id: str
    condition: Condition
    source: str | None
    restated_at: datetime | None


def load_conditions(connection: Connection, ids: Iterable[str]) -> list[Arrived]:
    """What the rules told of warnings since they were last on the desk, in the order told."""
    found = []
    for id_, version, active, at, backfill, rule, source, until, published_at, locked in connection.execute(
        CONDITIONS, (list(ids),)
    ):
        published_ms = None if published_at is None else to_ms(published_at)
        told = Told(to_ms(at), instant_of(until), published_ms, backfill, bool(locked))
        quiet = quiet_of(told)
        condition = Condition(version, active, to_ms(at), quiet, rule in REVIEWS)
        restated_at = published_at if quiet is Quiet.RESTATEMENT and is_restated(told) else None
        found.append(Arrived(id_, condition, source, restated_at))
    return found


def _card(
    id_: str, entity: str, rule: str, severity: str, told_priority: str | None,
    known_priority: int | None, change: int | None, version: int, state: str, since: Any,
    active: bool, acked: bool, quiet: str | None, raised_version: int, raised_at: Any, claimed_by: str | None,
    shelf: dict[str, Any] | None, out_of_service: dict[str, Any] | None, suppressed_by: str | None,
    source: str | None, parent: str | None, answer: dict[str, Any] | None, enterprise: str | None, is_told: bool,
    respond_s: int | None,
) -> Card:  # fmt: skip
    class_ = CLASS[severity]
    priority = priority_of(told_priority, known_priority, class_)
    if change is None:
        return Card(
            id_, entity, rule, class_, priority, enterprise=enterprise, is_told=is_told, respond_s=respond_s
        )
    standing = Standing(
        version, active, acked, None if quiet is None else Quiet(quiet), raised_version, to_ms(raised_at), claimed_by,
        None if shelf is None else Shelf(**shelf),
        None if out_of_service is None else OutOfService(**out_of_service),
    )  # fmt: skip
    state_ = OperatorState(state)
    return Card(
        id_,
        entity,
        rule,
        class_,
        priority,
        change,
        state_,
        to_ms(since),
        suppressed_by,
        source,
        parent,
        standing,
        answer_of(answer),
        enterprise,
        is_told,
        respond_s,
    )


def keep(connection: Connection, cards: Iterable[Card], written: Sequence[Written], now: int) -> None:
    """Store cards as they stand, append what was written, and tell it."""
    at = to_datetime(now)
    with connection.cursor() as cursor:
        cursor.executemany(KEEP, [_row(card) for card in cards])
        cursor.executemany(
            APPEND,
            [
                (
                    w.card.id, w.card.change, w.operation, w.card.standing.version, w.from_state.value,
                    w.card.state.value, w.annunciates, w.card.priority, w.card.class_, at, w.by, w.why, w.command,
                    None if w.until is None else to_datetime(w.until),
                )
                for w in written
            ],
        )  # fmt: skip
        cursor.executemany(
            TELL,
            [
                (topics.WARNINGS, w.card.entity, w.card.id, Jsonb(operation(w, now).model_dump()))
                for w in written
            ],
        )


def operation(written: Written, now: int) -> Operation:
    """A change as carbon.warnings tells it."""
    card = written.card
    return Operation(
        operation=written.operation,
        warning=card.id,
        change=card.change,
        version=card.standing.version,
        entity=card.entity,
        from_state=written.from_state.value,
        to_state=card.state.value,
        annunciates=written.annunciates,
        at=local_iso(now),
        by=written.by,
        why=written.why,
        command=written.command,
        until=None if written.until is None else local_iso(written.until),
    )


def _row(card: Card) -> dict[str, Any]:
    standing, shelf, out = card.standing, card.standing.shelf, card.standing.out_of_service
    due_ms = min(
        (at for at in (due_at(standing), answer_due_at(card.answer)) if at is not None), default=None
    )
    return {
        "id": card.id,
        "key": card.key,
        "entity": card.entity,
        "rule": card.rule,
        "change": card.change,
        "version": standing.version,
        "state": card.state.value,
        "rank": RANK[card.state],
        "priority": card.priority,
        "class": card.class_,
        "since": to_datetime(card.since),
        "active": standing.active,
        "acked": standing.acked,
        "quiet": standing.quiet,
        "raised_version": standing.raised_version,
        "raised_at": to_datetime(standing.raised_at),
        "claimed_by": standing.claimed_by,
        "shelf": None
        if shelf is None
        else Jsonb(
            {
                "by": shelf.by,
                "why": shelf.why,
                "until": shelf.until,
                "remind_at": shelf.remind_at,
                "reminded": shelf.reminded,
            }
        ),
        "out_of_service": None if out is None else Jsonb({"by": out.by, "why": out.why}),
        "suppressed_by": card.suppressed_by,
        "source": card.source,
        "parent": card.parent,
        "due_at": None if due_ms is None else to_datetime(due_ms),
        "answer": None if card.answer is None else Jsonb(document(card.answer)),
    }


def load_suppressions(connection: Connection, now: int) -> list[tuple[Suppression, bool, bool]]:
    """Those not ended: (suppression, in force as last looked at, to be looked at again)."""
    return [
        (
            Suppression(
                id_,
                tuple(entities),
                tuple(rules),
                None if start is None else to_ms(start),
                None if end is None else to_ms(end),
                recurrence,
            ),
            in_force,
            is_due,
        )
        for id_, entities, rules, start, end, recurrence, in_force, is_due in connection.execute(
            SUPPRESSIONS, (to_datetime(now),)
        )
    ]


def covered(connection: Connection, suppression: Suppression) -> list[str]:
    """Warnings that a suppression concerns."""
    rows = connection.execute("select id, entity, rule from warning_operator")
    return [id_ for id_, entity, rule in rows if suppression.covers(entity, rule)]
