"""Many boards at once: each asks what a page asks when it opens and then now and then, and keeps its two streams."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import numpy as np

from carbonstream.ops.bench.region import REGION
from carbonstream.schemas.settings import Settings

ENTITY: Final = f"region:{REGION}"
ENOUGH_S: Final = 3.0  # what the standards give a user's request (CEPPC 8.1)
READS_EVERY_S: Final = 10.0  # the board's own: freshness
LISTS_EVERY_S: Final = 30.0  # the board's own: overview and warnings
GIVE_UP_S: Final = 30.0


@dataclass
class Boards:
    """So many boards, opened one after the other within `opening_s`; all stay until `seconds` have passed.

    month: of the figures they show, as 2026-03.
    """

    settings: Settings
    month: str
    boards: int
    opening_s: float
    seconds: float
    answers: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)
    listening: int = 0

    def run(self) -> dict[str, Any]:
        """Open them, wait, and say what was measured."""
        asyncio.run(self._run())
        opening = self.answers.pop("opening", [])
        asked = [second for seconds in self.answers.values() for second in seconds]
        return {
            "boards": self.boards,
            "opened_within_s": self.opening_s,
            "streams": self.listening,
            "failed": len(self.failed),
            "failures": dict(Counter(self.failed).most_common(3)),
            "opening_p50_s": _quantile(opening, 0.5),
            "opening_p99_s": _quantile(opening, 0.99),
            "answers": len(asked),
            "p50_s": _quantile(asked, 0.5),
            "p99_s": _quantile(asked, 0.99),
            "max_s": _quantile(asked, 1),
            "over_3_s": sum(second > ENOUGH_S for second in asked),
            "slowest_p99_s": {
                name: _quantile(seconds, 0.99) for name, seconds in sorted(self.answers.items())
            },
        }

    async def _run(self) -> None:
        begins = time.monotonic()
        ends = begins + self.seconds
        apart = self.opening_s / self.boards
        await asyncio.gather(*(self._board(n, begins + n * apart, ends) for n in range(self.boards)))

    async def _board(self, n: int, begins: float, ends: float) -> None:
        await asyncio.sleep(begins - time.monotonic())
        began = time.monotonic()
        streams = [
            asyncio.create_task(self._listen({"topics": "totals", "entity": ENTITY}, ends)),
            asyncio.create_task(self._listen({"topics": "warnings"}, ends)),
        ]
        connections = await asyncio.gather(*(self._connection() for _ in range(4)))
        today = {"entity": ENTITY, "indicator": "all", "from": self.month}
        lists = ("active", 200), ("cleared", 30)
        asked = [
            ("/v1/entities", {"kind": "region", "limit": "1"}),
            ("/v1/freshness", {"entity": ENTITY}),
            ("/v1/overview", {}),
            ("/v1/totals", {**today, "grain": "hour"}),
            ("/v1/totals", {**today, "grain": "day"}),
            *(("/v1/warnings", {"state": state, "limit": str(most)}) for state, most in lists),
            ("/v1/warnings", {"operator_state": "open", "limit": "200"}),
        ]
        try:
            await asyncio.gather(*(self._ask_all(c, asked[i::4]) for i, c in enumerate(connections)))
            self.answers["opening"].append(time.monotonic() - began)
            # the pages of a thousand people are not in step
            await self._stay(asked, ends, (n % 100) / 100)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            self.failed.append(repr(error))
        finally:
            for _, writer in connections:
                writer.close()
        await asyncio.gather(*streams)

    async def _stay(self, asked: list[tuple[str, dict[str, str]]], ends: float, phase: float) -> None:
        """Ask as the page does, each time by a new connection: the server has closed the idle ones."""
        reads_at = time.monotonic() + READS_EVERY_S * phase
        lists_at = time.monotonic() + LISTS_EVERY_S * phase
        while (next_at := min(reads_at, lists_at)) < ends:
            await asyncio.sleep(max(next_at - time.monotonic(), 0))
            if reads_at <= lists_at:
                reads_at += READS_EVERY_S
                due = [asked[1]]
            else:
                lists_at += LISTS_EVERY_S
                due = [asked[2], *asked[5:]]
            connection = await self._connection()
            try:
                await self._ask_all(connection, due)
            finally:
                connection[1].close()

    async def _ask_all(self, connection: Connection, asked: list[tuple[str, dict[str, str]]]) -> None:
        for path, query in asked:
            began = time.monotonic()
            async with asyncio.timeout(GIVE_UP_S):
                status = await self._get(connection, path, query)
            self.answers[path].append(time.monotonic() - began)
            if status != 200:
                self.failed.append(f"{path}: {status}")

    async def _listen(self, query: dict[str, str], ends: float) -> None:
        reader, writer = await self._connection()
        try:
            writer.write(self._request("/v1/stream", query))
            async with asyncio.timeout(ends - time.monotonic()):
                await reader.readuntil(b"\r\n\r\n")
                self.listening += 1
                while await reader.read(1 << 16):
                    pass
        except TimeoutError:
            pass
        except (OSError, asyncio.IncompleteReadError) as error:
            self.failed.append(f"stream: {error!r}")
        finally:
            writer.close()

    def _connection(self) -> Any:
        return asyncio.open_connection("127.0.0.1", self.settings.api_port, limit=1 << 22)

    def _request(self, path: str, query: dict[str, str]) -> bytes:
        return (
            f"GET {path}?{urlencode(query)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {self.settings.api_token}\r\n\r\n"
        ).encode()

    async def _get(self, connection: Connection, path: str, query: dict[str, str]) -> int:
        reader, writer = connection
        writer.write(self._request(path, query))
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        _, _, length = head.partition(b"content-length:")
        await reader.readexactly(int(length.split(b"\r\n")[0]))
        return int(head.split()[1])


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _quantile(seconds: list[float], share: float) -> float | None:
    return round(float(np.quantile(seconds, share)), 3) if seconds else None
