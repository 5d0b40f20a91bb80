"""The meters of tests/processors in a database, and a sink that is fed without Kafka."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import orjson
import psycopg
from hypothesis import assume

from carbonstream.connectors.sinks.timescale.sink import load_directory, load_positions
from carbonstream.connectors.sinks.timescale.writer import Batch, Writer
from carbonstream.processors.rows import concatenate, follow
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.frames import TYPE_TICK
from carbonstream.schemas.periods import DAY_MS, HOUR_MS
from carbonstream.schemas.shards import SHARDS, shard_of, site_of
from tests.processors.stream import LAYOUT, LOGS, Record, Worker
from tests.processors.world import (
    FAR,
    KNOWN_IDS,
    METERS,
    NEAR,
    PARTITION,
    QUARTER_MS,
    SITES,
    T0,
    Document,
    frame,
)

Connection = psycopg.Connection[Any]
R0, R1, I0, I1 = KNOWN_IDS[0], KNOWN_IDS[1], KNOWN_IDS[4], KNOWN_IDS[5]
TABLES = "reading, total_hour, total_period, ledger, held, reject, finding, correction, change_mark, position"
TICK = Record(
    orjson.dumps(
        {
            "tick": PARTITION,
            "time": T0 + 4 * HOUR_MS,
            "reference": {topic: len(log) for topic, log in LOGS.items()} | {"ref.meters": len(METERS)},
        }
    ),
    TYPE_TICK,
)


def assume_short(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same answers. An index that follows one of the year 2000 is stored in 219,000 hours of 9,000 chunks, which
    takes PostgreSQL a minute and says nothing that the hours of a year would not."""
    readings = concatenate(frames)
    assume((readings.end - readings.start).max(initial=0) <= 366 * DAY_MS)
    return frames


def register(connection: Connection) -> None:
    """Sites and meters with the numbers they have in tests.processors.world."""

    def entity(kind: str, id_: str) -> int:
        row = connection.execute(
            "insert into entity (id, kind, name_zh, name_en) values (%s, %s, %s, %s) returning number",
            (f"{kind}:{id_}", kind, id_, id_),
        ).fetchone()
        assert row is not None
        number: int = row[0]
        return number

    with connection.transaction():
        connection.execute("insert into region values ('CN', 'nation', 'CN', 'CN', null, null)")
        connection.execute("insert into industry values ('C31', 'C31', 'C31', 'industry')")
        class_, enterprise, park = entity("class", "1"), entity("enterprise", "E"), entity("park", "P")
        connection.execute(
            "insert into class values (%s, 'CN', 'CN', 'CN', 'CN', 'C31', 'industry', null, '{CN}')",
            (class_,),
        )
        for shard in (NEAR, FAR):
            site = SITES[shard]
            connection.execute(
                "insert into site (site_id, entity, shard, name_zh, name_en, enterprise, park, class) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    site,
                    entity("site", site),
                    shard_of(site),
                    site,
                    site,
                    enterprise,
                    park if shard == NEAR else None,
                    class_,
                ),
            )
        for m in METERS:
            connection.execute(
                "insert into meter (meter_id, number, site_id, carrier, kind, unit, multiplier, interval_s, boundary, "
                "valid_from) values (%s, %s, %s, %s, %s, %s, %s, 900, %s, '2000-01-01')",
                (m.meter_id, m.number, site_of(m.meter_id), m.carrier, "register" if m.register else "interval",
                 m.unit, m.multiplier_milli / 1000, not m.meter_id.endswith("R3")),
            )  # fmt: skip
        assert {m.number % SHARDS for m in METERS} == {NEAR, FAR}


class Sink:
    """Writes answers of a Worker as the sink's loop does."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.directory = load_directory(connection)
        self.restart()

    def restart(self) -> None:
        """A new session knows nothing but what the tables hold."""
        self.writer = Writer(self.connection)
        self.position = load_positions(self.connection, {PARTITION})[PARTITION]

    def empty(self) -> None:
        self.connection.execute(f"truncate {TABLES}")
        self.connection.commit()
        self.restart()

    def write(self, frames: list[dict[str, Any]]) -> str:
        """Store a batch; the path taken."""
        for document in frames:
            offset = document["origin"]["offset"]
            assert follow(self.position, document, offset, LAYOUT.readings_topic)
        return self.writer.write(
            Batch(frames, concatenate(frames), {PARTITION: replace(self.position)}), self.directory
        )

    def all(self, query: str) -> list[tuple[Any, ...]]:
        found = self.connection.execute(query).fetchall()
        self.connection.commit()
        return found

    def rows(self) -> list[tuple[int, ...]]:
        """time, start, meter, quantity, raw index, quality, flags."""
        return sorted(
            self.all(
                "select (extract(epoch from time) * 1000)::bigint, (extract(epoch from start) * 1000)::bigint, meter, "
                "quantity, coalesce(raw_index, -1), quality, flags from reading"
            )
        )

    def totals(self) -> dict[tuple[int, ...], tuple[int, ...]]:
        """(entity, grain, bucket, class, carrier, shard) -> readings, quantity, estimated."""
        lines = self.all(
            "select entity, grain, (extract(epoch from bucket) * 1000)::bigint, class, carrier, shard, readings, "
            "quantity, estimated from (select 1 as grain, * from total_hour union all "
            "select grain, bucket, entity, class, carrier, shard, readings, quantity, estimated from total_period) t"
        )
        return {line[:6]: line[6:] for line in lines if any(line[6:])}

    def ledger(self) -> dict[tuple[str, str, int, int], tuple[int, int]]:
        """(source, site, day, outcome) -> readings, Wh."""
        lines = self.all(
            "select source, site, day - date '1970-01-01', outcome, readings, quantity_wh from ledger "
            "where hop = 'outcome'"
        )
        return {line[:4]: line[4:] for line in lines if any(line[4:])}

    def outcomes(self) -> dict[str, tuple[int, int]]:
        """Readings and Wh by the outcome's name."""
        found: defaultdict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for (*_, outcome), (n, wh) in self.ledger().items():
            name = Outcome(outcome).name.lower()
            found[name] = found[name][0] + n, found[name][1] + wh
        return {name: sums for name, sums in found.items() if any(sums)}


class Source:
    """A source and convert: what it sends comes back as emissions frames."""

    def __init__(self) -> None:
        self.worker, self.offset, self.seq = Worker.start({}), 0, 0
        self.tick = self._pass(TICK)

    def send(self, *readings: Document, **head: Any) -> dict[str, Any]:
        self.seq += 1
        return self._pass(Record(orjson.dumps(frame(list(readings), seq=self.seq, **head))))

    def _pass(self, record: Record) -> dict[str, Any]:
        self.worker.take(self.offset, record)
        self.offset += 1
        answer: dict[str, Any] = orjson.loads(self.worker.answers[self.offset - 1])
        return answer


def reading(meter: str, quarter: float, value: object, **more: object) -> Document:
    return {"meter": meter, "end": T0 + int(quarter * QUARTER_MS), "value": value, **more}
