"""carbon.warnings into the queue, from positions that the database keeps."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import orjson
import psycopg
from confluent_kafka import Message, TopicPartition

from carbonstream.connectors import kafka, telemetry
from carbonstream.connectors.sinks.notify.enqueueing import enqueue_changes, write_positions
from carbonstream.processors.notices import Change
from carbonstream.schemas import topics
from carbonstream.schemas.errors import LayoutChanged
from carbonstream.schemas.frames import TYPE_OPERATION
from carbonstream.schemas.settings import Settings

RECORDS: Final = 500
POLL_S: Final = 0.5


class Reader:
    """Reads committed records only; the first time from the end: what was warned before is not announced."""

    def __init__(self, config: Settings, connection: psycopg.Connection[Any], log: Any) -> None:
        self._connection, self._log = connection, log
        self._topic = config.topic(topics.WARNINGS)
        self._topic_id = kafka.partitioned_topic_ids(config, [topics.WARNINGS])[topics.WARNINGS]
        self._check_layout()
        self._consumer = kafka.reader(config, **kafka.STAYING)
        try:
            self._start(config.partitions)
        except BaseException:
            self._consumer.close()
            raise

    def _check_layout(self) -> None:
        row = self._connection.execute(
            "select topic_id from layout where topic = %s", (self._topic,)
        ).fetchone()
        if row is not None and row[0] != self._topic_id:
            raise LayoutChanged(
                f"{self._topic} is now {self._topic_id}, the database knows {row[0]}; "
                "`carbonstream repair --new-epoch` accepts that"
            )

    def _start(self, partitions: int) -> None:
        stored = {
            number: (topic_id, offset)
            for number, topic_id, offset in self._connection.execute(
                "select partition, topic_id, next_offset from notice_position"
            )
        }
        at: dict[int, int] = {}
        for partition in range(partitions):
            first, end = kafka.end_offsets_of(self._consumer, self._topic, partition)
            topic_id, offset = stored.get(partition, (self._topic_id, end))
            if topic_id != self._topic_id:
                offset = first
            if offset < first:
                telemetry.FAULTS.labels("notify", "expired").inc()
                self._log.error("warnings expired unread", partition=partition, offset=offset, first=first)
            at[partition] = max(first, offset)
        # written at once: what comes before the first batch must be found after a kill
        write_positions(self._connection, {partition: (self._topic_id, n) for partition, n in at.items()})
        self._consumer.assign(
            [TopicPartition(self._topic, partition, offset) for partition, offset in at.items()]
        )

    def pass_(self, now: datetime) -> int:
        """Enqueue what has come, waiting POLL_S at most; how many records it was."""
        messages = self._consumer.consume(RECORDS, POLL_S)
        changes: list[Change] = []
        positions: dict[int, tuple[str, int]] = {}
        for message in messages:
            kafka.check(message)
            if message.error() is None:
                positions[message.partition() or 0] = (self._topic_id, (message.offset() or 0) + 1)
                changes += self._changes(message)
        if positions:
            added = enqueue_changes(self._connection, changes, positions, now)
            telemetry.RECORDS.labels("notify", topics.WARNINGS).inc(len(messages))
            if added.notices:
                self._log.info("notices", new=len(added.notices), changes=len(added.joined))
        return len(messages)

    def _changes(self, message: Message) -> list[Change]:
        if kafka.type_of(message.headers()) == TYPE_OPERATION:  # type: ignore[arg-type]
            return []  # what an operator did is told on the screen, subscribers are told of conditions
        try:
            return [Change.of(orjson.loads(message.value() or b""))]
        except (ValueError, KeyError, TypeError) as error:
            telemetry.FAULTS.labels("notify", "unreadable").inc()
            self._log.error("unreadable warning", partition=message.partition(), offset=message.offset(),
                            error=str(error))  # fmt: skip
            return []

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()
