"""A park with a master meter, two tenants and a sub-meter in a real database; rows summed as the sink sums them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from carbonstream.connectors.sinks.timescale.sink import load_directory
from carbonstream.connectors.sinks.timescale.tables import STAGE_TOTAL, write_totals
from carbonstream.ops.load import load_files, load_packaged
from carbonstream.processors.consistency_warnings import Missed
from carbonstream.processors.totals import Changes, total_changes
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, SHANGHAI, to_datetime, to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.streams.consistency import compute
from carbonstream.streams.consistency_figures import local_day
from tests.databases import migrated_database

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = to_ms(datetime(2026, 3, 1, tzinfo=SHANGHAI))
NEXT_DAY = DAY + DAY_MS + 16 * MINUTE_MS  # the clock when DAY is closed
FROM = "2026-01-01T00:00:00+08:00"
SITES = "site_id,name_zh,name_en,enterprise,enterprise_zh,enterprise_en,park,park_zh,park_en,county,industry"
METERS = "meter_id,carrier,kind,unit,multiplier,modulus,interval_s,boundary,valid_from,valid_to"
COEFFICIENTS = "carrier,kind,scope,month,value,unit,document,published_on,approver"
TREE = "meter_id,role,parent,valid_from,valid_to"
TREE_ROWS = (
    f"op/M,master,,{FROM},",
    f"a/E,tenant,op/M,{FROM},",
    f"b/E,tenant,op/M,{FROM},",
    f"a/S,sub,a/E,{FROM},",
)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(table: str, header: str, *rows: str) -> Path:
        path = tmp_path / f"{table}.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return path

    return write_file


@dataclass
class Park:
    """A database with a park, and what a sink and convert would have written into it."""

    settings: Settings
    connection: psycopg.Connection[Any]
    write: Write
    missed: Missed = field(default_factory=Missed)

    def load(self, **rows: tuple[str, ...]) -> None:
        headers = {"sites": SITES, "meters": METERS, "tree": TREE, "coefficients": COEFFICIENTS}
        load_files(self.connection, {t: self.write(t, headers[t], *r) for t, r in rows.items()}, NOW)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.connection.transaction():
            return self.connection.execute(sql, values).fetchall()

    def store(self, meter_id: str, amounts: list[int], start: int = DAY, quality: int = 0) -> None:
        """Hourly rows from `start` on, their totals and their lines in the ledger."""
        directory = load_directory(self.connection)
        ((number, site),) = self.rows("select number, site_id from meter where meter_id = %s", meter_id)
        starts = start + np.arange(len(amounts)) * HOUR_MS
        ones, quantity = np.ones(len(amounts), np.int64), np.array(amounts, np.int64)
        changes = Changes(ones * number, starts, ones, quantity, 0 * ones)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into reading values (%s, %s, %s, null, %s, 1, %s, 0)",
                [
                    (to_datetime(at + HOUR_MS), to_datetime(at), amount, number, quality)
                    for at, amount in zip(starts.tolist(), amounts, strict=True)
                ],
            )
            cursor.execute(STAGE_TOTAL)
            write_totals(cursor, total_changes(changes, directory))
            cursor.execute(
                "insert into ledger values ('test', %s, %s, 'outcome', %s, %s, 0) on conflict "
                "(source, site, day, hop, outcome) do update set readings = ledger.readings + excluded.readings",
                [site, local_day(start), int(Outcome.STORED), len(amounts)],
            )

    def clock(self, now: int) -> None:
        with self.connection.transaction():
            self.connection.execute(
                "insert into position (partition, tick_ms) select n, %s from generate_series(0, %s) n "
                "on conflict (partition) do update set tick_ms = excluded.tick_ms",
                (now, self.settings.partitions - 1),
            )

    def compute(self, now: int = NEXT_DAY) -> list[tuple[str, str, str]]:
        """One pass; (entity, indicator, state) of what it told."""
        self.clock(now)
        self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        try:
            records = compute(self.connection, self.settings.partitions, self.missed, now)
        finally:
            self.connection.isolation_level = None
        return [(r.entity, r.indicator, r.state) for r in records if r.period == str(local_day(DAY))]

    def value(self, indicator: str, entity: str = "region:CN") -> tuple[Any, ...]:
        """part, whole, met of DAY."""
        found = self.rows(
            "select part::int, whole::int, met from consistency where (entity, indicator, period) = (%s, %s, %s)",
            entity, indicator, local_day(DAY),
        )  # fmt: skip
        return found[0] if found else ()

    def total(self, entity: str) -> int:
        """Electricity of DAY by the hours' totals."""
        ((found,),) = self.rows(
            "select coalesce(sum(t.quantity), 0)::bigint from total_hour t join entity_part p on p.part = t.entity "
            "join entity e on e.number = p.entity where e.id = %s and t.bucket >= %s and t.bucket < %s",
            entity, to_datetime(DAY), to_datetime(DAY + DAY_MS),
        )  # fmt: skip
        return int(found)


@pytest.fixture
def park(server: str, write: Write) -> Iterator[Park]:
    """Sites of three enterprises in one park, and hourly meters."""
    with (
        migrated_database(server, "consistency") as settings,
        psycopg.connect(settings.database) as connection,
    ):
        load_packaged(connection, NOW)
        connection.commit()
        found = Park(settings, connection, write)
        found.load(
            sites=(
                "op,运营,Operator,OP,运营,Operator,P-1,园,Park,330502,C31",
                "a,甲,A,ENT-A,甲,A,P-1,园,Park,330502,C31",
                "b,乙,B,ENT-B,乙,B,P-1,园,Park,330503,C22",
                "x,外,X,ENT-X,外,X,P-2,他园,Other,330502,C31",
            ),
            meters=tuple(
                f"{meter},{carrier},interval,{unit},1,,3600,{boundary},{FROM},"
                for meter, carrier, unit, boundary in (
                    ("op/M", "electricity", "kWh", "true"),
                    ("a/E", "electricity", "kWh", "true"),
                    ("a/S", "electricity", "kWh", "false"),
                    ("b/E", "electricity", "kWh", "true"),
                    ("b/G", "natural_gas", "m3", "true"),
                    ("x/E", "electricity", "kWh", "true"),
                )
            ),
        )
        connection.commit()
        yield found
