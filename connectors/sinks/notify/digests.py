"""Daily digests into the queue: each subscription's once a local day, by its own time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import psycopg

from carbonstream.connectors.sinks.notify.enqueueing import ENTERPRISES, load_subscriptions
from carbonstream.connectors.sinks.notify.second_ways import write_notice
from carbonstream.processors.notices import Change, notice_id
from carbonstream.processors.notices_digest import Happened, digest, due_day, span

Connection = psycopg.Connection[Any]

WANTED: Final = """
select id, digest_at, digest_day from notice_subscription
where digest_at is not null and disabled is null order by id for update skip locked
"""
MADE: Final = "update notice_subscription set digest_day = %s where id = %s"
HAPPENED: Final = """
select 'open', id, version, entity, rule, severity, raised_at from warning where state = 'active' and not backfill
union all
select case h.state when 'active' then 'raised' else 'cleared' end, w.id, h.version, w.entity, w.rule, w.severity,
  h.changed_at
from warning_history h join warning w using (id)
where h.changed_at >= %(begin)s and h.changed_at < %(end)s and not h.backfill
"""


def make_digests(connection: Connection, now: datetime) -> int:
    """Those that are due at `now` and not made yet; how many. One transaction."""
    with connection.transaction():
        wanted = connection.execute(WANTED).fetchall()
        due = [
            (id_, at, last, day) for id_, at, last in wanted if (day := due_day(at, last, now)) is not None
        ]
        subscriptions = {one.id: one for one in load_subscriptions(connection)} if due else {}
        known: dict[tuple[datetime, datetime], list[Happened]] = {}
        for id_, at, last, day in due:
            times = span(at, day, last)
            if times not in known:
                known[times] = _happened(connection, *times)
            content = digest(subscriptions[id_], known[times], *times)
            write_notice(connection, notice_id(id_, f"digest:{day}", 1), id_, "digest", content, now)
            connection.execute(MADE, (day, id_))
    return len(due)


def _happened(connection: Connection, begin: datetime, end: datetime) -> list[Happened]:
    rows = connection.execute(HAPPENED, {"begin": begin, "end": end}).fetchall()
    entities = sorted({row[3] for row in rows})
    owners: dict[str, str] = dict(connection.execute(ENTERPRISES, {"entities": entities}).fetchall())
    return [
        Happened(what, Change(id_, version, entity, rule, severity, False, {}), at, owners.get(entity))
        for what, id_, version, entity, rule, severity, at in rows
    ]
