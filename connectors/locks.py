"""Advisory locks of PostgreSQL: of each of these there is one at a time. They end with the session that holds them."""

from __future__ import annotations

import threading
from enum import IntEnum, unique
from typing import Any, Final

import psycopg

SPACE: Final = 0x4353  # "CS": first half of every key; the second is a partition's number or an Only
WAIT_S: Final = 1.0


@unique
class Only(IntEnum):
    """What there is one of beside the partitions' sinks. Numbers are above any partition's, and never reused."""

    RELAY = 1_000
    LEDGER = 1_001
    WARN = 1_002
    CONSISTENCY = 1_007
    DECLARE = 1_008
    NOTIFY = 1_009
    ESTIMATOR = 1_010
    INSTANT = 1_011
    RECOMPUTE = 1_020


def try_lock(connection: psycopg.Connection[Any], number: int) -> bool:
    """Take the lock of a partition or an Only; False where another session holds it."""
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", (SPACE, int(number))).fetchone()
    return bool(row and row[0])


def wait_for_lock(connection: psycopg.Connection[Any], only: Only, stopping: threading.Event) -> bool:
    """Wait until the lock is ours; False when `stopping` was set first. The connection must be in autocommit."""
    while not try_lock(connection, only):
        if stopping.wait(WAIT_S):
            return False
    return True
