"""Topics of its own for each test, on the local broker of profile `test`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from carbonstream.ops.local import addresses, start
from carbonstream.schemas.settings import Settings

from .topic import create_topics, delete_topics


@pytest.fixture(scope="session")
def broker() -> str:
    profile = os.environ.get("CARBONSTREAM_TEST_PROFILE", "test")
    start(profile, only="kafka")
    return addresses(profile).kafka


@pytest.fixture
def kafka_settings(broker: str, tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(
        kafka=broker,
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        state_dir=tmp_path / "state",
        metrics_port=0,
        log_level="error",
    )
    create_topics(settings)
    yield settings
    delete_topics(settings)
