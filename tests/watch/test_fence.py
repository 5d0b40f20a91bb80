"""Who loads a partition's state is the only one who can write it from then on."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException

from carbonstream.schemas import topics
from carbonstream.schemas.settings import Settings
from carbonstream.streams.convert import Convert
from tests.running import eventually
from tests.topics import messages


def test_a_checkpoint_of_one_who_stood_still_is_refused_whole(kafka_settings: Settings) -> None:
    stalled, other = Convert(kafka_settings), Convert(kafka_settings)
    before, beside = stalled.load(0), stalled.load(1)
    stalled.keep(before.keeper, 0, list(before.converter.blocks()))
    eventually(lambda: len(messages(kafka_settings, topics.STATE)) == 1, "it is committed")
    now = other.load(0)
    before.converter.at = 4
    with pytest.raises(KafkaException, match="fenced"):
        stalled.keep(before.keeper, 0, list(before.converter.blocks()) * 3)
    stalled.keep(beside.keeper, 1, list(beside.converter.blocks()))
    now.converter.at = 5
    other.keep(now.keeper, 0, list(now.converter.blocks()))
    # a commit is sure when it returns, and seen a moment later
    eventually(lambda: len(messages(kafka_settings, topics.STATE)) == 3, "three checkpoints are committed")
    told = [(m.partition(), b'"at":5' in (m.value() or b"")) for m in messages(kafka_settings, topics.STATE)]
    assert told == [(0, False), (0, True), (1, False)]
