"""Which partitions a sink may write: advisory locks on the connection it writes with.

Losing the session loses lock and transaction together: ownership and fence are one thing.
"""

from __future__ import annotations

import math
from typing import Final

import psycopg

from carbonstream.connectors.locks import SPACE, try_lock

APPLICATION: Final = "carbonstream timescale"


def live_sinks(connection: psycopg.Connection) -> int:
    """Sinks with a session on this database, this one included."""
    row = connection.execute(
        "select count(*) from pg_stat_activity where application_name = %s and datname = current_database()",
        (APPLICATION,),
    ).fetchone()
    return max(int(row[0]) if row else 1, 1)


def rebalance(connection: psycopg.Connection, partitions: int, owned: set[int]) -> set[int]:
    """Take free partitions up to a fair share, and give back what is above it. Returns what is owned now.

    Call between transactions only: a given-back partition must have nothing under way.
    """
    share = math.ceil(partitions / live_sinks(connection))
    owned = set(owned)
    for partition in sorted(owned, reverse=True)[: max(len(owned) - share, 0)]:
        connection.execute("select pg_advisory_unlock(%s, %s)", (SPACE, partition))
        owned.discard(partition)
    for partition in range(partitions):
        if len(owned) >= share:
            break
        if partition not in owned and try_lock(connection, partition):
            owned.add(partition)
    connection.commit()
    return owned
