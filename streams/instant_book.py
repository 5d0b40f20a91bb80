"""What the service instant reads and writes of the database: meters, checkpoints, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from carbonstream.processors.instant.readings import FOREVER, Fleet, Meter
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.warnings import Warning as WarningRecord
from carbonstream.streams.warn_book import write_warnings

Connection = psycopg.Connection[Any]
METERS: Final = "select number, meter_id, carrier, interval_s, valid_to from meter"
POSITIONS: Final = "select partition, emissions_topic, next_offset, origin, tick_ms from instant_position"
WRITE_POSITION: Final = """
insert into instant_position (partition, emissions_topic, next_offset, origin, tick_ms) values (%s, %s, %s, %s, %s)
on conflict (partition) do update set (emissions_topic, next_offset, origin, tick_ms) =
  (excluded.emissions_topic, excluded.next_offset, excluded.origin, excluded.tick_ms)
"""
WRITE_STATE: Final = """
insert into instant_state (rule, state) values (%s, %s) on conflict (rule) do update set state = excluded.state
"""
WRITE_HEARD: Final = """
insert into instant_heard (block, packed) values (%s, %s) on conflict (block) do update set packed = excluded.packed
"""
TOLD: Final = "select id, version from warning_history where id = any (%s)"


@dataclass(slots=True)
class Position:
    """Where a partition of carbon.emissions stands. tick: UTC ms."""

    next_offset: int
    origin: int = -1
    tick: int = 0


def load_fleet(connection: Connection) -> Fleet:
    """All registered meters."""
    return Fleet(
        Meter(number, meter_id, carrier, interval_s * 1_000, FOREVER if valid_to is None else to_ms(valid_to))
        for number, meter_id, carrier, interval_s, valid_to in connection.execute(METERS)
    )


def load_positions(connection: Connection, topic_id: str) -> dict[int, Position]:
    """Positions in this topic; those in one that was recreated since are of no use."""
    return {
        partition: Position(offset, origin, tick)
        for partition, topic, offset, origin, tick in connection.execute(POSITIONS)
        if topic == topic_id
    }


def load_state(connection: Connection) -> tuple[dict[str, Any], dict[int, bytes]]:
    """The last checkpoint: state by rule, and blocks of meters."""
    state = dict(connection.execute("select rule, state from instant_state").fetchall())
    blocks = connection.execute("select block, packed from instant_heard").fetchall()
    return state, {block: bytes(packed) for block, packed in blocks}


def write_new(connection: Connection, records: Sequence[WarningRecord]) -> list[WarningRecord]:
    """Write the changes that are not in the history yet (a restart judges again what came after its checkpoint)."""
    ids = sorted({record.id for record in records})
    told = set(connection.execute(TOLD, (ids,)).fetchall()) if ids else set()
    new = [record for record in records if (record.id, record.version) not in told]
    write_warnings(connection, new)
    return new


def write_checkpoint(
    connection: Connection,
    topic_id: str,
    positions: Mapping[int, Position],
    state: Mapping[str, Any],
    blocks: Iterable[tuple[int, bytes]],
) -> None:
    """Positions and what was remembered there."""
    with connection.cursor() as cursor:
        cursor.executemany(
            WRITE_POSITION, [(n, topic_id, p.next_offset, p.origin, p.tick) for n, p in positions.items()]
        )
        cursor.executemany(WRITE_STATE, [(rule, Jsonb(packed)) for rule, packed in state.items()])
        cursor.executemany(WRITE_HEARD, list(blocks))
