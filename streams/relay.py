"""relay: what the database decided, told to Kafka: reference changes, warnings, totals.

One process at a time (an advisory lock). Two loops, each with a session of its own and a fixed transactional.id: the
outbox, so that a warning never waits for totals, and totals (streams/relay_totals). A pass deletes the rows it tells,
produces, commits Kafka, then commits the database. A crash between the two commits repeats absolute values and equal
ids; nothing is told before it is committed, and nothing is left untold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
from confluent_kafka import Producer

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.database import connect
from carbonstream.connectors.locks import Only
from carbonstream.connectors.rounds import OnlyService
from carbonstream.schemas.settings import Settings
from carbonstream.streams.relay_outbox import tell_outbox
from carbonstream.streams.relay_totals import Totals

Connection = psycopg.Connection[Any]
POLL_S: Final = 0.02
# Totals may take at most a quarter of the time, unless there is a backlog: under load they come less often, not at the
# readings' cost.
REST: Final = 3.0
LONGEST_REST_S: Final = 5.0


class Relay(OnlyService):
    """Runs passes until stopped."""

    name = "relay"
    only = Only.RELAY

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.over = threading.Event()  # one of the round's loops has ended
        self.reference = threading.Event()  # reference data were told that Totals has not read

    def stop(self) -> None:
        """End after the passes under way."""
        super().stop()
        self.over.set()

    def hold(self, connection: Connection) -> None:
        """Both loops beside each other; `connection` only holds the lock."""
        self.over.clear()
        with ThreadPoolExecutor(1, "outbox") as pool:
            beside = pool.submit(self._loop, "outbox", self._outbox)
            self._loop("totals", self._totals)
            beside.result()

    def _loop(self, name: str, passes: Callable[[Connection, Producer], None]) -> None:
        """One of the two; where it fails the other ends too, and the error is the round's."""
        try:
            with connect(self.config, application=f"relay {name}", autocommit=True) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                producer = kafka.producer(self.config, transactional_id=f"carbonstream-relay-{name}")
                producer.init_transactions(30)
                passes(connection, producer)
        finally:
            self.over.set()

    def _outbox(self, connection: Connection, producer: Producer) -> None:
        while not self._is_over():
            began = time.monotonic()
            if tell_outbox(self.config, connection, producer, self.reference):
                _observe("outbox", began)
            else:
                self.over.wait(POLL_S)

    def _totals(self, connection: Connection, producer: Producer) -> None:
        totals = Totals(self.config, connection, producer, self.reference)
        while not self._is_over():
            began = time.monotonic()
            is_behind = totals.tell()
            rest = POLL_S
            if is_behind is not None:
                took = _observe("totals", began)
                period = self.config.relay_period_ms / 1_000 - took
                rest = 0.0 if is_behind else max(period, min(REST * took, LONGEST_REST_S))
            self.over.wait(rest)

    def _is_over(self) -> bool:
        return self.over.is_set() or self.stopping.is_set()


def _observe(name: str, began: float) -> float:
    took = time.monotonic() - began
    telemetry.SECONDS.labels("relay", name).observe(took)
    return took
