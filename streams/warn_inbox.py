"""What warn reads: changed totals, forwarded ticks, that reference data changed, and operators' commands.

But for commands, records only say what to look at; warn judges by the database. So a second copy does no harm, and a
record that expired while warn was away is made up for by judging every target once at the start. A command is kept
until a pass has taken it, and only then the position moves behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson
from confluent_kafka import Message, TopicPartition

from carbonstream.connectors import kafka
from carbonstream.processors.targets import Targets
from carbonstream.schemas import topics
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.streams.warn_operator import Received

READ: Final = (
    topics.TOTALS,
    topics.SIGNALS,
    topics.COMMANDS,
    topics.REF_TARGETS,
    topics.REF_COEFFICIENTS,
    topics.REF_METERS,
    topics.REF_SITES,
    topics.REF_RULES,
    topics.REF_ACTIVITY,
)
POLL_S: Final = 0.02
POLL_RECORDS: Final = 5_000
Position = tuple[int, int]  # next offset, tick


class Inbox:
    """Reads without a group, from positions the database keeps."""

    def __init__(self, config: Settings, positions: dict[tuple[str, int], Position]) -> None:
        self._config = config
        self._names = {config.topic(name): name for name in READ}
        self._consumer = kafka.reader(config, **kafka.STAYING)
        self.ticks = dict.fromkeys(range(config.partitions), 0)
        self.positions: dict[tuple[str, int], int] = {}
        self.reference_changed = True  # what is known of it must be read once
        self.changed: dict[
            str, set[int]
        ] = {}  # entity -> hours (start, UTC ms); of entities with targets only
        self.commands: list[Received] = []  # not yet taken
        for (topic, partition), (offset, tick) in positions.items():
            self.positions[topic, partition] = offset
            if topic == topics.SIGNALS:
                self.ticks[partition] = tick
        for name in READ:
            for partition in range(config.partitions_of(name)):
                self.positions[name, partition] = self._start(name, partition)
        self._consumer.assign(
            [TopicPartition(config.topic(name), n, offset) for (name, n), offset in self.positions.items()]
        )

    def _start(self, name: str, partition: int) -> int:
        """Where it stood; the first time at the last record, which for carbon.signals is the newest tick, but at the
        first command.
        """
        first, end = kafka.end_offsets_of(self._consumer, self._config.topic(name), partition)
        if name == topics.COMMANDS:
            return max(first, min(self.positions.get((name, partition), first), end))
        return max(first, min(self.positions.get((name, partition), end - 1), end))

    @property
    def now(self) -> int:
        """The lowest forwarded tick of all source partitions, UTC ms; 0 before each has come."""
        return min(self.ticks.values())

    def poll(self, targets: Targets) -> int:
        """Take in what has come, waiting POLL_S at most; how many records it was."""
        messages = self._consumer.consume(POLL_RECORDS, POLL_S)
        for message in messages:
            kafka.check(message)
            if message.error() is None:
                self._take(message, targets)
        return len(messages)

    def _take(self, message: Message, targets: Targets) -> None:
        name, partition = self._names[message.topic() or ""], message.partition() or 0
        if name == topics.COMMANDS:
            self.commands.append(Received(partition, message.offset() or 0, message.value() or b""))
            return
        self.positions[name, partition] = (message.offset() or 0) + 1
        if name == topics.TOTALS:
            self._total(bytes(message.key() or b"").decode(), targets)
        elif name == topics.SIGNALS:
            signal = orjson.loads(message.value() or b"{}")
            if "time" in signal:
                source = signal["partition"]
                self.ticks[source] = max(signal["time"], self.ticks[source])
        else:
            self.reference_changed = True

    def _total(self, key: str, targets: Targets) -> None:
        """entity|grain|bucket: every change of a day or month is one of an hour too."""
        entity, grain, bucket = key.rsplit("|", 2)
        if grain == "hour" and targets.has(entity):
            self.changed.setdefault(entity, set()).add(to_ms(datetime.fromisoformat(bucket)))

    def took(self, commands: Sequence[Received]) -> None:
        """These commands are taken: they were the first of `commands`."""
        del self.commands[: len(commands)]

    def rows(self, taken: Sequence[Received]) -> list[tuple[str, int, int, int]]:
        """(topic, partition, next offset, tick) for the database, behind the commands taken."""
        for command in taken:
            self.positions[topics.COMMANDS, command.partition] = command.offset + 1
        return [
            (topic, n, offset, self.ticks[n] if topic == topics.SIGNALS else 0)
            for (topic, n), offset in self.positions.items()
        ]

    def close(self) -> None:
        """Give the connection to Kafka up."""
        self._consumer.close()
