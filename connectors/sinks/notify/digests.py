"""Daily digests into the queue: each subscription's once a local day, by its own time.

A digest tells what was inserted into the history since the one before, so each change is in exactly one of them: its
time is warn's tick, which may lie before a digest that was made without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import psycopg

from carbonstream.connectors.database import one_row
from carbonstream.connectors.sinks.notify.enqueueing import ENTERPRISES, entity_names, load_subscriptions
from carbonstream.connectors.sinks.notify.second_ways import write_notice
from carbonstream.processors.notices import Change, notice_id
from carbonstream.processors.notices_digest import (
    KINDS,
    Happened,
    Made,
    digest,
    instant_on,
    next_digest,
    with_records,
)
from carbonstream.schemas.periods import SHANGHAI

Connection = psycopg.Connection[Any]

FORGET: Final = """
update notice_subscription set digest_until = null, digest_seq = null
where digest_at is null and digest_until is not null
"""
# What is locked here was perhaps just made elsewhere: the row is read as it stands once it is locked.
WANTED: Final = """
select id, digest_at, digest_day, digest_until, digest_seq from notice_subscription
where digest_at is not null and disabled is null order by id {lock}
"""
LOCKED: Final = "for update skip locked"
MADE: Final = "update notice_subscription set digest_until = %s, digest_seq = %s where id = %s"
# A number is given before its row can be seen. The lock waits for those who write now, so that no lower one comes
# after. Who writes next waits for the lock, so it is given up after 2 s, and tried again in a minute.
WAIT: Final = "set local lock_timeout = '2s'"
LOCK: Final = "lock table warning_history in share mode"
NEWEST: Final = "select coalesce(max(seq), 0) from warning_history"
BEGUN: Final = """
select coalesce(min(seq) - 1, %(newest)s) from warning_history where changed_at >= %(since)s and seq <= %(newest)s
"""
# What was raised, and its end, count by the class it was raised with: the end may be judged with a lower one.
HAPPENED: Final = """
select 'open', id, version, entity, rule, severity, raised_at, raised_at from warning
where state = 'active' and not backfill
union all
select case h.state when 'active' then 'raised' else 'cleared' end, w.id, h.version, w.entity, w.rule,
  coalesce(raised.class, w.severity), h.changed_at,
  -- raised again since, the version before tells
  case when w.raised_at <= h.changed_at then w.raised_at else coalesce(raised.changed_at, h.changed_at) end
from warning_history h join warning w using (id)
left join lateral (
  select r.snapshot #>> '{definition,class}' as class, r.changed_at from warning_history r
  where r.id = h.id and r.version <= h.version and r.state = 'active' order by r.version desc limit 1) raised on true
where h.seq > %(begin)s and h.seq <= %(end)s and not h.backfill
"""
# What the change of each line measured, as carbon.warnings has it.
RECORDS: Final = """
select h.id, h.version, w.indicator, w.period, w.level::text, h.bucket, h.state,
  h.snapshot - 'parts' - 'meters'  -- long lists that no line tells
from unnest(%s::text[], %s::int[]) as t (id, version)
join warning_history h using (id, version) join warning w using (id)
"""


def make_digests(connection: Connection, now: datetime) -> int:
    """Those that are due at `now` and not made yet; how many. connection: in autocommit."""
    connection.execute(FORGET)
    wanted = connection.execute(WANTED.format(lock="")).fetchall()
    if not any(
        until is None or next_digest(at, Made(until, seq), now, seq) for _, at, _, until, seq in wanted
    ):
        return 0
    try:
        newest = _newest(connection)
    except psycopg.errors.LockNotAvailable:
        return 0
    made = 0
    with connection.transaction():
        subscriptions = {one.id: one for one in load_subscriptions(connection)}
        known: dict[int, list[Happened]] = {}
        for id_, at, day, until, seq in connection.execute(WANTED.format(lock=LOCKED)).fetchall():
            since = instant_on(day, at) if until is None else until
            last = Made(since, _begun(connection, since, newest) if until is None else seq)
            following = next_digest(at, last, now, newest)
            if following is not None:
                if last.seq not in known:
                    known[last.seq] = _happened(connection, last.seq, following.seq)
                content = digest(subscriptions[id_], known[last.seq], last.until, following.until)
                content = with_records(content, _records(connection, content))
                name = f"digest:{following.until.isoformat()}"
                write_notice(connection, notice_id(id_, name, 1), id_, "digest", content, now)
                made += 1
            stands = following or last
            connection.execute(MADE, (stands.until, stands.seq, id_))
    return made


def _newest(connection: Connection) -> int:
    """Position in the history up to which all is committed."""
    with connection.transaction():
        connection.execute(WAIT)
        connection.execute(LOCK)
        return int(one_row(connection, NEWEST)[0])


def _begun(connection: Connection, since: datetime, newest: int) -> int:
    """Position before the first change that bears a time from `since` on."""
    row = connection.execute(BEGUN, {"since": since, "newest": newest}).fetchone()
    return newest if row is None else int(row[0])


def _happened(connection: Connection, begin: int, end: int) -> list[Happened]:
    rows = connection.execute(HAPPENED, {"begin": begin, "end": end}).fetchall()
    entities = sorted({row[3] for row in rows})
    owners: dict[str, str] = dict(connection.execute(ENTERPRISES, {"entities": entities}).fetchall())
    return [
        Happened(what, Change(id_, version, entity, rule, severity, False, {}), at, owners.get(entity), since)
        for what, id_, version, entity, rule, severity, at, since in rows
    ]


def _records(connection: Connection, content: Mapping[str, Any]) -> dict[tuple[str, int], Mapping[str, Any]]:
    """Of the lines of a digest: what their changes measured, and their entities' names."""
    lines = [line for what in KINDS for line in content[what]["warnings"]]
    if not lines:
        return {}
    columns = [[line[name] for line in lines] for name in ("id", "version")]
    names = entity_names(connection, {line["entity"] for line in lines})
    found = {
        (id_, version): {
            "indicator": indicator, "period": str(period), "level": level,
            "bucket": bucket.astimezone(SHANGHAI).isoformat(timespec="seconds"), "state": state,
            "snapshot": snapshot,
        }
        for id_, version, indicator, period, level, bucket, state, snapshot in connection.execute(RECORDS, columns)
    }  # fmt: skip
    return {
        (line["id"], line["version"]): found.get((line["id"], line["version"]), {})
        | names.get(line["entity"], {})
        for line in lines
    }
