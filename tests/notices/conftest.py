"""A migrated database with two enterprises, and a receiver of webhooks on a socket of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from carbonstream.schemas.settings import Settings
from tests.databases import migrated_database

from .changes import NETWORKS

ENTERPRISES = """
with made as (
  insert into entity (id, kind, name_zh, name_en) values
    ('enterprise:A', 'enterprise', 'A', 'A'), ('enterprise:B', 'enterprise', 'B', 'B'),
    ('site:a-1', 'site', 'a-1', 'a-1'), ('site:b-1', 'site', 'b-1', 'b-1'),
    ('class:x', 'class', 'x', 'x'), ('region:330502', 'region', 'R', 'R')
  returning number, id),
region as (
  insert into region (code, level, name_zh, name_en)
  values ('330502', 'county', 'R', 'R') returning code),
industry as (
  insert into industry (code, name_zh, name_en, domain) values ('C31', 'I', 'I', 'industry') returning code),
class as (
  insert into class (entity, county, city, province, grid, industry, domain, scopes)
  select number, region.code, region.code, region.code, region.code, industry.code, 'industry', '{}'
  from made, region, industry where id = 'class:x' returning entity)
insert into site (site_id, entity, shard, name_zh, name_en, enterprise, class)
select s.name, (select number from made where id = 'site:' || s.name), 0, s.name, s.name,
  (select number from made where id = s.enterprise), (select entity from class)
from (values ('a-1', 'enterprise:A'), ('b-1', 'enterprise:B')) as s (name, enterprise)
"""
TABLES = """
truncate notice_receipt, notice_delivery, notice_change, notice, notice_private.channel, notice_subscription,
  notice_deadline, notice_position
"""


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answering = Callable[[Received], tuple[int, dict[str, str]]]


@dataclass
class Receiver:
    """A real HTTP server: keeps what came and answers as the test says."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answer: Answering = lambda _: (204, {})
    says: bytes = b""  # the body of each answer


@pytest.fixture(scope="module")
def database(server: str) -> Iterator[Settings]:
    with migrated_database(server, "notices", notify_networks=NETWORKS, metrics_port=0) as settings:
        with psycopg.connect(settings.database) as connection:
            connection.execute(ENTERPRISES)
        yield settings


@pytest.fixture
def connection(database: Settings) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.database, autocommit=True) as opened:
        opened.execute(TABLES)
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            one = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            kept.received.append(one)
            code, headers = kept.answer(one)
            self.send_response(code)
            for header, value in headers.items():
                self.send_header(header, value)
            if code != 204:
                self.send_header("content-length", str(len(kept.says)))
            self.end_headers()
            if code != 204:
                self.wfile.write(kept.says)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    kept.url = f"http://127.0.0.1:{listening.server_port}/hook"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield kept
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
