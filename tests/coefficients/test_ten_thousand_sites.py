"""A factor is approved for 10,000 sites while a writer commits and readers read: nobody ever sees a mixture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from carbonstream.ops.approval import approve
from carbonstream.ops.cli import app
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.schemas.periods import SHANGHAI
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.settings import settings as of_this_process
from tests.databases import migrated_database
from tests.reference.files import SITES

from .conftest import HEADER

SITES_COUNT = 10_000
COUNTIES = ("330502", "330503", "330521", "330522", "330523", "330102", "330105", "330106")
MONTH = datetime(2026, 3, 1, tzinfo=SHANGHAI)
OLD, NEW = Decimal("0.4974"), Decimal("0.4655")
QUANTITY = 1_000_000  # Wh a site
FACTOR = "electricity,electricity_average,330000,2026-03,0.4655,kgCO2/kWh,浙江省 2026年3月"
EACH_SITE = """
select quantity, co2_kg, coefficient from totals_of(
  array(select entity from site), 3::smallint, '2026-03-01 00:00+08', '2026-04-01 00:00+08')
"""
WHOLES = """
select quantity, co2_kg, coefficient from totals_of(
  array(select number from entity where id in ('region:330000', 'domain:industry', 'region:330500')), 3::smallint,
  '2026-03-01 00:00+08', '2026-04-01 00:00+08')
"""


@dataclass
class Read:
    """One answer: when it was asked for (monotonic), and by which factors its rows were computed."""

    begun: float
    rows: int
    factors: set[Decimal]


@dataclass
class Readers:
    """Readers and a writer, each a thread with a connection of its own, until told to stop."""

    url: str
    stopping: threading.Event = field(default_factory=threading.Event)
    reads: dict[str, list[Read]] = field(default_factory=dict)
    written: int = 0
    errors: list[BaseException] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, work: Callable[[psycopg.Connection[Any]], None]) -> None:
        def run() -> None:
            try:
                with psycopg.connect(
                    self.url, autocommit=True, options="-c statement_timeout=60s"
                ) as connection:
                    while not self.stopping.is_set():
                        work(connection)
            except BaseException as error:
                self.errors.append(error)

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def reading(self, name: str, statement: str) -> Callable[[psycopg.Connection[Any]], None]:
        mine = self.reads.setdefault(name, [])

        def work(connection: psycopg.Connection[Any]) -> None:
            begun = time.monotonic()
            rows = connection.execute(statement).fetchall()
            mine.append(Read(begun, len(rows), {co2 * 1000 / quantity for quantity, co2, _ in rows}))

        return work

    def write(self, connection: psycopg.Connection[Any]) -> None:
        """As a sink does: rows of one site, its enterprise and its class in one transaction."""
        self.written += 1
        site = self.written * 7_919 % SITES_COUNT
        with connection.transaction():
            connection.execute(
                "update total_period t set quantity = quantity + 1000, readings = readings + 1 from site s "
                "where s.site_id = %s and t.entity in (s.entity, s.enterprise, s.class) and t.grain = 3",
                (f"S-{site:05d}",),
            )

    def until(self, condition: Callable[[], bool], what: str) -> None:
        give_up = time.monotonic() + 120
        while not condition():
            assert not self.errors, self.errors
            assert time.monotonic() < give_up, what
            threading.Event().wait(0.02)


@pytest.fixture
def region(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """10,000 sites of Zhejiang, each with a month's total."""
    with migrated_database(server, "coefficients") as settings:
        sites = tmp_path / "sites.csv"
        sites.write_text(
            "\n".join(
                [SITES]
                + [
                    f"S-{n:05d},站{n},site {n},E-{n % 500},企{n % 500},enterprise {n % 500},,,,{COUNTIES[n % 8]},C31"
                    for n in range(SITES_COUNT)
                ]
            ),
            encoding="utf-8",
        )
        with psycopg.connect(settings.database, autocommit=True) as connection:
            load_packaged(connection, datetime.now(UTC))
            load_files(connection, {"sites": sites}, datetime.now(UTC))
            copy_totals(connection)
        monkeypatch.setenv("CARBONSTREAM_DATABASE", settings.database)
        of_this_process.cache_clear()
        yield settings
        of_this_process.cache_clear()


def copy_totals(connection: psycopg.Connection[Any]) -> None:
    sums: dict[tuple[int, int], int] = {}
    for site, enterprise, class_ in connection.execute("select entity, enterprise, class from site"):
        for entity in (site, enterprise, class_):
            sums[entity, class_] = sums.get((entity, class_), 0) + 1
    columns = "bucket, entity, class, grain, carrier, shard, readings, quantity, estimated"
    with connection.cursor().copy(f"copy total_period ({columns}) from stdin") as copy:
        for (entity, class_), n in sums.items():
            copy.write_row((MONTH, entity, class_, 3, 1, 0, n, n * QUANTITY, 0))
    connection.execute("analyze")


def test_every_read_is_entirely_old_or_entirely_new(
    region: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "factor.csv"
    file.write_text(f"{HEADER}\n{FACTOR}\n", encoding="utf-8")
    published = CliRunner().invoke(app, ["coefficients", "publish", str(file), "--by", "Li Na"])
    assert published.exit_code == 0, published.output
    at_work = Readers(region.database)
    try:
        at_work.start(at_work.write)
        for name, statement in (("sites 1", EACH_SITE), ("sites 2", EACH_SITE), ("wholes", WHOLES)):
            at_work.start(at_work.reading(name, statement))
        at_work.until(
            lambda: at_work.written > 20 and all(len(r) >= 3 for r in at_work.reads.values()), "they work"
        )
        written, asked = at_work.written, time.monotonic()
        restated = approve(region, 1, "Wang Wei", "")
        approved = time.monotonic()
        at_work.until(
            lambda: all(r[-1].begun > approved + 1.0 for r in at_work.reads.values()), "they read on"
        )
        assert at_work.written > written  # the writer was not stopped
    finally:
        at_work.stopping.set()
        for thread in at_work.threads:
            thread.join(60)
    assert not at_work.errors
    assert restated["entities"] > SITES_COUNT
    reads = [read for reads in at_work.reads.values() for read in reads]
    assert {r.rows for name, reads in at_work.reads.items() if name != "wholes" for r in reads} == {
        SITES_COUNT
    }
    assert all(r.factors in ({OLD}, {NEW}) for r in reads), [r.factors for r in reads if len(r.factors) != 1]
    late = max((r.begun - approved for r in reads if r.factors == {OLD}), default=0.0)
    with capsys.disabled():
        print(
            f"\n10,000 sites: approval took {approved - asked:.2f} s, the last old answer was asked for "
            f"{late:+.2f} s after it; {len(reads)} reads, {at_work.written} commits of the writer"
        )
    assert late <= 1.0
    assert all(r.factors == {NEW} for r in reads if r.begun > approved + 1.0)
    assert any(r.factors == {OLD} for r in reads)
