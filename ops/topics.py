"""Create the topics of the catalogue, and write the layout down so that everybody can check it."""

from __future__ import annotations

import time
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import ConfigResource, NewTopic, ResourceType

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect
from carbonstream.schemas import topics
from carbonstream.schemas.errors import LayoutChanged, NotReady
from carbonstream.schemas.settings import Settings

FIXED: Final = ("cleanup.policy", "message.timestamp.type", "max.message.bytes")


def create_topics(settings: Settings) -> list[str]:
    """Create what is missing; names of the created ones. Raises LayoutChanged where one that exists has another
    partition count or is kept otherwise, NotReady where the brokers cannot."""
    existing = kafka.topic_ids(settings, [settings.topic(t.name) for t in topics.CATALOGUE])
    for topic in topics.CATALOGUE:
        found, wanted = existing.get(settings.topic(topic.name)), settings.partitions_of(topic.name)
        if found is not None and found[1] != wanted:
            raise LayoutChanged(
                f"{settings.topic(topic.name)} has {found[1]} partitions, CARBONSTREAM_PARTITIONS says {wanted}; "
                "partition counts are fixed once created"
            )
    _check_settings(settings, [t for t in topics.CATALOGUE if settings.topic(t.name) in existing])
    missing = [t for t in topics.CATALOGUE if settings.topic(t.name) not in existing]
    if not missing:
        return []
    new = [
        NewTopic(
            settings.topic(t.name),
            settings.partitions_of(t.name),
            settings.replicas,
            config=t.config(settings.replicas),
        )
        for t in missing
    ]
    client = kafka.admin(settings)  # must outlive its futures
    for name, future in client.create_topics(new).items():
        try:
            future.result(30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise NotReady(f"cannot create topic {name}: {error}") from error
    _wait_until_known(settings)
    return [t.name for t in missing]


def _check_settings(settings: Settings, existing: list[topics.Topic]) -> None:
    """Raises LayoutChanged where a topic that somebody else has made would lose or date records otherwise than ours.
    How long it keeps them is its owner's."""
    if not existing:
        return
    resources = {t: ConfigResource(ResourceType.TOPIC, settings.topic(t.name)) for t in existing}
    client = kafka.admin(settings)  # must outlive its futures
    answers = client.describe_configs(list(resources.values()))
    for topic, resource in resources.items():
        try:
            found = answers[resource].result(30)
        except KafkaException as error:
            raise NotReady(f"cannot read the settings of topic {resource.name}: {error}") from error
        wanted = topic.config(settings.replicas)
        for name in FIXED:
            if set(found[name].value.split(",")) != set(wanted[name].split(",")):
                raise LayoutChanged(
                    f"{resource.name} has {name}={found[name].value}, {wanted[name]} is needed: kafka-configs.sh "
                    f"--alter --entity-type topics --entity-name {resource.name} --add-config '{name}=[{wanted[name]}]'"
                )


def _wait_until_known(settings: Settings, timeout_s: float = 30.0) -> None:
    """A topic just created is not yet in every answer of the broker. Raises NotReady."""
    names = {settings.topic(t.name) for t in topics.CATALOGUE}
    until = time.monotonic() + timeout_s
    while unknown := names - kafka.topic_ids(settings, sorted(names)).keys():
        if time.monotonic() > until:
            raise NotReady(
                f"Kafka at {settings.kafka} does not show the topics {sorted(unknown)} it has created"
            )
        time.sleep(0.05)


def record_layout(settings: Settings) -> dict[str, Any]:
    """Write topic ids and partition counts into the database where none are yet; raises LayoutChanged if others are."""
    _wait_until_known(settings)
    found = kafka.topic_ids(settings, [settings.topic(t.name) for t in topics.CATALOGUE])
    with connect(settings, application="topics") as connection:
        for name, (topic_id, partitions) in found.items():
            row = connection.execute(
                "insert into layout (topic, topic_id, partitions) values (%s, %s, %s) "
                "on conflict (topic) do update set topic = excluded.topic returning topic_id, partitions",
                (name, topic_id, partitions),
            ).fetchone()
            if row != (topic_id, partitions):
                raise LayoutChanged(
                    f"{name} is {topic_id} with {partitions} partitions, the database knows {row}; "
                    "`carbonstream repair` opens a new epoch"
                )
        connection.execute(
            "insert into position (partition) select generate_series(0, %s) on conflict do nothing",
            (settings.partitions - 1,),
        )
    return {name: {"id": topic_id, "partitions": n} for name, (topic_id, n) in found.items()}
