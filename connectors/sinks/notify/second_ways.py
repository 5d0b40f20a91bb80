"""Second ways of notices that a subscription's backup channels take: fail-over, and escalation of alarms.

Each call is one transaction, and can be made by several processes: rows are locked, and what was done is noted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from carbonstream.processors.enterprise_answers import RESPOND_S
from carbonstream.processors.notices import notice_id
from carbonstream.processors.notices_delivery import FAILURES_TO_OPEN, TRIED_FOR

Connection = psycopg.Connection[Any]
A_PASS: Final = 1_000

# A delivery that is dead, or due on a channel whose circuit is open, goes to the first backup that works; one that
# fails on a backup goes to a later one. Dead for more than a day it is of no use to anybody now, and what was removed
# was meant to end.
HAND_OVER: Final = """
with going as (
  select d.notice, d.channel, (
    select b.id from notice_private.channel b
    where b.subscription = c.subscription and b.is_backup and b.disabled is null and b.failures < %(open)s
      and (b.id > c.id or not c.is_backup)
    order by b.id limit 1) as backup
  from notice_private.channel c join notice_delivery d on d.channel = c.id
  where not d.handed_over and (
      d.state = 'dead' and d.settled_at > %(now)s - %(tried_for)s and d.reason is distinct from 'removed'
      or d.state = 'waiting' and c.failures >= %(open)s and d.since <= %(now)s)
    and exists (select from notice_private.channel b where b.subscription = c.subscription and b.is_backup
      and b.disabled is null and b.failures < %(open)s and (b.id > c.id or not c.is_backup))
  limit %(most)s for update of d skip locked
), handed as (
  update notice_delivery d set handed_over = true from going g
  where (d.notice, d.channel) = (g.notice, g.channel) returning d.notice, g.backup
)
insert into notice_delivery (notice, channel, state, since, next_at)
select distinct notice, backup, 'waiting', %(now)s::timestamptz, %(now)s::timestamptz from handed
on conflict (notice, channel) do nothing
"""
# Only what a subscription was told of the alarm's present raising is escalated, so whose it is was judged then.
UNACKNOWLEDGED: Final = """
select c.subscription, c.warning, c.version, c.record, o.raised_at,
  coalesce((c.record #>> '{snapshot,definition,respond_s}')::int, %(respond_s)s)
from warning_operator o join notice_change c on (c.warning, c.version) = (o.id, o.raised_version)
join notice_subscription s on s.id = c.subscription
where o.state = 'active-unacked' and o.class = 1 and c.escalated_at is null and s.disabled is null
  and o.raised_at + coalesce((c.record #>> '{snapshot,definition,respond_s}')::int, %(respond_s)s)
    * interval '1 second' <= %(now)s
  and exists (select from notice_private.channel b
    where b.subscription = c.subscription and b.is_backup and b.disabled is null)
order by o.raised_at, c.warning limit %(most)s for update of c skip locked
"""
ESCALATED: Final = """
update notice_change set escalated_at = %s where subscription = %s and warning = %s and version = %s
"""
WRITE: Final = """
insert into notice (id, subscription, opened_at, closes_at, closed, kind, content)
values (%(id)s, %(subscription)s, %(now)s, %(now)s, true, %(kind)s, %(content)s) on conflict (id) do nothing
"""
DELIVER: Final = """
insert into notice_delivery (notice, channel, state, since, next_at)
select %(id)s, c.id, 'waiting', %(now)s, %(now)s from notice_private.channel c
where c.subscription = %(subscription)s and c.disabled is null and (%(backups)s and c.is_backup
  or not %(backups)s and (not c.is_backup or not exists (select from notice_private.channel p
    where p.subscription = c.subscription and not p.is_backup and p.disabled is null)))
on conflict (notice, channel) do nothing
"""


def fail_over(connection: Connection, now: datetime) -> int:
    """Hand what failed to backup channels, with the same ids; how many deliveries were added."""
    given = {"now": now, "open": FAILURES_TO_OPEN, "tried_for": TRIED_FOR, "most": A_PASS}
    with connection.transaction():
        return connection.execute(HAND_OVER, given).rowcount


def escalate(connection: Connection, now: datetime) -> int:
    """Tell backup channels of alarms that nobody acknowledged within their time to respond; how many notices."""
    with connection.transaction():
        given = {"now": now, "respond_s": RESPOND_S[1], "most": A_PASS}
        found = connection.execute(UNACKNOWLEDGED, given).fetchall()
        for subscription, warning, version, record, raised_at, respond_s in found:
            content = {
                "warnings": [record],
                "raised_at": raised_at.isoformat(),
                "respond_by": (raised_at + timedelta(seconds=respond_s)).isoformat(),
            }
            id_ = notice_id(subscription, f"escalated:{warning}", version)
            write_notice(connection, id_, subscription, "escalated", content, now)
            connection.execute(ESCALATED, (now, subscription, warning, version))
    return len(found)


def write_notice(
    connection: Connection, id_: str, subscription: str, kind: str, content: dict[str, Any], now: datetime
) -> None:
    """A notice with content of its own into the queue: escalated to the backups, others to the other channels."""
    given = {"id": id_, "subscription": subscription, "now": now, "kind": kind, "content": Jsonb(content)}
    connection.execute(WRITE, given)
    connection.execute(
        DELIVER, {k: given[k] for k in ("id", "subscription", "now")} | {"backups": kind == "escalated"}
    )
