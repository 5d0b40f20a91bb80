"""Notices partitions that have work and do not move, and ends a Faust process that has such: Faust may stop silently
after a rebalance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from carbonstream.connectors import kafka, telemetry
from carbonstream.schemas.settings import Settings
from carbonstream.streams.faust_app import end_process

LOOKS = 6  # in the time after which a partition counts as stuck
ANSWER_S = 10.0


class Progress:
    """Since when each partition stands where it stands."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since: dict[int, tuple[Hashable, float]] = {}

    def stuck(self, now: float, standing: Mapping[int, tuple[Hashable, int]]) -> list[int]:
        """Partitions that have been behind at one place for longer than the limit.

        now: monotonic s. standing: of each partition what changes when it moves, and how many records it is behind; one
        that is not named or not behind begins anew.
        """
        since = self._since
        self._since = {
            n: since[n] if n in since and since[n][0] == place else (place, now)
            for n, (place, behind) in standing.items()
            if behind
        }
        return [n for n, (_, began) in self._since.items() if now - began > self._limit_s]


class Watchdog:
    """Compares where the partitions of a Faust app stand with the topic's end, now and then.

    at: offset that each partition has answered; one that is not named has yet to be taken up from the group's offset.
    taken: what was taken up of all of them; partitions are taken up one by one, so that it moves is progress of all.
    """

    def __init__(
        self,
        config: Settings,
        service: str,
        app: Any,
        topic: str,
        at: Callable[[], dict[int, int]],
        taken: Callable[[], int],
    ) -> None:
        self._config, self._service, self._app, self._topic = config, service, app, topic
        self._at, self._taken = at, taken

    async def run(self) -> None:
        """Look for ever; ends the process where a partition is stuck."""
        consumer = kafka.reader(self._config, **{"group.id": self._config.topic_prefix + self._service})
        progress = Progress(self._config.watchdog_s)
        while True:
            await asyncio.sleep(self._config.watchdog_s / LOOKS)
            assigned = sorted(
                tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._topic
            )
            at, taken = self._at(), self._taken()
            found = {}
            for n in assigned:
                with suppress(KafkaException):  # its leader is away: nothing we could do faster
                    found[n] = await asyncio.to_thread(standing, consumer, self._topic, n, at, taken)
                    telemetry.LAG.labels(self._service, str(n)).set(found[n][1])
            if stuck := progress.stuck(time.monotonic(), found):
                error = TimeoutError(f"partitions {stuck} are behind and do not move")
                end_process(telemetry.configure(self._config, self._service), error)


def standing(
    consumer: Consumer, topic: str, n: int, at: Mapping[int, int], taken: int
) -> tuple[Hashable, int]:
    """Where a partition stands and how many records it is behind, by the broker's own word. Blocks.

    consumer: names the group whose offset counts for one that is not in `at`. Raises KafkaException.
    """
    first, end = kafka.end_offsets_of(consumer, topic, n)
    if n in at:
        return (at[n], taken), max(end - 1 - at[n], 0)
    [group] = consumer.committed([TopicPartition(topic, n)], timeout=ANSWER_S)
    return (-1, taken), max(end - max(group.offset, first), 0)
