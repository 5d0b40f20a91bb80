"""How many copies of a topic there are, of how many an acknowledgement speaks, and topics that others have made."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import NewTopic

from carbonstream.connectors import kafka
from carbonstream.ops.topics import create_topics
from carbonstream.schemas import topics
from carbonstream.schemas.errors import LayoutChanged, NotReady
from carbonstream.schemas.settings import Settings
from tests.running import eventually


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2")])
def test_all_copies_but_one_acknowledge(replicas: int, in_sync: str) -> None:
    assert {topic.config(replicas)["min.insync.replicas"] for topic in topics.CATALOGUE} == {in_sync}


def test_more_copies_than_brokers_are_refused_with_the_reason(kafka_settings: Settings) -> None:
    more = kafka_settings.model_copy(update={"topic_prefix": "more.", "replicas": 3})
    with pytest.raises(NotReady, match=r"[Rr]eplication factor"):
        create_topics(more)


def test_a_topic_that_is_kept_otherwise_is_refused_with_the_remedy(kafka_settings: Settings) -> None:
    own = kafka_settings.model_copy(update={"topic_prefix": "others.", "partitions": 1})
    name, client = own.topic(topics.REF_SITES), kafka.admin(own)
    client.create_topics([NewTopic(name, 1, 1, config={"cleanup.policy": "delete"})])[name].result(30)
    try:
        eventually(lambda: name in kafka.topic_ids(own, [name]), "the topic is known")
        with pytest.raises(
            LayoutChanged, match=r"others.ref.sites has cleanup.policy=delete, compact is needed: kafka-"
        ):
            create_topics(own)
    finally:
        client.delete_topics([name])[name].result(30)


def test_topics_of_ours_are_left_as_they_are(kafka_settings: Settings) -> None:
    assert create_topics(kafka_settings) == []
