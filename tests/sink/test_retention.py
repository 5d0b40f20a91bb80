"""What is kept for a time goes when its time has passed; what waits stays."""

from __future__ import annotations

import psycopg

from carbonstream.connectors.retention import drop_old
from carbonstream.schemas.settings import Settings
from tests.sink.plant import Sink

KEPT = """
insert into edge_refusal values ('a', 'unit', current_date - 40, 1), ('a', 'unit', current_date - 20, 1);
insert into held (source_topic, partition, source_offset, row, source, mode, meter_id, held_at, released_at) values
  ('t', 0, 1, 0, 'a', 'live', 'a/b', now() - interval '900 days', null),
  ('t', 0, 2, 0, 'a', 'live', 'a/b', now() - interval '900 days', now() - interval '500 days'),
  ('t', 0, 3, 0, 'a', 'live', 'a/b', now() - interval '900 days', now());
insert into reject (partition, source_offset, row, code, source, rejected_at) values
  (0, 1, 0, 22, 'a', now() - interval '401 days'), (0, 2, 0, 22, 'a', now());
insert into correction (recorded_at, tick_ms, time, meter, old_quantity, old_quality, new_quantity, new_quality,
  source_partition, source_offset) values (now() - interval '900 days', 0, now(), 1, 1, 0, 2, 0, 0, 1);
"""


def test_each_table_keeps_what_its_setting_says(sink: Sink, database: Settings) -> None:
    sink.connection.execute("truncate edge_refusal, held, reject, correction")
    sink.connection.execute(KEPT)
    sink.connection.commit()
    with psycopg.connect(database.database) as connection:
        dropped = drop_old(connection, database)
    assert dropped == {"refusals_days": 1, "held_days": 1, "rejects_days": 1, "notices_days": 0}
    assert sink.all("select source_offset from held order by 1") == [(1,), (3,)]
    assert sink.all("select source_offset from reject") == [(2,)]
    assert sink.all("select count(*) from edge_refusal") == [(1,)]
    with psycopg.connect(database.database) as connection:
        limited = drop_old(connection, database.model_copy(update={"corrections_days": 100}))
    assert limited["corrections_days"] == 1
    sink.connection.execute("truncate edge_refusal")
    sink.connection.commit()
