"""What the edge refused, by source, code and local day: a tally in memory, added to table edge_refusal
whenever the database is there. The edge works without the database; a crash loses what was not yet written.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, Final

import psycopg
from prometheus_client import Counter as Metric

from carbonstream.schemas.codes import Edge
from carbonstream.schemas.periods import local_iso
from carbonstream.schemas.settings import Settings

FLUSH_S: Final = 5.0
CONNECT_TIMEOUT_S: Final = 3
UNKNOWN_SOURCE: Final = "unknown"  # no valid token
REFUSALS: Final = Metric(
    "carbonstream_edge_refusals_total", "Requests refused at the edge, by source and code", ["source", "code"]
)
ADD: Final = """
insert into edge_refusal (source, code, day, requests) values (%s, %s, %s, %s)
on conflict (source, code, day) do update set requests = edge_refusal.requests + excluded.requests
"""


class Refusals:
    """The tally. Lives in one event loop."""

    def __init__(self, settings: Settings, log: Any) -> None:
        self._settings, self._log = settings, log
        self._waiting: Counter[tuple[str, str, str]] = Counter()
        self._reachable = True

    def count(self, source: str, code: Edge, now_ms: int) -> None:
        """One request refused at `now_ms` (UTC ms)."""
        self._waiting[source, code.value, local_iso(now_ms)[:10]] += 1
        REFUSALS.labels(source, code.value).inc()

    async def keep(self) -> None:
        """Write every few seconds, for ever."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Add the tally to the table; what cannot be written waits for the next time."""
        if not self._waiting:
            return
        writing = dict(self._waiting)
        try:
            async with await psycopg.AsyncConnection.connect(
                self._settings.database,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="carbonstream http",
                options="-c statement_timeout=5000",
            ) as connection:
                await connection.cursor().executemany(
                    ADD, [(*key, requests) for key, requests in sorted(writing.items())]
                )
        except psycopg.Error as error:
            if self._reachable:
                self._log.warning("refusals wait for the database", waiting=len(writing), error=str(error))
            self._reachable = False
            return
        self._reachable = True
        self._waiting.subtract(writing)
        self._waiting = +self._waiting  # drops what is written
