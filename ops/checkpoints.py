"""convert's checkpoints in meter.state, as `carbonstream repair` reads them and carries them into a new epoch.

Nobody else writes them from the moment they are read: a convert that only stood still is fenced.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from confluent_kafka import Consumer, KafkaException

from carbonstream.connectors import kafka
from carbonstream.processors.converter import BLOCK_BYTES, rebased
from carbonstream.processors.meters import NEVER, ShardState
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import SHARDS


class Checkpoints:
    """The newest record of each key, by partition."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keepers = [kafka.keeper(settings, n) for n in range(settings.partitions)]
        consumer = kafka.reader(settings)
        try:
            self._records = [_newest(settings, consumer, n) for n in range(settings.partitions)]
        finally:
            consumer.close()

    @property
    def at(self) -> list[int]:
        """Source offset that each partition's checkpoint stands at; -1 where there is none."""
        found = []
        for records in self._records:
            own = [orjson.loads(value) for value in records.values() if b"\n" not in value]
            found.append(max((document["at"] for document in own), default=-1))
        return found

    def newest_indexes(self, numbers: Sequence[int]) -> list[tuple[int, int, int, int]]:
        """(meter number, partition, end in UTC ms, raw index) of the meters that convert knows a reading of."""
        shards: dict[int, tuple[int, ShardState]] = {}
        for partition, records in enumerate(self._records):
            for value in records.values():
                head, newline, packed = value.partition(b"\n")
                document = orjson.loads(head) if newline else {}
                if "block" in document:
                    _, state = shards.setdefault(document["shard"], (partition, ShardState()))
                    state.restore(document["block"], packed[:BLOCK_BYTES])
        found = []
        for number in numbers:
            slot, shard = divmod(number, SHARDS)
            if shard in shards and slot < len(shards[shard][1].newest):
                partition, newest = shards[shard][0], shards[shard][1].newest[slot]
                if newest["end"] != NEVER:
                    found.append((number, partition, int(newest["end"]), int(newest["raw"])))
        return found

    def carry_over(self, readings_topic: str, emissions_topic: str, begins: Sequence[int]) -> None:
        """Write every record for these topic ids, standing at these source offsets; a partition's all or none.

        Raises NotReady.
        """
        topic = self._settings.topic(topics.STATE)
        for partition, records in enumerate(self._records):
            try:
                with kafka.transaction(self._keepers[partition]):
                    for key, value in records.items():
                        head, newline, packed = rebased(value, readings_topic, emissions_topic).partition(
                            b"\n"
                        )
                        document = orjson.loads(head) | {"at": begins[partition]}
                        self._keepers[partition].produce(
                            topic, orjson.dumps(document) + newline + packed, key, partition
                        )
            except KafkaException as error:
                raise NotReady(
                    f"meter.state could not be written ({error}); nothing was changed in the database, repair again"
                ) from error


def _newest(settings: Settings, consumer: Consumer, partition: int) -> dict[bytes, bytes]:
    topic = settings.topic(topics.STATE)
    first, end = kafka.end_offsets_of(consumer, topic, partition)
    newest: dict[bytes, bytes] = {}
    for message in kafka.read_range(consumer, topic, partition, first, end):
        key, value = message.key(), message.value()
        if key is not None and value is not None and key.startswith(b"convert/"):
            newest[bytes(key)] = value
    return newest
