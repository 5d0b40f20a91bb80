"""`load --wait` returns when the changes are in force, and says what is missing when they are not."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from carbonstream.connectors import kafka
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.local import Addresses
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

from .conftest import Connection


@pytest.fixture
def laid_out(servers: Addresses, database_settings: Settings) -> Iterator[Settings]:
    """Topics of its own on a real broker, two partitions, and their layout in the database."""
    settings = database_settings.model_copy(
        update={
            "kafka": servers.kafka,
            "topic_prefix": f"t{uuid.uuid4().hex[:8]}.",
            "partitions": 2,
        }
    )
    create_topics(settings)
    record_layout(settings)
    yield settings
    names = [settings.topic(topic.name) for topic in topics.CATALOGUE]
    client = kafka.admin(settings)  # must outlive its futures
    for deleted in client.delete_topics(names).values():
        deleted.result(30)


@pytest.fixture
def connection(laid_out: Settings) -> Iterator[Connection]:
    with psycopg.connect(laid_out.database, autocommit=True) as opened:
        yield opened


def tell(settings: Settings, connection: Connection) -> None:
    """As the relay does: two records in one transaction, then the outbox is empty."""
    producer = kafka.producer(settings, transactional_id="relay")
    producer.init_transactions(30)
    producer.begin_transaction()
    for key in (b"1", b"2"):
        producer.produce(settings.topic(topics.REF_METERS), b"{}", key, 0)
    producer.commit_transaction(30)
    connection.execute("delete from outbox")


def test_a_change_is_in_force_when_every_partition_has_reached_the_end_of_ref_topics(
    laid_out: Settings, connection: Connection
) -> None:
    connection.execute(
        "insert into outbox (topic, shard_key, key, value) values ('ref.meters', '1', '1', '{}')"
    )
    with pytest.raises(NotReady, match="1 reference changes are not yet published: is the relay running"):
        wait_until_in_force(laid_out, timeout_s=0.1)
    tell(laid_out, connection)
    with pytest.raises(NotReady, match=r"partitions \[0, 1\] have not reached .*'ref.meters': 3"):
        wait_until_in_force(laid_out, timeout_s=0.1)
    reached = dict.fromkeys(topics.REFERENCE, 0) | {
        topics.REF_METERS: 3
    }  # two records and the commit's marker
    connection.execute("update position set reference = %s where partition = 0", [Jsonb(reached)])
    with pytest.raises(NotReady, match=r"partitions \[1\] have not reached"):
        wait_until_in_force(laid_out, timeout_s=0.1)
    connection.execute("update position set reference = %s where partition = 1", [Jsonb(reached)])
    assert wait_until_in_force(laid_out, timeout_s=5) == reached


def test_what_others_put_into_the_outbox_holds_nobody_up(laid_out: Settings, connection: Connection) -> None:
    connection.execute(
        "insert into outbox (topic, shard_key, key, value) values ('carbon.warnings', '1', '1', '{}')"
    )
    assert set(wait_until_in_force(laid_out, timeout_s=5).values()) == {0}
