"""Partitions read side by side, none ahead of another: records come out in the order of their ticks.

A source's meters lie in many partitions, and one that is read faster must not show what happened long after the
clock of the others. So a partition waits as long as its newest tick is later than another's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Record = TypeVar("Record")


class Merge(Generic[Record]):
    """Queues of one record after another by partition, each with the newest tick that came out of it (UTC ms)."""

    def __init__(self, ticks: dict[int, int]) -> None:
        self.ticks = ticks
        self._waiting: dict[int, deque[tuple[int | None, Record]]] = {n: deque() for n in ticks}

    @property
    def now(self) -> int:
        """The lowest tick of all partitions; 0 before each has had one."""
        return min(self.ticks.values())

    def put(self, partition: int, tick: int | None, record: Record) -> None:
        """The next record of a partition; tick: of a record that answers one."""
        self._waiting[partition].append((tick, record))

    def waiting(self, partition: int) -> int:
        """How many records of a partition have not come out yet."""
        return len(self._waiting[partition])

    def take(self) -> Iterator[tuple[int, Record]]:
        """(partition, record) of all that may come out now."""
        while True:
            now = self.now
            ready = [n for n, tick in self.ticks.items() if tick == now and self._waiting[n]]
            if not ready:
                return
            for n in ready:
                queue = self._waiting[n]
                while queue:
                    tick, record = queue.popleft()
                    if tick is not None:
                        self.ticks[n] = max(self.ticks[n], tick)
                    yield n, record
                    if self.ticks[n] > now:
                        break
