"""Approve a publication: one transaction, with the move of sites whose enterprise gets its first own coefficient."""

from __future__ import annotations

from typing import Any

import psycopg

from carbonstream.api.database import refusal
from carbonstream.api.publishing import DECIDE
from carbonstream.connectors.database import connect
from carbonstream.ops.load import outbox
from carbonstream.ops.load.own_classes import move_to_own_classes
from carbonstream.schemas.settings import Settings


def approve(settings: Settings, id_: int, by: str, reason: str) -> dict[str, Any]:
    """What the approval restates (schemas.totals.Restated). Raises Problem where it is refused."""
    values = {"id": id_, "by": by, "decision": "approved", "reason": reason}
    try:
        with (
            connect(settings, application="approve") as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            outbox.begin(cursor)
            row = cursor.execute(DECIDE, values).fetchone()
            move_to_own_classes(cursor)
            outbox.publish(cursor)
    except psycopg.Error as error:
        raise refusal(error) or error from error
    restated: dict[str, Any] = row[0] if row else {}
    return restated
