"""When a load is in force: told by the relay, applied by every partition of convert, stored by the sink."""

from __future__ import annotations

import time
from typing import Any, Final

from psycopg import Connection

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.connectors.sources.ticker import reference_ends
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

POLL_S: Final = 0.1


def wait_until_in_force(settings: Settings, timeout_s: float = 120.0) -> dict[str, int]:
    """Wait until every reference change committed so far is in force; returns the offsets of ref.* reached.

    That is: the outbox holds none of them, and `position.reference` of every partition has reached the
    end of each ref.* topic. Raises NotReady after `timeout_s`, saying what is missing and what to start.
    """
    until = time.monotonic() + timeout_s
    with connect(settings, application="load", autocommit=True) as connection:
        newest = _newest(connection)
        while (waiting := _untold(connection, newest)) > 0:
            _rest(until, f"{waiting} reference changes are not yet published: is the relay running?")
        ends = reference_ends(kafka.admin(settings), settings)
        while behind := _behind(connection, ends, settings.partitions):
            _rest(
                until,
                f"partitions {behind} have not reached {ends}: are ticker, convert and timescale running?",
            )
    return ends


def _rest(until: float, waiting: str) -> None:
    if time.monotonic() > until:
        raise NotReady(f"loaded, but not in force in time: {waiting} (`carbonstream up` starts all services)")
    time.sleep(POLL_S)


def _newest(connection: Connection[Any]) -> int:
    row = connection.execute("select coalesce(max(id), -1) from outbox").fetchone()
    return int(row[0]) if row else -1


def _untold(connection: Connection[Any], newest: int) -> int:
    row = connection.execute(
        "select count(*) from outbox where id <= %s and topic = any(%s)", [newest, list(topics.REFERENCE)]
    ).fetchone()
    return int(row[0]) if row else 0


def _behind(connection: Connection[Any], ends: dict[str, int], partitions: int) -> list[int]:
    rows = connection.execute("select partition, reference from position").fetchall()
    reached = {
        partition
        for partition, reference in rows
        if all(reference.get(name, 0) >= end for name, end in ends.items())
    }
    return [partition for partition in range(partitions) if partition not in reached]
