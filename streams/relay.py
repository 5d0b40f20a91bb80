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
from carbonstream.connectors.database import connect, one_row
from carbonstream.connectors.locks import Only
from carbonstream.connectors.rounds import OnlyService, run_rounds
from carbonstream.schemas.settings import Settings
from carbonstream.streams.relay_outbox import tell_outbox
from carbonstream.streams.relay_totals import Totals

Connection = psycopg.Connection[Any]
# How often is looked whether there is something to tell; less often once there has been nothing for IDLE_S. A hundred
# queries a second cost a twentieth of a core for nothing.
POLL_S: Final = 0.02
IDLE_POLL_S: Final = 0.1
IDLE_S: Final = 2.0
# Totals may take at most an eighth of the time, half of it while a restatement is told, unless there is a backlog:
# under load they come less often, not at the readings' cost.
REST: Final = 7.0
LONGEST_REST_S: Final = 8.0
QUIET_S: Final = 1.0  # nothing was stored for so long: there is no load to give way to
LOOK_UP: Final = "select last_value, exists (select from restatement) from change_mark_id_seq"
LOCK_LOOK_S: Final = 2.0


class Relay(OnlyService):
    """Runs passes until stopped."""

    name = "relay"
    only = Only.RELAY

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.over = threading.Event()  # the lock's session is gone, or a loop has failed for good
        self.reference = threading.Event()  # sites or meters were told that Totals has not read

    def stop(self) -> None:
        """End after the passes under way."""
        super().stop()
        self.over.set()

    def hold(self, connection: Connection) -> None:
        """Both loops, each with rounds of its own: an outage of one does not end the other."""
        self.over.clear()
        with ThreadPoolExecutor(2, "relay") as pool:
            loops = [
                pool.submit(self._rounds, name, passes)
                for name, passes in (("outbox", self._outbox), ("totals", self._totals))
            ]
            try:
                while not (self.over.is_set() or self.stopping.is_set()):
                    connection.execute("select 1")  # raises where the session is gone, and the lock with it
                    self.over.wait(LOCK_LOOK_S)
            finally:
                self.over.set()
        for loop in loops:
            loop.result()

    def _rounds(self, name: str, passes: Callable[[Connection, Producer], None]) -> None:
        def one_round() -> None:
            with connect(self.config, application=f"relay {name}", autocommit=True) as connection:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                producer = kafka.producer(self.config, transactional_id=f"carbonstream-relay-{name}")
                producer.init_transactions(30)
                passes(connection, producer)

        try:
            run_rounds(one_round, self.over, self.log)
        finally:
            self.over.set()

    def _outbox(self, connection: Connection, producer: Producer) -> None:
        idle = Idle()
        while not self.over.is_set():
            began = time.monotonic()
            if tell_outbox(self.config, connection, producer, self.reference):
                _observe("outbox", began)
                idle = Idle()
            else:
                self.over.wait(idle.poll_s())

    def _totals(self, connection: Connection, producer: Producer) -> None:
        totals = Totals(self.config, connection, producer, self.reference)
        idle = Idle()
        while not self.over.is_set():
            began = time.monotonic()
            told = totals.tell()
            if told is None:
                self.over.wait(idle.poll_s())
                continue
            idle = Idle()
            took = _observe("totals", began)
            period = self.config.relay_period_ms / 1_000 - took
            rest = min((1.0 if told.is_restating else REST) * took, LONGEST_REST_S)
            if not told.is_behind:
                self._rest(connection, max(period, rest), told.is_restating)

    def _rest(self, connection: Connection, longest_s: float, is_restating: bool) -> None:
        """Until the sink is quiet, or a restatement begins; at most so long."""
        until, before = time.monotonic() + longest_s, None
        while (left := until - time.monotonic()) > 0 and not self.over.is_set():
            newest, is_restated = one_row(connection, LOOK_UP)
            if newest == before or (is_restated and not is_restating):
                return
            before = newest
            self.over.wait(min(left, QUIET_S))


class Idle:
    """A time in which there is nothing to tell."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def poll_s(self) -> float:
        """How long to wait before looking again."""
        return POLL_S if time.monotonic() - self._since < IDLE_S else IDLE_POLL_S


def _observe(name: str, began: float) -> float:
    took = time.monotonic() - began
    telemetry.SECONDS.labels("relay", name).observe(took)
    return took
