"""A factor is restated for a region all of whose sites have open warnings: what operators get of it, and how soon the
alarm list and its health answer meanwhile; then as many boards open as the standards want.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from carbonstream.connectors import kafka
from carbonstream.connectors.database import connect, one_row
from carbonstream.connectors.migrations import migrate
from carbonstream.ops.bench.boards import Boards
from carbonstream.ops.bench.published import api_client
from carbonstream.ops.bench.region import LEVELS, REGION, RISE, Region, send
from carbonstream.ops.bench.servers import PROFILE, Say, bench_settings, in_force, servers_of_its_own
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.ops.local.runtime import runtime_folder
from carbonstream.ops.supervisor import Supervisor
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.schemas import topics
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

SERVICES: Final = ("relay", "timescale", "convert", "watch", "warn", "notify", "api")
READERS: Final = 4  # of the list, beside one of the health
PAUSE_S: Final = 0.05  # of a reader between two answers
PAGE: Final = 200  # as the board asks for
GROUP_S: Final = 2  # changes within this long come as one notice
WAIT_S: Final = 300.0
STORED: Final = "select count(*) from reading"
RAISED: Final = "select count(*) from warning_operator where state = 'active-unacked'"
RESTATED: Final = """
select count(*) from warning w join warning_operator o using (id) where w.level = %s and w.state = 'active' and o.active
"""
ANNUNCIATED: Final = "select count(*) from warning_operation where annunciates"
MADE: Final = "select count(*) from notice_change"
UNTOLD: Final = "select (select count(*) from change_mark) + (select count(*) from restatement)"
Times = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run; boards: opened one after the other within the first half of `boards_s`."""

    conditions: int = 10_000
    boards: int = 1_000
    boards_s: float = 60.0


def bench_alerts(plan: Plan, say: Say) -> dict[str, Any]:
    """Run it all; ends by itself. The result is what `carbonstream bench --alerts --json` prints."""
    with servers_of_its_own(say), receiver() as (address, told):
        settings, environment = bench_settings(notify_networks=["127.0.0.0/8"])
        supervisor = Supervisor(SERVICES, environment, logs=runtime_folder() / PROFILE / "logs")
        try:
            return _measured(plan, settings, supervisor, address, told, say)
        finally:
            supervisor.end()


def _measured(
    plan: Plan, settings: Settings, supervisor: Supervisor, address: str, told: list[str], say: Say
) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    region = Region.at(plan.conditions, now)
    migrate(settings)
    create_topics(settings)
    record_layout(settings)
    say(f"registering {plan.conditions:,} sites of region {REGION}")
    _load(settings, region.write, packaged=True)
    supervisor.start()
    in_force(settings, now)
    send(settings, region.frames())
    in_force(settings, now)
    with (
        connect(settings, application="bench", autocommit=True) as connection,
        api_client(settings) as client,
    ):

        def count(statement: Any, *values: object) -> int:
            return int(one_row(connection, statement, values)[0])

        until(lambda: count(STORED) >= plan.conditions, "all readings are stored")
        old = factor_of(client, region)
        subscribe(client, address)
        say(f"raising {plan.conditions:,} warnings")
        begun = time.monotonic()
        _load(settings, lambda folder: region.write_targets(folder, old))
        in_force(settings, now)
        until(lambda: count(RAISED) >= plan.conditions, "all are before the operators")
        raised_s = time.monotonic() - begun
        until(lambda: notified(settings), "notify has read them")
        annunciated, changes, notices = count(ANNUNCIATED), count(MADE), len(told)
        say(f"raised in {raised_s:.1f} s; a factor is published")
        with Readers(settings, list_pages) as lists, Readers(settings, health, 1) as healths:
            approved = publish(client, region, old)
            in_force(settings, now)
            until(lambda: count(RESTATED, LEVELS[1]) >= plan.conditions, "all are restated")
            restated_s = time.monotonic() - approved
        until(lambda: notified(settings), "notify has read them")
        reviews = [w for w in page(client)["warnings"] if w["rule"] == "restatement"]
        found = {
            "conditions": count(RAISED),
            "raised_s": round(raised_s, 1),
            "restated": sum(review["children"] for review in reviews),
            "restated_s": round(restated_s, 1),
            "review_items": len(reviews),
            "annunciated": count(ANNUNCIATED) - annunciated,
            "notices": len(told) - notices,
            "changes_in_notices": count(MADE) - changes,
            "readers": READERS,
            **quantiles("list", lists.times),
            **quantiles("health", healths.times),
        }
        until(lambda: not count(UNTOLD), "all totals are told")
    if plan.boards:
        say(f"{plan.boards:,} boards open within {plan.boards_s / 2:.0f} s and stay as long again")
        found["boards"] = Boards(settings, region.month, plan.boards, plan.boards_s / 2, plan.boards_s).run()
    return found


