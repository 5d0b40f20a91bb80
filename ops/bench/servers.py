"""The servers of a benchmark, in a runtime of its own, and its virtual clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from carbonstream.connectors import kafka
from carbonstream.connectors.sources.ticker import send_ticks
from carbonstream.ops.load.in_force import wait_until_in_force
from carbonstream.ops.local.runtime import runtime_folder
from carbonstream.ops.local.servers import addresses, reset, start, stop
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings, as_environment

PROFILE: Final = "bench"
Say = Callable[[str], None]


@contextmanager
def servers_of_its_own(say: Say) -> Iterator[None]:
    """Empty servers, stopped at the end."""
    for name in ("CARBONSTREAM_KAFKA", "CARBONSTREAM_DATABASE"):
        os.environ.pop(name, None)
    say("starting servers of its own")
    reset(PROFILE)
    try:
        start(PROFILE)
        yield
    finally:
        stop(PROFILE)


def bench_settings(**more: Any) -> tuple[Settings, dict[str, str]]:
    """Settings of the benchmark's processes, and the same as their environment."""
    kafka_address, database = addresses(PROFILE)
    settings = Settings(
        kafka=kafka_address,
        database=database,
        state_dir=runtime_folder() / PROFILE / "sources",
        virtual_time=True,
        api_token="bench",  # noqa: S106 - the API of these servers listens on loopback while the benchmark runs
        api_port=8791,
        metrics_port=0,
        **more,
    )
    return settings, os.environ | as_environment(settings, settings.model_fields_set)


def in_force(settings: Settings, now_ms: int) -> None:
    """Send ticks until every partition has the reference data: in virtual time nobody else does."""
    producer = kafka.producer(settings)
    until = time.monotonic() + 120
    while True:
        send_ticks(producer, settings, now_ms)
        producer.flush(10)
        try:
            wait_until_in_force(settings, 3.0)
        except NotReady:
            if time.monotonic() > until:
                raise
        else:
            return
