"""The durable queue: channels are leased (SKIP LOCKED), attempts counted before they are made, receipts kept.

A worker that ends between sending and recording loses its lease with its session (or when it runs out, where it hangs);
the next one sends the same notice with the same id again. Each function is one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg

from carbonstream.connectors.sinks.notify.sending import Channel, Message
from carbonstream.processors.notices_delivery import OBEYED_FOR, TRIED_FOR, Answer, Outcome, Step

Connection = psycopg.Connection[Any]
LEASE: Final = timedelta(
    seconds=120
)  # longer than any attempt: 15 s connecting, 15 s answering, and name servers

LEASE_ONE: Final = """
update notice_private.channel set leased_until = %(until)s, lease = lease + 1, holder = pg_backend_pid()
where id = (
  select c.id from notice_private.channel c
  where c.disabled is null and c.pause_until <= %(now)s
    and (c.leased_until <= %(now)s or not exists (select from pg_stat_activity a where a.pid = c.holder))
    and exists (select from notice_delivery d
                where d.channel = c.id and d.state = 'waiting' and d.next_at <= %(now)s)
  order by c.leased_until, c.id limit 1 for update of c skip locked)
returning id, lease, kind, address, secret,
  case when previous_until > %(now)s then previous_secret end, failures
"""
EXTEND: Final = """
update notice_private.channel set leased_until = %s where id = %s and lease = %s and disabled is null
returning failures
"""
RELEASE: Final = "update notice_private.channel set leased_until = %s where id = %s and lease = %s"
BEGIN: Final = """
update notice_delivery set attempts = attempts + 1
where channel = %(channel)s and notice = (
  select notice from notice_delivery where channel = %(channel)s and state = 'waiting' and next_at <= %(now)s
  order by next_at, notice limit 1)
returning notice, attempts, since
"""
CLOSE: Final = (
    "update notice set closed = true where id = %s returning subscription, opened_at, kind, content"
)
LANGUAGE: Final = "select language from notice_subscription where id = %s"
RECORDS: Final = "select record from notice_change where notice = %s order by warning, version"
# What is dead since the attempt began stays dead, unless it did arrive.
SETTLE: Final = """
update notice_delivery set state = %(state)s, next_at = %(next_at)s, reason = %(reason)s,
  settled_at = case when %(state)s <> 'waiting' then %(now)s end
where notice = %(notice)s and channel = %(channel)s
  and (state = 'waiting' or state = 'dead' and %(state)s = 'sent')
"""
RECEIPT: Final = """
insert into notice_receipt (notice, channel, at, took_ms, outcome, code, detail) values (%s, %s, %s, %s, %s, %s, %s)
"""
# Only subscribing switches a channel on.
CHANNEL: Final = """
update notice_private.channel set failures = %s, pause_until = coalesce(%s::timestamptz, '-infinity'),
  disabled = coalesce(disabled, %s)
where id = %s and lease = %s
"""
# After an outage what waits for its next attempt need not wait longer.
FORWARD: Final = """
update notice_delivery set next_at = %(now)s
where channel = %(channel)s and state = 'waiting' and attempts > 0 and next_at > %(now)s
"""
EXPIRE: Final = """
update notice_delivery set state = 'dead', reason = %s, settled_at = %s
where channel = %s and state = 'waiting' and since < %s
"""
END_ALL: Final = """
update notice_delivery set state = 'dead', reason = %s, settled_at = %s where channel = %s and state = 'waiting'
"""
SWITCH_OFF: Final = """
update notice_subscription s set disabled = %s, changed_at = %s
where id = (select subscription from notice_private.channel where id = %s) and disabled is null
  and not exists (select from notice_private.channel c where c.subscription = s.id and c.disabled is null)
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """A channel that this worker alone sends to until the lease runs out."""

    channel: Channel
    number: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A delivery that is being tried."""

    message: Message
    attempts: int  # this one included
    since: datetime
    failures: int  # of the channel, in a row, before this one


def lease_channel(connection: Connection, now: datetime) -> Lease | None:
    """A channel that something is due for, is not paused and nobody sends to; None: there is none."""
    with connection.transaction():
        row = connection.execute(LEASE_ONE, {"now": now, "until": now + LEASE}).fetchone()
    if row is None:
        return None
    id_, number, kind, address, secret, previous, _ = row
    secrets = tuple(one for one in (secret, previous) if one is not None)
    return Lease(Channel(id_, kind, address, secrets), number)


def release_channel(connection: Connection, lease: Lease, now: datetime) -> None:
    """Let others have it."""
    with connection.transaction():
        connection.execute(RELEASE, (now, lease.channel.id, lease.number))


def begin_attempt(connection: Connection, lease: Lease, now: datetime) -> Attempt | None:
    """The next due delivery, its attempt counted and its notice closed; None: nothing is due, or the lease is lost."""
    with connection.transaction():
        held = connection.execute(EXTEND, (now + LEASE, lease.channel.id, lease.number)).fetchone()
        if held is None:
            return None
        due = connection.execute(BEGIN, {"channel": lease.channel.id, "now": now}).fetchone()
        if due is None:
            return None
        notice, attempts, since = due
        closed = connection.execute(CLOSE, (notice,)).fetchone()
        if closed is None:
            raise LookupError(f"notice {notice} of a delivery is missing")
        subscription, opened_at, kind, content = closed
        language = connection.execute(LANGUAGE, (subscription,)).fetchone()
        records = [record for (record,) in connection.execute(RECORDS, (notice,))]
    message = Message(notice, opened_at, language[0] if language else "zh", records, kind, content)
    return Attempt(message, attempts, since, held[0])


def record_attempt(
    connection: Connection,
    lease: Lease,
    attempt: Attempt,
    answer: Answer,
    step: Step,
    now: datetime,
    took_ms: int,
) -> None:
    """What came of it. A worker that lost its lease changes nothing but a delivery that was accepted."""
    channel, notice = lease.channel.id, attempt.message.id
    with connection.transaction():
        held = connection.execute(
            CHANNEL, (step.failures, step.pause_until, step.disable, channel, lease.number)
        ).rowcount
        if held or answer.outcome is Outcome.ACCEPTED:
            given = {"state": step.state, "next_at": step.next_at, "reason": answer.detail or None}
            connection.execute(SETTLE, given | {"now": now, "notice": notice, "channel": channel})
        connection.execute(
            RECEIPT, (notice, channel, now, took_ms, answer.outcome.value, answer.code, answer.detail)
        )
        if not held:
            return
        if answer.outcome is Outcome.ACCEPTED and attempt.failures:
            connection.execute(FORWARD, {"channel": channel, "now": now})
        elif answer.outcome is Outcome.FAILED:
            connection.execute(EXPIRE, ("the channel failed for a day", now, channel, now - TRIED_FOR))
        elif answer.outcome is Outcome.LATER:
            connection.execute(EXPIRE, ("the channel put off for two days", now, channel, now - OBEYED_FOR))
        if step.disable is not None:
            connection.execute(END_ALL, (step.disable, now, channel))
            connection.execute(SWITCH_OFF, (step.disable, now, channel))
