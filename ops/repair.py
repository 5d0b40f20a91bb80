"""`carbonstream repair`: after a recreated topic (a new epoch), or a gap in the chain of carbon.emissions.

Both need the services stopped, say what they did, and lose nothing silently: readings whose answers are gone are
booked as rejected (MISSING_ANSWER) and kept, so that they can be sent again.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import orjson
import psycopg
from confluent_kafka import KafkaException

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.connectors.sinks.timescale.ownership import LOCK_SPACE
from carbonstream.connectors.sinks.timescale.tables import write_ledger
from carbonstream.processors.converter import rebased
from carbonstream.processors.frames import Frame, Refusal, parse_record
from carbonstream.processors.ledger import Count, day_of, site_text
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

RELAY, LEDGER = 1_000, 1_001
KEPT_BYTES: Final = 65_536


def repair(settings: Settings, *, new_epoch: bool) -> dict[str, Any]:
    """Find what is wrong and mend it; the report names every step. Raises NotReady while services run."""
    with connect(settings, application="repair") as connection:
        _services_stopped(connection, settings.partitions)
        names = [settings.topic(t.name) for t in topics.CATALOGUE]
        found = kafka.topic_ids(settings, names)
        missing = [name for name in names if name not in found]
        if missing:
            raise NotReady(
                f"topics {missing} do not exist; create them with `carbonstream topics`, then repair"
            )
        stored = {
            row[0]: (row[1], row[2])
            for row in connection.execute("select topic, topic_id, partitions from layout")
        }
        changed = sorted(name for name in names if stored.get(name) != found[name])
        report: dict[str, Any] = {"changed_topics": changed, "new_epoch": False, "gaps": []}
        if changed:
            if not new_epoch:
                report["remedy"] = "topics were recreated: `carbonstream repair --new-epoch` accepts them"
                return report
            _open_epoch(settings, connection, found)
            report["new_epoch"] = True
        else:
            report["gaps"] = [
                gap
                for n in range(settings.partitions)
                if (gap := _close_gap(settings, connection, n)) is not None
            ]
        connection.commit()
    return report


def _services_stopped(connection: psycopg.Connection, partitions: int) -> None:
    for key in (*range(partitions), RELAY, LEDGER):
        row = connection.execute("select pg_try_advisory_xact_lock(%s, %s)", (LOCK_SPACE, key)).fetchone()
        if not row or not row[0]:
            raise NotReady("services are running; stop them first, so that nothing moves during the repair")


def _open_epoch(
    settings: Settings, connection: psycopg.Connection, found: dict[str, tuple[str, int]]
) -> None:
    """Positions begin anew; registers and the newest readings are kept, so the first interval spans the change."""
    for name, (topic_id, partitions) in found.items():
        connection.execute(
            "insert into layout (topic, topic_id, partitions) values (%s, %s, %s) on conflict (topic) do update "
            "set topic_id = excluded.topic_id, partitions = excluded.partitions, epoch = layout.epoch + 1",
            (name, topic_id, partitions),
        )
    connection.execute(
        "update position set epoch = epoch + 1, source_offset = -1, emissions_offset = -1, reference = '{}'"
    )
    connection.execute("delete from ledger_position")
    readings, emissions = (found[settings.topic(t)][0] for t in (topics.READINGS, topics.EMISSIONS))
    consumer, producer = kafka.reader(settings), kafka.producer(settings)
    state = settings.topic(topics.STATE)
    for n in range(found[state][1]):
        first, end = kafka.end_offsets_of(consumer, state, n)
        newest: dict[bytes, bytes] = {}
        for message in kafka.read_range(consumer, state, n, first, end):
            key, value = message.key(), message.value()
            if key is not None and value is not None:
                newest[bytes(key)] = value
        for key, value in newest.items():
            producer.produce(state, rebased(value, readings, emissions), key, n)
    if producer.flush(30):
        raise NotReady("meter.state could not be written; nothing was changed in the database, repair again")
    consumer.close()


def _close_gap(settings: Settings, connection: psycopg.Connection, partition: int) -> dict[str, Any] | None:
    """Where the next answer does not follow the stored position: book what lies between, and step over it."""
    row = connection.execute(
        "select source_offset, emissions_offset from position where partition = %s", (partition,)
    ).fetchone()
    if row is None:
        return None
    source_at, emissions_at = row
    consumer = kafka.reader(settings)
    try:
        topic = settings.topic(topics.EMISSIONS)
        first, end = kafka.end_offsets_of(consumer, topic, partition)
        for message in kafka.read_range(consumer, topic, partition, max(first, emissions_at + 1), end):
            origin = orjson.loads(message.value() or b"{}")["origin"]
            if origin["offset"] <= source_at:
                continue
            if origin["previous"] == source_at:
                return None
            lost = _book(settings, connection, partition, source_at + 1, origin["previous"])
            connection.execute(
                "update position set source_offset = %s, emissions_offset = %s where partition = %s",
                (origin["previous"], (message.offset() or 0) - 1, partition),
            )
            return {"partition": partition, "from": source_at + 1, "to": origin["previous"], "readings": lost}
        return None
    finally:
        consumer.close()


def _book(settings: Settings, connection: psycopg.Connection, partition: int, first: int, last: int) -> int:
    """Readings of meter.readings[first..last] as rejected, their records kept; how many there were."""
    consumer = kafka.reader(settings)
    readings = 0
    try:
        for message in kafka.read_range(
            consumer, settings.topic(topics.READINGS), partition, first, last + 1
        ):
            record = parse_record(message.value(), kafka.type_of(message.headers()))  # type: ignore[arg-type]
            if not isinstance(record, Frame | Refusal):
                continue
            counts = _counts(record)
            readings += sum(count.readings for count in counts)
            write_ledger(connection.cursor(), "outcome", counts)
            connection.execute(
                "insert into reject (partition, source_offset, row, code, source, detail, payload) "
                "values (%s, %s, -1, %s, %s, %s, %s)",
                (partition, message.offset(), int(Outcome.MISSING_ANSWER), record.source,
                 "its answer was gone from carbon.emissions", (message.value() or b"")[:KEPT_BYTES]),
            )  # fmt: skip
    except KafkaException as error:
        raise NotReady(
            f"meter.readings[{partition}] no longer holds {first} to {last}: what it held cannot be counted ({error})"
        ) from error
    finally:
        consumer.close()
    return readings


def _counts(record: Frame | Refusal) -> list[Count]:
    if isinstance(record, Refusal):
        return [Count(record.source, "", 0, int(Outcome.MISSING_ANSWER), record.readings, 0)]
    days = day_of(np.maximum(record.end, 0)).tolist()
    return [
        Count(record.source, site_text(record.meters[m]), day, int(Outcome.MISSING_ANSWER), 1, 0)
        for m, day in zip(record.meter.tolist(), days, strict=True)
    ]
