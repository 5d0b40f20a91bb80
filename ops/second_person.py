"""Who submitted something may not approve it: asked of the database's own function, which compares two names."""

from __future__ import annotations

from typing import Any

import psycopg

from carbonstream.api.database import refusal
from carbonstream.schemas.errors import LoadRefused


def second_person(connection: psycopg.Connection[Any], by: str, first: str, what: str) -> None:
    """Raises LoadRefused where `by` is nobody or the one who submitted `what`."""
    try:
        connection.execute("select second_person(%s, %s, %s)", [by, first, what])
    except psycopg.Error as error:
        if refusal(error) is None:
            raise
        raise LoadRefused([error.diag.message_primary or str(error)]) from error
