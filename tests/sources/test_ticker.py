"""Ticks: one for every partition, with the reference offsets, never backwards."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.ticker import next_tick, reference_ends, send_ticks, serve
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings
from tests.topics import held, ticks


@given(st.lists(st.integers(0, 2**42), min_size=1))
def test_time_never_goes_backwards_whatever_the_wall_clock_does(walls: list[int]) -> None:
    last = 0
    for wall in walls:
        tick = next_tick(wall, last)
        assert tick >= last
        assert tick in (wall, last)
        last = tick


def test_a_tick_reaches_every_partition_with_the_ends_of_the_reference_topics(
    kafka_settings: Settings,
) -> None:
    producer = kafka.producer(kafka_settings)
    for key in ("a", "b", "c"):
        producer.produce(kafka_settings.topic(topics.REF_METERS), b"{}", key, 0)
    assert producer.flush(10) == 0
    send_ticks(producer, kafka_settings, 1_704_067_200_000)
    assert producer.flush(10) == 0
    sent = ticks(kafka_settings)
    assert [partition for partition, _ in sent] == list(range(kafka_settings.partitions))
    assert {tick.time for _, tick in sent} == {1_704_067_200_000}
    assert all(tick.reference == {**dict.fromkeys(topics.REFERENCE, 0), "ref.meters": 3} for _, tick in sent)
    assert {h.headers["ce_type"] for h in held(kafka_settings)} == {"carbonstream.tick.v1"}


def test_the_ticker_ticks_by_the_wall_clock_until_it_is_stopped(kafka_settings: Settings) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(kafka_settings, stop))
        consumer = kafka.reader(kafka_settings)
        topic = kafka_settings.topic(topics.READINGS)
        consumer.assign([TopicPartition(topic, kafka_settings.partitions - 1, 0)])
        await asyncio.to_thread(consumer.consume, 2, 20.0)
        stop.set()
        await serving
        consumer.close()

    began = wall_ms()
    asyncio.run(run())
    by_partition = Counter(partition for partition, _ in ticks(kafka_settings))
    assert set(by_partition) == set(range(kafka_settings.partitions))
    assert len(set(by_partition.values())) == 1
    assert all(began <= tick.time <= wall_ms() for _, tick in ticks(kafka_settings))


def test_in_virtual_time_the_ticker_sends_nothing(kafka_settings: Settings) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(kafka_settings.model_copy(update={"virtual_time": True}), stop))
        await asyncio.sleep(0)  # lets it come to its first wait
        stop.set()
        await serving

    asyncio.run(run())
    assert held(kafka_settings) == []


def test_a_missing_reference_topic_is_named(kafka_settings: Settings) -> None:
    elsewhere = kafka_settings.model_copy(update={"topic_prefix": "nowhere."})
    with pytest.raises(NotReady, match="carbonstream topics"):
        reference_ends(kafka.admin(elsewhere), elsewhere)


def test_an_end_that_a_killed_broker_does_not_know_yet_is_asked_again() -> None:
    answers = [-1, -1, 7]

    class Recovering:
        def list_offsets(self, asked: dict[TopicPartition, Any], **_: Any) -> dict[TopicPartition, Any]:
            offset = answers.pop(0)
            return {at: SimpleNamespace(result=lambda _: SimpleNamespace(offset=offset)) for at in asked}

    ends = reference_ends(cast(AdminClient, Recovering()), Settings())
    assert set(ends.values()) == {7}
    assert not answers