def page(client: httpx.Client, **more: str) -> dict[str, Any]:
    """A page of the operators' list."""
    answer = client.get("/warnings", params={"operator_state": "open", "limit": str(PAGE), **more})
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def list_pages(client: httpx.Client) -> None:
    """The first page, one after another page of it, the children of a review: one at a time, in turn."""
    first = page(client)
    if first["next"]:
        page(client, after=first["next"])


def health(client: httpx.Client) -> None:
    """Of the alarm system."""
    client.get("/warnings/health").raise_for_status()


def factor_of(client: httpx.Client, region: Region) -> Decimal:
    """kg/kWh by which the region's month is computed."""
    asked = {"entity": f"region:{REGION}", "grain": "month", "from": region.month}
    used = client.get("/totals", params=asked).raise_for_status().json()["coefficients"]
    [value] = [c["value"] for c in used if c["kind"] == "electricity_average"]
    return Decimal(value)


def publish(client: httpx.Client, region: Region, old: Decimal) -> float:
    """A factor that puts every site above its target, by two persons; when it was approved (monotonic s)."""
    value = str((old * RISE).quantize(Decimal("0.0001")))
    row = {"carrier": "electricity", "kind": "electricity_average", "scope": REGION, "month": region.month,
           "value": value, "unit": "kgCO2/kWh", "document": "the benchmark"}  # fmt: skip
    submitted = client.post(
        "/coefficients/publications", json={"by": "submitted by the benchmark", "rows": [row]}
    )
    path = f"/coefficients/publications/{submitted.raise_for_status().json()['id']}/approve"
    client.post(path, json={"by": "approved by the benchmark"}).raise_for_status()
    return time.monotonic()


def subscribe(client: httpx.Client, address: str) -> None:
    """A control room is told of everything."""
    asked = {"id": "bench", "operator_group": "bench", "severity": "notice", "channels": [address],
             "group_s": GROUP_S}  # fmt: skip
    client.post("/notices/subscriptions", json=asked).raise_for_status()


def notified(settings: Settings) -> bool:
    """Whether notify has read all of carbon.warnings, the relay has told all, and all notices are sent."""
    consumer = kafka.reader(settings)
    topic = settings.topic(topics.WARNINGS)
    ends = {n: kafka.end_offsets_of(consumer, topic, n)[1] for n in range(settings.partitions)}
    consumer.close()
    with connect(settings, application="bench", autocommit=True) as connection:
        waiting = one_row(
            connection,
            "select (select count(*) from outbox) + (select count(*) from notice_delivery where state = 'waiting') "
            "+ (select count(*) from notice where not closed)",
        )[0]
        at: dict[int, int] = dict(
            connection.execute("select partition, next_offset from notice_position").fetchall()
        )
    # a partition ends with the mark of the relay's transaction, which no reader sees
    return waiting == 0 and all(at.get(n, 0) >= end - 1 for n, end in ends.items())


class Readers:
    """Threads that ask again and again; `times`: seconds of each answer."""

    def __init__(
        self, settings: Settings, ask: Callable[[httpx.Client], None], threads: int = READERS
    ) -> None:
        self.times: list[float] = []
        self._settings, self._ask = settings, ask
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]
        self._errors: list[Exception] = []

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self) -> None:
        def timed(response: httpx.Response) -> None:
            response.read()
            self.times.append(response.elapsed.total_seconds())

        try:
            with api_client(self._settings) as client:
                client.event_hooks = {"response": [timed]}
                while not self._ending.wait(PAUSE_S):
                    self._ask(client)
        except Exception as error:
            self._errors.append(error)


def quantiles(name: str, seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and longest of answers, and how many there were."""
    return {
        f"{name}_answers": len(seconds),
        f"{name}_p50_s": round(float(np.quantile(seconds, 0.5)), 3),
        f"{name}_p99_s": round(float(np.quantile(seconds, 0.99)), 3),
        f"{name}_max_s": round(max(seconds), 3),
    }


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait. Raises NotReady."""
    give_up = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > give_up:
            raise NotReady(f"within {WAIT_S:.0f} s it was not so that {what}")
        time.sleep(0.1)


@contextmanager
def receiver() -> Iterator[tuple[str, list[str]]]:
    """A webhook on loopback: its address, and the ids of the notices it got."""
    got: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            got.append(self.headers.get("webhook-id", ""))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not told."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", got
    finally:
        server.shutdown()
        server.server_close()


def _load(settings: Settings, write: Callable[[Path], dict[str, Path]], *, packaged: bool = False) -> None:
    with tempfile.TemporaryDirectory() as folder, connect(settings, application="bench") as connection:
        now = datetime.now(UTC)
        with connection.transaction():
            if packaged:
                load_packaged(connection, now)
            load_files(connection, write(Path(folder)), now)
