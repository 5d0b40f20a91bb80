"""`carbonstream repair`: after a recreated topic (a new epoch), or a gap in the chain of carbon.emissions.

Both need the services stopped, say what they did, and lose nothing silently: readings whose answers are gone are
booked as rejected (MISSING_ANSWER) and kept, so that they can be sent again.
"""

from __future__ import annotations

import time
from typing import Any, Final

import psycopg
from confluent_kafka import KafkaException

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.connectors.locks import SPACE, Only
from carbonstream.ops.chain import find_break
from carbonstream.ops.checkpoints import Checkpoints
from carbonstream.ops.lost import book_in_flight, book_lost
from carbonstream.processors.ledger import ELECTRICITY
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

LEAVING_S: Final = 20.0  # a member that was killed or has a name of its own is in its group for 10 s more
POLL_S: Final = 0.5


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
            _convert_stopped(settings)
            report |= _open_epoch(settings, connection, found, changed) | {"new_epoch": True}
        else:
            report["gaps"] = [
                gap
                for n in range(settings.partitions)
                if (gap := _close_gap(settings, connection, n)) is not None
            ]
        connection.commit()
    return report


def _services_stopped(connection: psycopg.Connection, partitions: int) -> None:
    for key in (*range(partitions), Only.RELAY, Only.LEDGER):
        row = connection.execute("select pg_try_advisory_xact_lock(%s, %s)", (SPACE, int(key))).fetchone()
        if not row or not row[0]:
            raise NotReady("services are running; stop them first, so that nothing moves during the repair")


def _convert_stopped(settings: Settings) -> None:
    """convert holds no lock of the database: its consumer group tells whether it runs."""
    group = settings.topic_prefix + "convert"
    client = kafka.admin(settings)
    until = time.monotonic() + LEAVING_S
    while True:
        try:
            members = client.describe_consumer_groups([group])[group].result(LEAVING_S).members
        except KafkaException as error:
            raise NotReady(
                f"Kafka at {settings.kafka} does not tell whether convert runs: {error}"
            ) from error
        if not members:
            return
        if time.monotonic() > until:
            raise NotReady("convert is running; stop it first, so that its checkpoints stand still")
        time.sleep(POLL_S)


def _open_epoch(
    settings: Settings, connection: psycopg.Connection, found: dict[str, tuple[str, int]], changed: list[str]
) -> dict[str, Any]:
    """Accept recreated topics: book what was in flight, and let all hops begin at the same place.

    Registers and the newest readings are kept, so the first interval spans the change. Where meter.readings stands
    and only its answers are gone, partitions go on behind convert's last checkpoint; else they begin anew.
    """
    readings, emissions, state = (
        settings.topic(name) for name in (topics.READINGS, topics.EMISSIONS, topics.STATE)
    )
    is_anew = readings in changed
    if is_anew and emissions not in changed:
        raise NotReady(
            f"{readings} was recreated and {emissions} was not: what it holds answers records that are gone; recreate "
            f"{emissions} too"
        )
    if state in changed and not is_anew:
        raise NotReady(
            f"{state} was recreated and {readings} was not: convert no longer knows its registers; recreate {readings} "
            f"and {emissions} too, or replay them into an empty database"
        )
    checkpoints = Checkpoints(settings)
    begins = [-1] * settings.partitions if is_anew else checkpoints.at
    if is_anew:
        lost = book_in_flight(connection)
        connection.execute(
            "update ledger_position set source_topic = %s, source_offset = -1, reference = '{}'",
            (found[readings][0],),
        )
        _begin_registers(connection, checkpoints)
    else:
        stored = connection.execute("select partition, source_offset from position").fetchall()
        lost = sum(book_lost(settings, connection, n, at + 1, begins[n]) for n, at in stored)
    for n, begin in enumerate(begins):
        connection.execute(
            "update position set epoch = epoch + 1, source_offset = %s, emissions_offset = -1, reference = '{}' "
            "where partition = %s",
            (begin, n),
        )
    for name, (topic_id, partitions) in found.items():
        connection.execute(
            "insert into layout (topic, topic_id, partitions) values (%s, %s, %s) on conflict (topic) do update "
            "set topic_id = excluded.topic_id, partitions = excluded.partitions, epoch = layout.epoch + 1",
            (name, topic_id, partitions),
        )
    checkpoints.carry_over(found[readings][0], found[emissions][0], begins)
    return {"in_flight": lost}


def _begin_registers(connection: psycopg.Connection, checkpoints: Checkpoints) -> None:
    """The ledger's reader begins a new epoch from the indexes convert begins it from; what lay between is booked."""
    registers = connection.execute(
        "select number from meter where kind = 'register' and carrier = %s", (ELECTRICITY,)
    ).fetchall()
    connection.execute("delete from ledger_register")
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into ledger_register (meter, partition, end_ms, raw_index) values (%s, %s, %s, %s)",
            checkpoints.newest_indexes([number for (number,) in registers]),
        )


def _close_gap(settings: Settings, connection: psycopg.Connection, partition: int) -> dict[str, Any] | None:
    """Where the next answer does not follow the stored position: book what lies between, and step over it."""
    row = connection.execute(
        "select source_offset, emissions_offset from position where partition = %s", (partition,)
    ).fetchone()
    if row is None:
        return None
    consumer = kafka.reader(settings)
    try:
        gap = find_break(settings, consumer, partition, *row)
    finally:
        consumer.close()
    if gap is None:
        return None
    lost = book_lost(settings, connection, partition, gap.first, gap.last)
    connection.execute(
        "update position set source_offset = %s, emissions_offset = %s where partition = %s",
        (gap.last, gap.at - 1, partition),
    )
    return {"partition": partition, "from": gap.first, "to": gap.last, "readings": lost}
