"""One computation for all who ask at the same time: a thousand boards that open at once cost one query."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")
MOST: Final = 10_000


class Once:
    """Remembers each key's last answer for `keep_s` and shares one under way. Errors are not remembered.

    most: answers held; beyond it those that are there are let go.
    """

    def __init__(self, keep_s: float, most: int = MOST) -> None:
        self._keep_s, self._most = keep_s, most
        self._answers: dict[str, tuple[float, asyncio.Future[Any]]] = {}

    async def get(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        """The answer of `compute`, at most `keep_s` old. One who stops waiting does not stop the others."""
        now = asyncio.get_running_loop().time()
        known = self._answers.get(key)
        if known is None or (known[1].done() and now - known[0] >= self._keep_s):
            if len(self._answers) >= self._most:
                self._answers = {k: a for k, a in self._answers.items() if not a[1].done()}
            task = asyncio.ensure_future(compute())
            task.add_done_callback(lambda t: self._settle(key, t))
            known = self._answers[key] = (now, task)
        answer: T = await asyncio.shield(known[1])
        return answer

    def _settle(self, key: str, task: asyncio.Future[Any]) -> None:
        known = self._answers.get(key)
        if known is None or known[1] is not task:
            return
        if task.cancelled() or task.exception() is not None:
            del self._answers[key]
        else:
            self._answers[key] = (asyncio.get_running_loop().time(), task)
