"""The book of warnings: what was told of them, and writing down what is told now.

A warning's present state, its history, where warn stands and the outbox row that tells it change in one
transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from carbonstream.processors.targets import Target
from carbonstream.processors.warnings import State, Transition
from carbonstream.schemas import topics
from carbonstream.schemas.periods import to_ms
from carbonstream.schemas.warnings import Warning as WarningRecord

Connection = psycopg.Connection[Any]
Key = tuple[str, str, str]

HISTORY: Final = """
select w.entity, w.indicator, h.id, h.state, h.bucket
from warning w join warning_history h using (id)
where w.entity = any (%s) and w.period = any (%s)
order by h.id, h.version
"""
PRESENT: Final = """
insert into warning as w (id, version, rule, entity, indicator, period, level, severity, state, bucket,
  backfill, snapshot, raised_at, changed_at, priority, definition)
values (%(id)s, %(version)s, %(rule)s, %(entity)s, %(indicator)s, %(period)s, %(level)s, %(severity)s,
  %(state)s, %(bucket)s, %(backfill)s, %(snapshot)s, %(changed_at)s, %(changed_at)s,
  %(priority)s, %(definition)s)
on conflict (id) do update set (version, severity, state, bucket, backfill, snapshot, changed_at, priority,
    definition, raised_at) =
  (excluded.version, excluded.severity, excluded.state, excluded.bucket, excluded.backfill, excluded.snapshot,
   excluded.changed_at, excluded.priority, excluded.definition,
   case when excluded.state = 'active' then excluded.raised_at else w.raised_at end)
"""
APPEND: Final = """
insert into warning_history (id, version, state, bucket, backfill, changed_at, snapshot)
values (%(id)s, %(version)s, %(state)s, %(bucket)s, %(backfill)s, %(changed_at)s, %(snapshot)s)
"""
TELL: Final = "insert into outbox (topic, shard_key, key, value) values (%s, %s, %s, %s)"
POSITION: Final = """
insert into warn_position as p (topic, partition, next_offset, tick_ms) values (%s, %s, %s, %s)
on conflict (topic, partition) do update set next_offset = excluded.next_offset, tick_ms = excluded.tick_ms
where (p.next_offset, p.tick_ms) <> (excluded.next_offset, excluded.tick_ms)
"""


def load_positions(connection: Connection) -> dict[tuple[str, int], tuple[int, int]]:
    """(topic, partition) -> (next offset, tick)."""
    rows = connection.execute("select topic, partition, next_offset, tick_ms from warn_position")
    return {(topic, partition): (offset, tick) for topic, partition, offset, tick in rows}


def load_histories(
    connection: Connection, targets: Iterable[Target]
) -> dict[Key, dict[str, list[Transition]]]:
    """What was told of each target's warnings: target's key -> warning's id -> history, oldest first."""
    wanted = {target.key: target for target in targets}
    entities = sorted({target.entity for target in wanted.values()})
    periods = sorted({target.period for target in wanted.values()})
    found: defaultdict[Key, defaultdict[str, list[Transition]]] = defaultdict(lambda: defaultdict(list))
    for entity, indicator, id_, state, bucket in connection.execute(HISTORY, (entities, periods)):
        key = entity, indicator, id_.rsplit(":", 2)[1]
        found[key][id_].append(Transition(State(state), to_ms(bucket)))
    return {key: dict(histories) for key, histories in found.items() if key in wanted}


def write_warnings(connection: Connection, records: Sequence[WarningRecord]) -> None:
    """Append to the history, set the present state, and tell it."""
    if not records:
        return
    rows = [record.model_dump() | {"snapshot": Jsonb(record.snapshot)} for record in records]
    told = [(topics.WARNINGS, r.entity, r.id, Jsonb(r.model_dump())) for r in records]
    with connection.cursor() as cursor:
        cursor.executemany(APPEND, rows)
        cursor.executemany(PRESENT, rows)
        cursor.executemany(TELL, told)


def write_positions(connection: Connection, rows: Sequence[tuple[str, int, int, int]]) -> None:
    """Where warn stands now."""
    with connection.cursor() as cursor:
        cursor.executemany(POSITION, rows)
