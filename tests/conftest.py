"""What several folders of tests share.

Hypothesis tries the same examples on every run, so that a change is never refused for what it did not do;
HYPOTHESIS_PROFILE=search looks for new ones, twenty times as long.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, sync_playwright

from carbonstream.ops.local import Addresses, start
from carbonstream.schemas.settings import Settings
from tests.databases import spare_the_disk
from tests.running import PROFILE
from tests.topics import create_topics, delete_topics

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "same", max_examples=100, deadline=None, derandomize=True, suppress_health_check=SLOW
)
settings.register_profile("search", max_examples=2_000, deadline=None, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
# As services do it: a command that runs in this process prints its answer alone.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def servers() -> Addresses:
    """Kafka and the database, running."""
    running = start(PROFILE)
    spare_the_disk(running.database)
    return running


@pytest.fixture(scope="session")
def server() -> str:
    """URL of a superuser's database on the running database server."""
    return spare_the_disk(start(PROFILE, only="postgres").database)


@pytest.fixture
def kafka_settings(servers: Addresses, tmp_path: Path) -> Iterator[Settings]:
    """Topics of its own on the running broker."""
    own = Settings(
        kafka=servers.kafka,
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        state_dir=tmp_path / "state",
        partitions=2,
        metrics_port=0,
        log_level="error",
    )
    create_topics(own)
    yield own
    delete_topics(own)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the machine, best without a desktop's parts: half of the time. It ends with its module: while it
    lives, no other test can run an event loop."""
    chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium is missing: apt install chromium-headless-shell fonts-noto-cjk")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS, chromium_sandbox=False)
        yield browser
        browser.close()


# Folders whose tests start whole pipelines come first: begun last, one of them would keep everybody waiting.
LONG = re.compile(r"/tests/(faults|warn|ledger|multipliers|instant|consistency|coefficients|local_runtime)/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stable, so that a file's tests stay together and in their order."""
    items.sort(key=lambda item: not LONG.search(str(item.path)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Property tests and those marked `uncounted` count no lines: it takes them as long again, for lines that others
    have gone through. (Under pytest-xdist pytest-cov's own mark for it has no effect.)"""
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    if not is_property and item.get_closest_marker("uncounted") is None:
        return (yield)
    counting = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(counting)
