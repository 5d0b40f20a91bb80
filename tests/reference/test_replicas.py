"""How many copies of a topic there are, and of how many an acknowledgement speaks."""

from __future__ import annotations

import pytest

from carbonstream.ops.topics import create_topics
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2")])
def test_all_copies_but_one_acknowledge(replicas: int, in_sync: str) -> None:
    assert {topic.config(replicas)["min.insync.replicas"] for topic in topics.CATALOGUE} == {in_sync}


def test_more_copies_than_brokers_are_refused_with_the_reason(kafka_settings: Settings) -> None:
    more = kafka_settings.model_copy(update={"topic_prefix": "more.", "replicas": 3})
    with pytest.raises(NotReady, match=r"[Rr]eplication factor"):
        create_topics(more)
