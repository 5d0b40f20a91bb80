"""A warning is told while totals cannot be."""

from __future__ import annotations

from pathlib import Path

from carbonstream.connectors.database import connect
from tests.running import PROFILE, Running, eventually, running

WARNING = """
insert into outbox (topic, shard_key, key, value) values ('carbon.warnings', 'site:S', 'W-1', '{"id": "W-1"}')
"""


def test_the_outbox_does_not_wait_for_totals(tmp_path: Path) -> None:
    with (
        running(PROFILE, tmp_path, services=("relay",), virtual_time=True) as pipeline,
        connect(pipeline.settings, application="test") as holder,
    ):
        eventually(lambda: waiting(pipeline) == 0, "reference data are told")
        holder.execute("lock table change_mark in access exclusive mode")
        eventually(lambda: held_up(pipeline), "the totals wait for the lock")
        with connect(pipeline.settings, application="test") as writer:
            writer.execute(WARNING)
        eventually(lambda: waiting(pipeline) == 0, "the warning is told")
        assert held_up(pipeline)


def waiting(pipeline: Running) -> int:
    return int(pipeline.query("select count(*) from outbox")[0][0])


def held_up(pipeline: Running) -> bool:
    """Whether the relay's totals wait for a lock."""
    return pipeline.query(
        "select 1 from pg_stat_activity where application_name = 'carbonstream relay totals' "
        "and datname = current_database() and wait_event_type = 'Lock'"
    ) == [(1,)]
