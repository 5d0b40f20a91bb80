"""Topics of its own for each test, on the local broker of profile `test`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonstream.ops.local import Addresses
from carbonstream.schemas.settings import Settings

from .topic import create_topics, delete_topics


@pytest.fixture
def kafka_settings(servers: Addresses, tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(
        kafka=servers.kafka,
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        state_dir=tmp_path / "state",
        partitions=2,
        metrics_port=0,
        log_level="error",
    )
    create_topics(settings)
    yield settings
    delete_topics(settings)
