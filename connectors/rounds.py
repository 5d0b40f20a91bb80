"""Rounds of a service that holds a session: an outage ends a round, and a new one begins after a wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg
from confluent_kafka import KafkaException

from carbonstream.schemas.errors import NotReady

BACK_OFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
STEADY_S: Final = 30.0  # a round that lasted this long had recovered: the next wait is the shortest again
OUTAGES: Final = (psycopg.OperationalError, psycopg.InterfaceError, NotReady, KafkaException)


def run_rounds(one_round: Callable[[], object], stopping: threading.Event, log: Any) -> None:
    """Call `one_round` until `stopping` is set. Outages are waited out; any other error is the caller's."""
    failures = 0
    while not stopping.is_set():
        began = time.monotonic()
        try:
            one_round()
        except OUTAGES as error:
            failures = 0 if time.monotonic() - began > STEADY_S else failures + 1
            wait = BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]
            log.warning("round ended", error=str(error), again_in_s=wait)
            stopping.wait(wait)
