"""The canary: meters that report every few seconds through each source, and how long their readings take.

It posts as any customer does, one reading a canary meter, and waits until the sink's positions have passed the
frames its receipts name: accepted -> committed. Its meters lie outside every boundary, so they are watched and never
summed; its sources are named canary/..., which the ledger tells apart and leaves out of its top figures.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import httpx
import psycopg
import structlog
from prometheus_client import Gauge

from carbonstream.connectors import telemetry
from carbonstream.connectors.database import connect
from carbonstream.connectors.rounds import run_rounds
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

PREFIX: Final = "canary/"
ANSWER_S: Final = 12.0  # HTTP push gives Kafka 10 s
LATE_S: Final = 60.0
POLL_S: Final = 0.02
LAST = Gauge(
    "carbonstream_canary_seconds",
    "Accepted to committed, of the newest canary reading",
    ["source", "partition"],
)


class Receipt(NamedTuple):
    """Where one canary frame stands in meter.readings."""

    partition: int
    offset: int


class Canary:
    """Runs until stopped; without meters, without a token of its own, or in virtual time it only waits."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.log = structlog.get_logger(service="canary")
        self.stopping = threading.Event()
        # one token a source: each is another way in
        self.tokens = {s: token for token, s in config.push_tokens.items() if s.startswith(PREFIX)}

    def stop(self) -> None:
        """End after the round under way."""
        self.stopping.set()

    def run(self) -> None:
        """Report for ever; outages are counted and waited out."""
        self.log = telemetry.configure(self.config, "canary")
        if self.config.virtual_time or not self.config.canary_meters or not self.tokens:
            self.log.info(
                "no canary", remedy="set CARBONSTREAM_CANARY_METERS, and a push token of a source canary/NAME"
            )
            self.stopping.wait()
            return
        run_rounds(self._round, self.stopping, self.log)

    def _round(self) -> None:
        took = 0.0
        with connect(self.config, application="canary", autocommit=True) as connection:
            while not self.stopping.is_set():
                # first of all wait: at a start its meters are not yet in force
                if self.stopping.wait(max(self.config.canary_s - took, 0)):
                    return
                began = time.monotonic()
                for source, token in self.tokens.items():
                    self.report(connection, source, token)
                took = time.monotonic() - began

    def report(self, connection: psycopg.Connection, source: str, token: str) -> dict[int, float]:
        """Send one reading of each canary meter; seconds from accepted to committed by partition.

        What is not committed within a minute is missing in it and counted as a fault. Raises NotReady where the
        source does not accept.
        """
        posted = time.monotonic()
        receipts = push(self.config, token, readings(self.config.canary_meters, wall_ms()))
        accepted = time.monotonic()
        telemetry.SECONDS.labels("canary", f"{source} to accepted").observe(accepted - posted)
        waiting = {receipt.partition: receipt.offset for receipt in receipts}
        took: dict[int, float] = {}
        while waiting and not self.stopping.is_set() and time.monotonic() < accepted + LATE_S:
            at: dict[int, int] = dict(
                connection.execute("select partition, source_offset from position").fetchall()
            )
            for partition in [n for n, offset in waiting.items() if at.get(n, -1) >= offset]:
                took[partition] = time.monotonic() - accepted
                telemetry.SECONDS.labels("canary", f"{source} to committed").observe(took[partition])
                LAST.labels(source, partition).set(took[partition])
                del waiting[partition]
            self.stopping.wait(POLL_S if waiting else 0)
        if waiting and not self.stopping.is_set():
            telemetry.FAULTS.labels("canary", "not committed in time").inc(len(waiting))
            self.log.warning("canary not committed", source=source, waiting=waiting, after_s=LATE_S)
        return took


def readings(meters: Sequence[str], now_ms: int) -> list[dict[str, Any]]:
    """One reading a meter that ends now: 1 Wh."""
    return [{"meter": meter, "end": now_ms, "value": 1, "unit": "Wh"} for meter in meters]


def push(settings: Settings, token: str, body: Sequence[dict[str, Any]]) -> list[Receipt]:
    """Post readings to the HTTP source. Raises NotReady with its answer where it does not accept them."""
    url = f"http://{settings.host}:{settings.http_port}/v1/readings"
    try:
        answer = httpx.post(
            url, json=body, headers={"Authorization": f"Bearer {token}"}, timeout=ANSWER_S, trust_env=False
        )
    except httpx.HTTPError as error:
        raise NotReady(f"the HTTP source does not answer on {url}: {error}") from error
    if answer.status_code != httpx.codes.ACCEPTED:
        raise NotReady(f"the HTTP source refused the canary with {answer.status_code}: {answer.text[:500]}")
    frames = answer.json()["frames"]
    return [Receipt(frame["partition"], frame["offset"]) for frame in frames]
