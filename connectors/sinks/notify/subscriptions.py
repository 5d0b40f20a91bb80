"""Subscriptions in the database: written all or nothing, listed without secrets, dead notices sent again."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from carbonstream.connectors.sinks.notify.sending import Channel
from carbonstream.processors.notices import notice_id
from carbonstream.processors.notices_addresses import judged_kind, redacted
from carbonstream.processors.notices_digest import last_day
from carbonstream.processors.notices_signing import secret_text
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.notices import Subscription

Connection = psycopg.Connection[Any]
BOTH_SECRETS: Final = timedelta(hours=24)  # an old secret signs too, while the receiver changes over
REMOVED: Final = "removed"

WRITE: Final = """
insert into notice_subscription as s (id, enterprise, operator_group, entities, rules, severity, quiet_from,
  quiet_until, language, group_s, digest_at, disabled, changed_at, digest_day)
values (%(id)s, %(enterprise)s, %(operator_group)s, %(entities)s, %(rules)s, %(severity)s, %(quiet_from)s,
  %(quiet_until)s, %(language)s, %(group_s)s, %(digest_at)s, null, %(now)s, %(digest_day)s)
on conflict (id) do update set (enterprise, operator_group, entities, rules, severity, quiet_from, quiet_until,
  language, group_s, digest_at, disabled, changed_at, digest_day) =
  (excluded.enterprise, excluded.operator_group, excluded.entities, excluded.rules,
  excluded.severity, excluded.quiet_from, excluded.quiet_until, excluded.language, excluded.group_s, excluded.digest_at,
  null, excluded.changed_at,
  case when excluded.digest_day is null then null else coalesce(s.digest_day, excluded.digest_day) end)
"""
OWNER: Final = "select enterprise, operator_group from notice_subscription where id = %s for update"
IS_ENTERPRISE: Final = "select from entity where id = %s and kind = 'enterprise'"
ADD_CHANNEL: Final = """
insert into notice_private.channel as c (subscription, kind, address, secret, is_backup) values (%s, %s, %s, %s, %s)
on conflict (subscription, address) do update set disabled = null, is_backup = excluded.is_backup,
  failures = 0, pause_until = '-infinity'
"""
KNOWN_CHANNELS: Final = "select address from notice_private.channel where subscription = %s"
# The lease goes too: what an attempt under way brings says nothing of the channel any more.
REMOVE_CHANNELS: Final = """
update notice_private.channel set disabled = %s, lease = lease + 1
where subscription = %s and disabled is null and address <> all(%s) returning id
"""
END_REMOVED: Final = """
update notice_delivery set state = 'dead', reason = %s, settled_at = %s where channel = any(%s) and state = 'waiting'
"""
IS_ON: Final = "select from notice_subscription where id = %s and disabled is null"
TEST: Final = """
insert into notice (id, subscription, opened_at, closes_at, closed, kind)
values (%(id)s, %(subscription)s, %(now)s, %(now)s, true, 'test')
"""
# A test that a channel does not take is told as that; no backup stands in for it.
TEST_ALL: Final = """
insert into notice_delivery (notice, channel, state, since, next_at, handed_over)
select %(id)s, c.id, 'waiting', %(now)s, %(now)s, true from notice_private.channel c
where c.subscription = %(subscription)s and c.disabled is null
"""
ROTATE: Final = """
update notice_private.channel set previous_secret = secret, previous_until = %s, secret = %s where id = %s
"""
ROTATED: Final = """
select id, address from notice_private.channel where subscription = %s and kind = 'webhook' and disabled is null
order by id for update
"""
LIST: Final = """
select s.id, s.enterprise, s.operator_group, s.entities, s.rules, s.severity, s.quiet_from::text, s.quiet_until::text,
  s.language, s.group_s, s.digest_at::text, s.disabled,
  (select coalesce(json_agg(json_build_object(
     'id', c.id, 'kind', c.kind, 'address', c.address, 'disabled', c.disabled, 'backup', c.is_backup,
     'failures', c.failures,
     'paused', c.pause_until > %(now)s,
     'waiting', (select count(*) from notice_delivery d where d.channel = c.id and d.state = 'waiting'),
     'sent', (select count(*) from notice_delivery d where d.channel = c.id and d.state = 'sent'),
     'dead', (select count(*) from notice_delivery d where d.channel = c.id and d.state = 'dead')) order by c.id), '[]')
   from notice_private.channel c where c.subscription = s.id) as channels
