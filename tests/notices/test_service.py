"""The service as a process of its own, on real Kafka: killed, started again, nothing missing."""

from __future__ import annotations

import os
import signal
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from carbonstream.connectors import kafka
from carbonstream.connectors.sinks.notify.subscriptions import subscribe
from carbonstream.ops.local import Addresses
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.processors.notices import notice_id
from carbonstream.schemas import topics
from carbonstream.schemas.notices import Subscription
from carbonstream.schemas.settings import Settings
from tests.running import eventually, supervised
from tests.topics import delete_topics

from .changes import NETWORKS, record
from .conftest import Received, Receiver

CHANGES = 1_000


def tell(settings: Settings, records: list[dict[str, Any]], *, commit: bool = True) -> None:
    """Records of carbon.warnings in a transaction, as the relay sends them."""
    producer = kafka.producer(settings, transactional_id=f"test-{uuid.uuid4().hex}")
    producer.init_transactions(30)
    producer.begin_transaction()
    for number, one in enumerate(records):
        producer.produce(
            settings.topic(topics.WARNINGS), orjson.dumps(one), one["id"].encode(), number % settings.partitions
        )  # fmt: skip
    producer.flush(30)
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


@pytest.fixture
def laid_out(
    servers: Addresses, database: Settings, connection: psycopg.Connection[Any], tmp_path: Path
) -> Any:
    """Topics of its own in the layout."""
    settings = database.model_copy(
        update={
            "kafka": servers.kafka, "topic_prefix": f"notices_{uuid.uuid4().hex[:10]}.", "partitions": 2,
            "state_dir": tmp_path,
        }
    )  # fmt: skip
    create_topics(settings)
    record_layout(settings)
    yield settings
    delete_topics(settings)


def test_killed_between_sending_and_recording_each_notice_arrives_with_its_id(
    laid_out: Settings, connection: psycopg.Connection[Any], receiver: Receiver, tmp_path: Path
) -> None:
    settings = laid_out
    wanted = [record(f"w{n}") for n in range(CHANGES)]
    tell(settings, [record("before it began")])
    subscribe(
        connection,
        [Subscription(id="a", enterprise="enterprise:A", channels=(receiver.url,))],
        datetime.now(UTC),
        NETWORKS,
    )
    kill_at = {100, 600}

    def kill_sometimes(_: Received) -> tuple[int, dict[str, str]]:
        pid = supervisor.pid("notify")
        if len(receiver.received) in kill_at and pid is not None:
            kill_at.discard(len(receiver.received))
            os.kill(pid, signal.SIGKILL)
        return 204, {}

    receiver.answer = kill_sometimes
    with supervised(settings.model_copy(update={"notify_networks": NETWORKS}), "notify") as supervisor:
        eventually(
            lambda: connection.execute("select count(*) from notice_position").fetchone() == (2,), "it reads"
        )
        tell(settings, [record("never committed")], commit=False)
        tell(settings, wanted[:100])
        tell(settings, [*wanted[100:], *wanted[:10], record("past", backfill=True)])
        sent = "select count(*) from notice_delivery where state = 'sent'"
        eventually(lambda: connection.execute(sent).fetchone() == (CHANGES,), "all are sent", 240)
    assert not kill_at
    assert {one.id for one in receiver.received} == {notice_id("a", one["id"], 1) for one in wanted}
    again = len(receiver.received) - CHANGES
    assert again == 2, "one a kill: the notice that was being sent"
    told = connection.execute("select count(*) from notice_change").fetchone()
    assert told == (CHANGES,)
