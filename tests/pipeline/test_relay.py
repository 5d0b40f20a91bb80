"""The relay's two loops: the outbox does not wait for totals, and totals miss no entity that is told beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from confluent_kafka import Producer
from psycopg import IsolationLevel

from carbonstream.connectors.database import connect
from carbonstream.schemas import topics
from carbonstream.schemas.settings import Settings
from carbonstream.streams.relay_totals import Totals
from tests.databases import migrated_database
from tests.running import Running, eventually, running
from tests.topics import messages

WARNING = """
insert into outbox (topic, shard_key, key, value) values ('carbon.warnings', 'site:S', 'W-1', '{"id": "W-1"}')
"""


def test_the_outbox_does_not_wait_for_totals(tmp_path: Path) -> None:
    with (
        running(tmp_path, services=("relay",), virtual_time=True) as pipeline,
        connect(pipeline.settings, application="test") as holder,
    ):
        eventually(lambda: waiting(pipeline) == 0, "reference data are told")
        holder.execute("lock table change_mark in access exclusive mode")
        eventually(lambda: held_up(pipeline), "the totals wait for the lock")
        with connect(pipeline.settings, application="test") as writer:
            writer.execute(WARNING)
        eventually(lambda: waiting(pipeline) == 0, "the warning is told")
        assert held_up(pipeline)


def test_what_no_record_can_hold_is_set_aside_and_kept(tmp_path: Path) -> None:
    with running(tmp_path, services=("relay",), virtual_time=True) as pipeline:
        eventually(lambda: waiting(pipeline) == 0, "reference data are told")
        with connect(pipeline.settings, application="test") as writer:
            writer.execute(WARNING.replace('"W-1"}', '"W-0", "text": "' + 5_000_000 * "x" + '"}'))
            writer.execute(WARNING)
        eventually(lambda: waiting(pipeline) == 0, "the warning behind it is told")
        kept = pipeline.query("select value ->> 'id', bytes > 5000000 from outbox_set_aside")
        assert kept == [("W-0", True)]
        told = [message.value() for message in messages(pipeline.settings, topics.WARNINGS)]
        assert told == [b'{"id":"W-1"}']


def waiting(pipeline: Running) -> int:
    return int(pipeline.query("select count(*) from outbox")[0][0])


def held_up(pipeline: Running) -> bool:
    """Whether the relay's totals wait for a lock."""
    return pipeline.query(
        "select 1 from pg_stat_activity where application_name = 'carbonstream relay totals' "
        "and datname = current_database() and wait_event_type = 'Lock'"
    ) == [(1,)]


@pytest.fixture
def database(server: str) -> Iterator[Settings]:
    """Settings of a migrated database with nothing in it."""
    with migrated_database(server, "relay") as settings:
        yield settings


class Told:
    """A flag that is raised while marks are being taken: by an outbox pass that began after their snapshot."""

    def __init__(self) -> None:
        self.asked = 0
        self.raised = False

    def is_set(self) -> bool:
        self.asked += 1
        self.raised = self.raised or self.asked == 2
        return self.raised

    def clear(self) -> None:
        self.raised = False


def test_reference_data_told_after_the_snapshot_are_read_in_the_next_pass(database: Settings) -> None:
    told = Told()
    with connect(database, application="test", autocommit=True) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        totals = Totals(database, connection, silent(), cast("threading.Event", told))
        before = totals.masters
        mark(connection)
        totals.tell()
        assert told.raised  # not taken for read
        second = totals.masters
        mark(connection)
        totals.tell()
        assert not told.raised
        assert before is not second is not totals.masters


def silent() -> Producer:
    """A producer whose transactions do nothing: there is nothing to tell of a mark of nobody."""
    return cast(
        "Producer", SimpleNamespace(begin_transaction=lambda: None, commit_transaction=lambda _: None)
    )


def mark(connection: psycopg.Connection[Any]) -> None:
    connection.execute("insert into change_mark (entity, grain, bucket) values ('{1}', '{1}', array[now()])")
