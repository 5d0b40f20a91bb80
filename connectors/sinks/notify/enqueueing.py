"""Changes of warnings into the queue: their notices, deliveries and the position in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from carbonstream.connectors.sinks.notify.quieting import quiet_of_changes
from carbonstream.processors.notices import Change, Enqueued, Last, Open, Subscription, enqueue

Connection = psycopg.Connection[Any]

SUBSCRIPTIONS: Final = """
select id, enterprise, operator_group, entities, rules, severity, quiet_from, quiet_until, language, group_s
from notice_subscription where disabled is null order by id
"""
# Whose an entity is; what is not here is nobody's own, and no enterprise is told of it.
ENTERPRISES: Final = """
select e.id, o.id from site s join entity e on e.number = s.entity join entity o on o.number = s.enterprise
where e.id = any(%(entities)s)
union all
select id, id from entity where kind = 'enterprise' and id = any(%(entities)s)
"""
NAMES: Final = "select id, name_zh, name_en from entity where id = any(%s)"
KNOWN: Final = """
select c.subscription, c.warning, c.version from notice_change c
join (select distinct * from unnest(%s::text[], %s::int[])) as t (warning, version) using (warning, version)
where c.subscription = any(%s)
"""
# A warning may have hundreds of versions of some kB: only the newest is read.
LASTS: Final = """
select subscription, warning, version, c.record ->> 'state' = 'active'
from (select subscription, warning, max(version) as version from notice_change
      where warning = any(%s) and subscription = any(%s) group by 1, 2) newest
join notice_change c using (subscription, warning, version)
"""
# The lock makes a worker wait that is about to close one, so that what joins is sent with it.
OPEN: Final = """
select n.id, n.subscription, n.closes_at,
  (select count(*)::int from notice_change c where c.notice = n.id)
from notice n where n.subscription = any(%s) and not n.closed and n.closes_at > %s
order by n.id for update of n
"""
NOTICE: Final = """
insert into notice (id, subscription, opened_at, closes_at) values (%s, %s, %s, %s)
"""
CHANGE: Final = """
insert into notice_change (subscription, warning, version, notice, record) values (%s, %s, %s, %s, %s)
"""
# Backups wait for a failure; where there is nothing else left they are the channels.
DELIVERIES: Final = """
insert into notice_delivery (notice, channel, state, since, next_at)
select n.id, c.id, 'waiting', n.closes_at, n.closes_at
from notice n join notice_private.channel c using (subscription)
where n.id = any(%s) and c.disabled is null and (not c.is_backup or not exists (
  select from notice_private.channel p
  where p.subscription = c.subscription and not p.is_backup and p.disabled is null))
"""
POSITION: Final = """
insert into notice_position (partition, topic_id, next_offset) values (%s, %s, %s)
on conflict (partition) do update set (topic_id, next_offset) = (excluded.topic_id, excluded.next_offset)
"""


def load_subscriptions(connection: Connection) -> list[Subscription]:
    """Those that are on."""
    return [
        Subscription(
            id_, enterprise, group, tuple(entities), tuple(rules), severity,
            (quiet_from, quiet_until) if quiet_from is not None else None, language, group_s,
        )
        for id_, enterprise, group, entities, rules, severity, quiet_from, quiet_until, language, group_s
        in connection.execute(SUBSCRIPTIONS)
    ]  # fmt: skip


def enqueue_changes(
    connection: Connection, changes: Sequence[Change], positions: Mapping[int, tuple[str, int]], now: datetime
) -> Enqueued:
    """One transaction: what the changes add to the queue, and where the reader stands now.

    positions: partition -> (topic id, next offset). One process at a time calls this.
    """
    with connection.transaction():
        subscriptions = load_subscriptions(connection) if changes else []
        added = _plan(connection, changes, subscriptions, now)
        with connection.cursor() as cursor:
            cursor.executemany(NOTICE, [(n.id, n.subscription, now, n.closes_at) for n in added.notices])
            names = entity_names(connection, {j.change.entity for j in added.joined})
            cursor.executemany(
                CHANGE,
                [
                    (j.subscription, j.change.warning, j.change.version, j.notice,
                     Jsonb({**j.change.record, **names.get(j.change.entity, {})}))
                    for j in added.joined
                ],
            )  # fmt: skip
            cursor.execute(DELIVERIES, ([n.id for n in added.notices],))
            cursor.executemany(POSITION, [(number, *at) for number, at in positions.items()])
    return added


def entity_names(connection: Connection, entities: Collection[str]) -> dict[str, dict[str, Any]]:
    """What a notice says of these entities beside their ids; none of what is no entity."""
    if not entities:
        return {}
    rows = connection.execute(NAMES, (sorted(entities),)).fetchall()
    return {id_: {"entity_name": {"zh": zh, "en": en}} for id_, zh, en in rows}


def write_positions(connection: Connection, positions: Mapping[int, tuple[str, int]]) -> None:
    """Where the reader begins."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(POSITION, [(number, *at) for number, at in positions.items()])


def _plan(
    connection: Connection, changes: Sequence[Change], subscriptions: Sequence[Subscription], now: datetime
) -> Enqueued:
    if not changes or not subscriptions:
        return Enqueued((), ())
    names = [subscription.id for subscription in subscriptions]
    entities = sorted({change.entity for change in changes})
    enterprises: dict[str, str] = dict(connection.execute(ENTERPRISES, {"entities": entities}).fetchall())
    warnings, versions = [c.warning for c in changes], [c.version for c in changes]
    known = set(connection.execute(KNOWN, (warnings, versions, names)).fetchall())
    told = {
        (subscription, warning): Last(version, is_active)
        for subscription, warning, version, is_active in connection.execute(LASTS, (warnings, names))
    }
    quiet = quiet_of_changes(connection, changes)
    open_ = [Open(*row) for row in connection.execute(OPEN, (names, now))]
    return enqueue(changes, subscriptions, enterprises, open_, known, told, quiet, now)