from notice_subscription s order by s.id
"""
DEAD: Final = """
select d.notice, n.subscription, d.channel, c.kind, c.address, d.attempts, d.reason, d.settled_at,
  (select count(*) from notice_change x where x.notice = d.notice) as changes
from notice_delivery d join notice n on n.id = d.notice join notice_private.channel c on c.id = d.channel
where d.state = 'dead' and (%(subscription)s = '' or n.subscription = %(subscription)s)
order by d.settled_at, d.notice, d.channel limit %(limit)s
"""
RESEND: Final = """
update notice_delivery d set state = 'waiting', attempts = 0, since = %(now)s, next_at = %(now)s, settled_at = null
from notice n, notice_private.channel c
where n.id = d.notice and c.id = d.channel and d.state = 'dead' and c.disabled is null
  and (%(subscription)s = '' or n.subscription = %(subscription)s)
  and (%(notices)s::text[] = '{}' or d.notice = any(%(notices)s))
"""
CHANNELS: Final = """
select id, kind, address, secret, case when previous_until > %s then previous_secret end
from notice_private.channel where subscription = %s and disabled is null order by id
"""


def subscribe(
    connection: Connection, subscriptions: Sequence[Subscription], now: datetime, networks: Sequence[str]
) -> list[dict[str, str]]:
    """Write them, all or nothing; a known id is replaced, channels it no longer names end.

    networks: those that webhooks may reach though they are not public (setting notify_networks). Returns the new
    webhooks with their secrets, which are told this once. Raises LoadRefused with a line an error.
    """
    made: list[dict[str, str]] = []
    errors: list[str] = []
    with connection.transaction():
        for one in subscriptions:
            kinds = _judge(connection, one, networks, errors)
            if not errors:
                made += _write(connection, one, kinds, now)
        if errors:
            raise LoadRefused(errors)
    return made


def _judge(
    connection: Connection, one: Subscription, networks: Sequence[str], errors: list[str]
) -> dict[str, str]:
    """Kind of each address; errors are added."""
    kinds: dict[str, str] = {}
    named = [("channels", a) for a in one.channels] + [("backup", a) for a in one.backup]
    for field, address in named:
        try:
            kinds[address] = judged_kind(address, networks)
        except ValueError as error:
            errors.append(f"{one.id}: {field}: {error}")
    if one.enterprise is not None and connection.execute(IS_ENTERPRISE, (one.enterprise,)).fetchone() is None:
        errors.append(
            f"{one.id}: enterprise: {one.enterprise} is not a known enterprise; `carbonstream load` loads sites"
        )
    standing = connection.execute(OWNER, (one.id,)).fetchone()
    if standing is not None and standing != (one.enterprise, one.operator_group):
        errors.append(
            f"{one.id}: belongs to {standing[0] or standing[1]} and what waits there must not reach another; "
            "choose another id"
        )
    return kinds


def _write(
    connection: Connection, one: Subscription, kinds: dict[str, str], now: datetime
) -> list[dict[str, str]]:
    connection.execute(
        WRITE,
        {
            "id": one.id, "enterprise": one.enterprise, "operator_group": one.operator_group,
            "entities": list(one.entities), "rules": list(one.rules), "severity": one.severity,
            "quiet_from": one.quiet and one.quiet.from_, "quiet_until": one.quiet and one.quiet.until,
            "language": one.language, "group_s": one.group_s, "digest_at": one.digest, "now": now,
            # the first digest is the next one, not that of a time before anybody wanted it
            "digest_day": one.digest and last_day(one.digest, now),
        },
    )  # fmt: skip
    _remove(connection, one.id, list(kinds), REMOVED, now)
    made = []
    known = {address for (address,) in connection.execute(KNOWN_CHANNELS, (one.id,))}
    for address, kind in kinds.items():
        secret = new_secret() if kind == "webhook" else None
        connection.execute(ADD_CHANNEL, (one.id, kind, address, secret, address in one.backup))
        if secret is not None and address not in known:
            made.append({"subscription": one.id, "address": redacted(address), "secret": secret})
    return made


def unsubscribe(connection: Connection, id_: str, now: datetime) -> None:
    """Switch a subscription off; what waits for it is dead. Raises LoadRefused where there is none."""
    with connection.transaction():
        found = connection.execute(
            "update notice_subscription set disabled = 'unsubscribed', changed_at = %s where id = %s",
            (now, id_),
        ).rowcount
        if not found:
            raise unknown(id_)
        _remove(connection, id_, [], REMOVED, now)


def _remove(connection: Connection, id_: str, keep: list[str], reason: str, now: datetime) -> None:
    removed = [row[0] for row in connection.execute(REMOVE_CHANNELS, (reason, id_, keep))]
    connection.execute(END_REMOVED, (reason, now, removed))


def enqueue_test(connection: Connection, id_: str, now: datetime) -> str:
    """A test for every channel of a subscription, through the queue; its id. Raises LoadRefused where none is on."""
    notice = notice_id(id_, f"test:{now.isoformat()}", 1)
    with connection.transaction():
        if connection.execute(IS_ON, (id_,)).fetchone() is None:
            raise unknown(id_)
        connection.execute(TEST, {"id": notice, "subscription": id_, "now": now})
        connection.execute(TEST_ALL, {"id": notice, "subscription": id_, "now": now})
    return notice


def rotate(connection: Connection, id_: str, now: datetime) -> list[dict[str, str]]:
    """A new secret for each webhook of a subscription; the old one signs too for a day."""
    made = []
    with connection.transaction():
        for channel, address in connection.execute(ROTATED, (id_,)).fetchall():
            secret = new_secret()
            connection.execute(ROTATE, (now + BOTH_SECRETS, secret, channel))
            made.append({"subscription": id_, "address": redacted(address), "secret": secret})
    if not made:
        raise LoadRefused([f"{id_}: no webhook that is on"])
    return made


def listed(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """All subscriptions with their channels and what is queued; addresses without their secret parts."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(LIST, {"now": now}).fetchall()
    for one in found:
        for channel in one["channels"]:
            channel["address"] = redacted(channel["address"])
    return found


