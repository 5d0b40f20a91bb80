"""What is kept for a time only: told refusals, released held readings, rejects, corrections."""

from __future__ import annotations

from typing import Final, LiteralString

import psycopg

from carbonstream.schemas.settings import Settings

# What still waits to be released is never dropped, nor the notice of a warning whose end is still to be
# told. A release is remembered far longer than Kafka could repeat it.
OLD: Final[dict[str, tuple[LiteralString, ...]]] = {
    "refusals_days": ("delete from edge_refusal where day < current_date - %s",),
    "held_days": (
        "delete from held where released_at < now() - %s * interval '1 day'",
        "delete from ledger_release where counted_at < now() - %s * interval '1 day'",
    ),
    "rejects_days": (
        "delete from reject where rejected_at < now() - %s * interval '1 day'",
        "delete from ledger_gap where found_at < now() - %s * interval '1 day'",
    ),
    "notices_days": (
        "delete from notice n where closes_at < now() - %s * interval '1 day' "
        "and not exists (select from notice_delivery d where d.notice = n.id and d.state <> 'sent') "
        "and not exists (select from notice_change c join warning w on w.id = c.warning "
        "where c.notice = n.id and (w.state = 'active' or w.changed_at > now() - interval '1 day'))",
    ),
    "corrections_days": ("delete from correction where recorded_at < now() - %s * interval '1 day'",),
}


def drop_old(connection: psycopg.Connection, settings: Settings) -> dict[str, int]:
    """Delete what is older than its setting says (0: never), each table by itself; rows dropped by setting."""
    dropped: dict[str, int] = {}
    for name, statements in OLD.items():
        if days := int(getattr(settings, name)):
            dropped[name] = 0
            for statement in statements:
                with connection.transaction():
                    dropped[name] += connection.execute(statement, (days,)).rowcount
    return dropped
