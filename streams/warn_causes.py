"""Common causes in the database: which conditions have one, and the warnings that stand for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg

from carbonstream.processors.alarm_desk import Desk, Written
from carbonstream.processors.alarm_grouping import COMMON_CAUSE, Key, Member, fold
from carbonstream.processors.alarm_parents import Published, cause_record, dispute_record, review_record
from carbonstream.processors.enterprise_answers import ReplyKind
from carbonstream.processors.warnings import State
from carbonstream.schemas.periods import local_iso, to_ms
from carbonstream.schemas.warnings import Warning as WarningRecord
from carbonstream.streams.warn_book import write_warnings
from carbonstream.streams.warn_desk import Arrived, load_cards

Connection = psycopg.Connection[Any]

PUBLISHED: Final = """
select distinct on (k.published_at) k.id, c.id, k.kind, k.scope, to_char(k.month, 'YYYY-MM'), k.document, k.published_at
from coefficient k join carrier c on c.number = k.carrier
where k.published_at = any (%s) order by k.published_at, k.id
"""
EXISTING: Final = "select id from warning where id = any (%s)"
STANDING: Final = """
select distinct c.rule, c.source, c.parent
from warning_operator c join warning_operator p on p.id = c.parent
where c.source = any (%s) and c.active and p.rule = %s and p.active
"""
SIBLINGS: Final = """
select id from warning_operator
where source = any (%s) and active and parent is null and quiet is null and not (id = any (%s))
"""
OVER: Final = """
select id, version, rule, entity, indicator, period, severity, priority, snapshot from warning w
where id = any (%s) and rule = %s and state = 'active'
  and not exists (select from warning_operator c where c.parent = w.id and c.active)
"""


def reviews(connection: Connection, published: Mapping[datetime, int], now: int) -> dict[datetime, str]:
    """Publishing time -> id of the review item, which is told where it is not yet. published: how many warnings each
    restated.
    """
    if not published:
        return {}
    found = {
        at: Published(id_, carrier, kind, scope, month, document, to_ms(at))
        for id_, carrier, kind, scope, month, document, at in connection.execute(
            PUBLISHED, (sorted(published),)
        )
    }
    _tell_new(connection, [review_record(one, published[at], now) for at, one in found.items()])
    return {at: one.review for at, one in found.items()}


def common_causes(connection: Connection, desk: Desk, arrived: Sequence[Arrived]) -> dict[str, str]:
    """Warning -> the alarm it is folded into, for what arrives with a source and for what stands already and shares it.

    A new alarm is told before its children are laid on the desk, so that none of them is annunciated.
    """
    latest = {one.id: one for one in arrived}
    rising = [
        Member(id_, card.rule, one.source, card.entity, one.condition.at, card.class_, card.priority)
        for id_, one in latest.items()
        if one.source is not None and one.condition.active and one.condition.quiet is None
        and (card := desk.cards[id_]).parent is None
    ]  # fmt: skip
    if not rising:
        return {}
    sources = sorted({member.source for member in rising})
    known: Mapping[Key, str] = {
        (rule, source): parent
        for rule, source, parent in connection.execute(STANDING, (sources, COMMON_CAUSE))
    }
    found = [id_ for (id_,) in connection.execute(SIBLINGS, (sources, list(latest)))]
    for card in load_cards(connection, [id_ for id_ in found if id_ not in desk.cards]):
        desk.put(card)
    standing = [
        Member(c.id, c.rule, c.source or "", c.entity, c.standing.raised_at, c.class_, c.priority)
        for c in (desk.cards[id_] for id_ in found)
    ]
    folded = fold([*rising, *standing], known)
    _tell_new(connection, [cause_record(parent, desk.now) for parent in folded.new])
    return dict(folded.parents)


def end_causes(connection: Connection, left: Collection[str], now: int) -> bool:
    """Clear the causes all of whose children have cleared; True where one was."""
    rows = connection.execute(OVER, (sorted(left), COMMON_CAUSE)).fetchall() if left else []
    records = [
        WarningRecord(
            id=id_,
            version=version + 1,
            rule=rule,
            entity=entity,
            indicator=indicator,
            period=period.isoformat(),
            level=None,
            severity=severity,
            priority=priority,
            state=State.CLEARED.value,
            bucket=local_iso(now),
            backfill=False,
            snapshot=snapshot,
            changed_at=local_iso(now),
        )
        for id_, version, rule, entity, indicator, period, severity, priority, snapshot in rows
    ]
    write_warnings(connection, records)
    return bool(records)


def open_disputes(connection: Connection, written: Sequence[Written], now: int) -> bool:
    """Tell the review items of what was disputed just now; True where there is one."""
    records = [
        dispute_record(one.card, one.card.answer.dispute, now)
        for one in written
        if one.operation == ReplyKind.DISPUTE
        and one.card.answer is not None
        and one.card.answer.dispute is not None
    ]
    _tell_new(connection, records)
    return bool(records)


def _tell_new(connection: Connection, records: list[WarningRecord]) -> None:
    if records:
        existing = {id_ for (id_,) in connection.execute(EXISTING, ([r.id for r in records],))}
        write_warnings(connection, [record for record in records if record.id not in existing])
