"""Rounds of a service that holds a session: an outage ends a round, and a new one begins after a wait."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import psycopg
from confluent_kafka import KafkaException

from carbonstream.connectors import telemetry
from carbonstream.connectors.database import connect
from carbonstream.connectors.locks import Only, wait_for_lock
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

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


class RoundsService(ABC):
    """A service that runs rounds until it is stopped."""

    name: ClassVar[str]

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.log = telemetry.configure(config, self.name)
        self.stopping = threading.Event()

    def stop(self) -> None:
        """End after what is under way."""
        self.stopping.set()

    def run(self) -> None:
        """Rounds for ever; an outage is waited out, any other error ends the process."""
        run_rounds(self._round, self.stopping, self.log)

    @abstractmethod
    def _round(self) -> None:
        """One round, until an outage or `stopping`."""


class OnlyService(RoundsService):
    """A service of which one runs at a time: each round has a session that holds its lock."""

    only: ClassVar[Only]

    def _round(self) -> None:
        with connect(self.config, application=self.name, autocommit=True) as connection:
            if wait_for_lock(connection, self.only, self.stopping):
                self.hold(connection)

    @abstractmethod
    def hold(self, connection: psycopg.Connection[Any]) -> None:
        """A round with the lock held, until `stopping`. connection: in autocommit."""