def dead(connection: Connection, subscription: str = "", limit: int = 1_000) -> list[dict[str, Any]]:
    """Deliveries that were given up, oldest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(DEAD, {"subscription": subscription, "limit": limit}).fetchall()
    return [
        one | {"address": redacted(one["address"]), "settled_at": one["settled_at"].isoformat()}
        for one in found
    ]


def resend(
    connection: Connection, now: datetime, *, subscription: str = "", notices: Iterable[str] = ()
) -> int:
    """Try dead deliveries of channels that are on again, with the same ids; how many."""
    given = {"now": now, "subscription": subscription, "notices": list(notices)}
    with connection.transaction():
        return connection.execute(RESEND, given).rowcount


def channels_of(connection: Connection, id_: str, now: datetime) -> list[Channel]:
    """The channels of a subscription that are on. Raises LoadRefused where there is none."""
    found = [
        Channel(channel, kind, address, tuple(s for s in (secret, previous) if s is not None))
        for channel, kind, address, secret, previous in connection.execute(CHANNELS, (now, id_))
    ]
    if not found:
        raise unknown(id_)
    return found


def unknown(id_: str) -> LoadRefused:
    """No such subscription."""
    return LoadRefused([f"{id_}: no such subscription that is on; `carbonstream notices list` shows all"])


def new_secret() -> str:
    """A secret of 192 random bits."""
    return secret_text(secrets.token_bytes(24))
