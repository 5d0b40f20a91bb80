"""The layout that rows and positions were stored under, against Kafka's topics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from carbonstream.connectors import kafka
from carbonstream.schemas.errors import LayoutChanged, NotReady
from carbonstream.schemas.settings import Settings


def check_layout(
    config: Settings, connection: psycopg.Connection[Any], names: Iterable[str]
) -> dict[str, str]:
    """Topic ids of these catalogue topics. Raises NotReady where one is not laid out, LayoutChanged where it is another
    one or has other partitions than the database knows.
    """
    full = {name: config.topic(name) for name in names}
    found = kafka.topic_ids(config, list(full.values()))
    rows = connection.execute("select topic, topic_id, partitions from layout").fetchall()
    stored = {topic: (topic_id, partitions) for topic, topic_id, partitions in rows}
    for topic in full.values():
        if topic not in found or topic not in stored:
            raise NotReady(f"topic {topic} is not laid out yet; run `carbonstream topics`")
        if found[topic] != stored[topic]:
            raise LayoutChanged(
                f"{topic} is now {found[topic]}, the database knows {stored[topic]}; `carbonstream repair` opens a new "
                "epoch"
            )
    return {name: found[topic][0] for name, topic in full.items()}
