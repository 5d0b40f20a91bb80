"""A partition that has work and does not move is noticed, whatever the others do."""

from __future__ import annotations

from confluent_kafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.connectors import kafka
from carbonstream.schemas import topics
from carbonstream.schemas.settings import Settings
from carbonstream.streams.watchdog import Progress, standing

LIMIT_S = 60.0


def test_one_that_stands_is_named_while_others_move() -> None:
    progress = Progress(LIMIT_S)
    for now in range(0, 61, 10):
        assert progress.stuck(float(now), {0: (7, 3), 1: (now, 5)}) == []
    assert progress.stuck(70.0, {0: (7, 3), 1: (70, 5)}) == [0]


def test_a_move_or_an_end_of_work_begins_anew() -> None:
    progress = Progress(LIMIT_S)
    progress.stuck(0.0, {0: (7, 3), 1: (7, 3), 2: (7, 3)})
    assert progress.stuck(50.0, {0: (8, 2), 1: (7, 0)}) == []  # 2 was taken away
    assert progress.stuck(70.0, {0: (8, 2), 1: (7, 1), 2: (7, 3)}) == []
    assert progress.stuck(111.0, {0: (8, 2), 1: (7, 1), 2: (7, 3)}) == [0]
    assert progress.stuck(131.0, {1: (7, 1), 2: (7, 3)}) == [1, 2]


@given(st.lists(st.tuples(st.floats(0.1, 30.0), st.integers(0, 2), st.booleans()), max_size=40))
def test_only_one_that_was_behind_at_one_place_all_the_time_is_named(
    looks: list[tuple[float, int, bool]],
) -> None:
    progress, now, since = Progress(LIMIT_S), 0.0, 0.0
    before: tuple[int, bool] | None = None
    for step, place, is_behind in looks:
        now += step
        since = since if before == (place, is_behind) else now
        before = (place, is_behind)
        assert (progress.stuck(now, {5: (place, int(is_behind))}) == [5]) == (
            is_behind and now - since > LIMIT_S
        )


def test_one_that_was_not_taken_up_yet_stands_where_its_group_does(kafka_settings: Settings) -> None:
    topic = kafka_settings.topic(topics.READINGS)
    producer = kafka.producer(kafka_settings)
    for _ in range(3):
        producer.produce(topic, b"{}", partition=1)
    producer.flush(30)
    consumer = kafka.reader(kafka_settings, **{"group.id": "group of a service"})
    assert standing(consumer, topic, 0, {}, 0) == ((-1, 0), 0)
    assert standing(consumer, topic, 1, {0: 8}, 40) == ((-1, 40), 3)
    assert standing(consumer, topic, 1, {1: 1}, 40) == ((1, 40), 1)
    consumer.commit(offsets=[TopicPartition(topic, 1, 2)], asynchronous=False)
    assert standing(consumer, topic, 1, {}, 0) == ((-1, 0), 1)
    consumer.close()
