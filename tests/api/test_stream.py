"""The event stream over a real broker."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest
from confluent_kafka import TopicPartition

from carbonstream.api.stream.hub import CLIENTS
from carbonstream.connectors.kafka import admin
from carbonstream.ops import local
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.topics import WARNINGS
from tests.api.conftest import Served, make_topics, served
from tests.api.listener import Heard, Relay, listening, total, until, warning
from tests.running import eventually


@pytest.fixture(scope="module")
def relay(settings: Settings, api: Served) -> Relay:
    """A writer into the streamed topics."""
    return Relay(settings)


@pytest.fixture
def entity() -> str:
    """An entity of this test alone."""
    return f"enterprise:{uuid.uuid4().hex[:8]}"


@pytest.fixture
def own(settings: Settings) -> Settings:
    """Settings with topics that no other test writes to."""
    own = settings.model_copy(update={"topic_prefix": f"{uuid.uuid4().hex[:8]}."})
    make_topics(own)
    return own


def versions(heard: list[Heard]) -> list[int]:
    return [e.content["version"] for e in heard if e.name == "warning"]


def place(events: Iterator[Heard]) -> str:
    """Where the stream stands; it takes a moment after a start."""
    return next(e.id for e in events if e.id is not None)


def is_version(version: int) -> Callable[[Heard], bool]:
    return lambda e: e.content.get("version") == version


def test_the_first_event_is_a_heartbeat_that_says_where_the_stream_stands(client: httpx.Client) -> None:
    with listening(client) as events:
        first = next(events)
    assert first.name == "heartbeat"
    assert first.content["kafka"] == "up"
    assert first.id


def test_a_committed_total_and_a_warning_are_heard(client: httpx.Client, relay: Relay, entity: str) -> None:
    with listening(client, entity=entity) as events:
        next(events)
        relay.write(total(entity, 1, 7))
        (heard,) = until(events, lambda e: e.name == "total")
        relay.write(warning(entity, 2, 1))
        (warned,) = until(events, lambda e: e.name == "warning")
    assert heard.content["co2_kg"] == "7"
    assert warned.content["version"] == 1


def test_an_aborted_write_is_never_heard(client: httpx.Client, relay: Relay, entity: str) -> None:
    with listening(client, entity=entity) as events:
        next(events)
        relay.write(warning(entity, 0, 1), commit=False)
        relay.write(warning(entity, 0, 2))
        assert versions(until(events, is_version(2))) == [2]


def test_only_the_topics_and_entities_asked_for_are_heard(
    client: httpx.Client, relay: Relay, entity: str
) -> None:
    other = entity + "-other"
    with listening(client, entity=[entity, entity + "-too"], topics="warnings") as events:
        next(events)
        relay.write(
            warning(other, 0, 1), total(entity, 0, 1), warning(entity + "-too", 0, 2), warning(entity, 0, 3)
        )
        heard = until(events, is_version(3))
    assert [(e.name, e.content["entity"]) for e in heard] == [
        ("warning", entity + "-too"),
        ("warning", entity),
    ]


def test_a_client_that_comes_back_misses_nothing_and_hears_nothing_twice(
    client: httpx.Client, relay: Relay, entity: str
) -> None:
    with listening(client) as events:  # of all entities: the position is of everything
        next(events)
        relay.write(*(warning(entity, i % 3, i) for i in range(120)))
        before = until(events, lambda e: e.name == "warning" and e.content["version"] >= 40)
    relay.write(*(warning(entity, i % 3, 200 + i) for i in range(60)))
    ends = {900, 901, 902}  # one a partition: partitions come in any order
    relay.write(*(warning(entity, i % 3, i) for i in ends))
    with listening(client, last_id=before[-1].id) as events:
        after = []
        for event in events:
            after.append(event)
            ends.discard(event.content.get("version", -1))
            if not ends:
                break
    mine = [e for e in before + after if e.content.get("entity") == entity]
    assert sorted(versions(mine)) == [*range(120), *range(200, 260), *range(900, 903)]


def test_of_missed_totals_only_the_newest_of_each_key_is_heard_and_of_warnings_each(
    client: httpx.Client, relay: Relay, entity: str
) -> None:
    with listening(client, entity=entity) as events:
        last_id = place(events)
        relay.write(*(r for i in range(50) for r in (total(entity, 1, i), warning(entity, 1, i))))
        left = {"total 49", "warning 49"}  # heard here, so all is known to the server
        for event in events:
            left.discard(f"{event.name} {event.content.get('co2_kg', event.content.get('version'))}")
            if not left:
                break
    with listening(client, last_id=last_id, entity=entity) as events:
        heard = until(events, is_version(49))
        heard += [] if any(e.name == "total" for e in heard) else until(events, lambda e: e.name == "total")
    assert [e.content["co2_kg"] for e in heard if e.name == "total"] == ["49"]
    assert versions(heard) == [*range(50)]


def test_a_position_older_than_memory_is_read_again_from_kafka(own: Settings, entity: str) -> None:
    relay = Relay(own)
    relay.write(warning(entity, 0, 0))
    with served(own) as first, first.client() as client, listening(client) as events:
        last_id = place(events)
    for begin in range(1, 3_001, 1_000):  # a new process keeps the last 1,000 of a partition in memory
        relay.write(*(warning(entity, 0, i) for i in range(begin, begin + 1_000)))
    relay.write(total(entity, 1, 1))
    with served(own) as second, second.client() as client, listening(client, last_id=last_id) as events:
        heard = until(events, is_version(3_000))
        if not any(e.name == "total" for e in heard):
            heard += until(events, lambda e: e.name == "total")
        relay.write(warning(entity, 0, 3_001))
        heard += until(events, is_version(3_001))
    assert versions(heard) == [*range(1, 3_002)]
    assert sum(e.name == "total" for e in heard) == 1


def test_a_client_slower_than_memory_misses_nothing(own: Settings, entity: str) -> None:
    relay = Relay(own)
    with served(own) as running, running.client() as client, listening(client, topics="warnings") as events:
        place(events)
        ring = running.app.state.services.hub.ring
        ring._capacity = 100
        records = [warning(entity, 0, i) for i in range(1, 4_001)]
        for record in records:
            record.content["snapshot"] = "x" * 4_000  # 16 MB in all: more than the sockets between hold
        for begin in range(0, 4_000, 500):
            relay.write(*records[begin : begin + 500])
        eventually(lambda: ring.head - ring.tail == 100 and ring.vector[3] >= 4_000, "the ring is full", 60)
        heard = until(events, is_version(4_000))
    assert versions(heard) == [*range(1, 4_001)]


def test_an_expired_position_is_answered_by_reset(own: Settings, entity: str) -> None:
    relay = Relay(own)
    with served(own) as first, first.client() as client, listening(client) as events:
        last_id = place(events)
    relay.write(*(warning(entity, 0, i) for i in range(10)))
    kafka = admin(own)
    for future in kafka.delete_records([TopicPartition(own.topic(WARNINGS), 0, 8)]).values():
        future.result(30)
    with served(own) as second, second.client() as client, listening(client, last_id=last_id) as events:
        (reset,) = until(events, lambda e: e.name == "reset")
        relay.write(warning(entity, 0, 999))
        assert versions(until(events, is_version(999))) == [999]
    assert reset.id
    assert "reload" in reset.content["remedy"]


@pytest.mark.parametrize("last_id", ["x", "a.1.2~b.3", "1" * 4_000, "\u00e9"])
def test_a_position_of_another_stream_is_answered_by_reset(client: httpx.Client, last_id: str) -> None:
    with listening(client, last_event_id=last_id) as events:
        (reset,) = until(events, lambda e: e.name == "reset")
    assert reset.id


def test_without_kafka_the_stream_stays_open_and_says_so(settings: Settings) -> None:
    dark = settings.model_copy(update={"kafka": "127.0.0.1:9"})
    with served(dark) as running, running.client() as client, listening(client) as events:
        assert next(events).content["kafka"] == "away"


def test_a_stream_goes_on_after_kafka_was_away(
    settings: Settings, entity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = "test-stream"
    monkeypatch.setenv("CARBONSTREAM_DATABASE", settings.database)  # the profile needs Kafka alone
    local.start(profile, only="kafka")
    try:
        there = settings.model_copy(update={"kafka": local.addresses(profile).kafka})
        make_topics(there)
        relay = Relay(there)
        with served(there) as running, running.client() as client, listening(client) as events:
            place(events)
            relay.write(warning(entity, 0, 1))
            until(events, is_version(1))
            local.kill(profile, "kafka")
            eventually(lambda: not running.app.state.services.hub.kafka, "Kafka is away", 60)
            local.start(profile, only="kafka")
            eventually(lambda: running.app.state.services.hub.kafka, "Kafka is back", 60)
            Relay(there).write(warning(entity, 0, 2))
            assert versions(until(events, is_version(2))) == [2]
    finally:
        local.reset(profile)


def test_a_client_that_has_gone_is_forgotten(client: httpx.Client) -> None:
    before = CLIENTS._value.get()
    with listening(client) as events:
        next(events)
        assert CLIENTS._value.get() == before + 1
    eventually(lambda: CLIENTS._value.get() == before, "the client is gone", 60)


def test_a_stop_ends_the_streams(settings: Settings) -> None:
    with served(settings) as running, running.client() as client, listening(client) as events:
        place(events)
        running.stop()
        assert all(e.name == "heartbeat" for e in events)


def test_a_stream_ends_with_its_session(settings: Settings) -> None:
    from carbonstream.api.auth import COOKIE, SESSION_S, new_session
    from tests.api import plant

    now_s = plant.NOW.timestamp()
    with served(settings) as running, running.client(token=None) as client:
        client.cookies.set(COOKIE, new_session(settings.api_token, now_s - SESSION_S + 1))
        clock = running.app.state.services
        with listening(client) as events:
            place(events)
            clock.now_ms = lambda: int((now_s + 2) * 1_000)
            Relay(settings).write(warning("enterprise:any", 0, 1))
            assert [e.name for e in events if e.name != "heartbeat"] in ([], ["warning"])
