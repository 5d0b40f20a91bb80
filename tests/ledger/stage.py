"""Readings of every kind through a running Carbonstream, and copies of its topics with one record altered."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Producer

from carbonstream.connectors import kafka
from carbonstream.connectors.sinks.timescale.sink import Sink
from carbonstream.connectors.sources.framing import Stamp, headers, record
from carbonstream.connectors.sources.resend import Again, columns_of
from carbonstream.ops.topics import create_topics, record_layout
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import HOUR_MS
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of, shard_of, site_of
from carbonstream.streams.convert import last_origin
from tests.databases import create_migrated, drop_database, url_of
from tests.databases import query as ask
from tests.running import eventually, load
from tests.topics import delete_topics, ends, kept_reader, messages

PARTITIONS = 2
SOURCE = "test/plant"
T0 = 1_772_323_200_000  # 2026-03-01T08:00 local
QUARTER_MS = HOUR_MS // 4
SITE_HEAD = (
    "site_id,name_zh,name_en,enterprise,enterprise_zh,enterprise_en,park,park_zh,park_en,county,industry\n"
)
METER_HEAD = "meter_id,carrier,kind,unit,multiplier,modulus,interval_s,boundary,valid_from,valid_to\n"
A, B = "330502-a", "330502-d"  # of the two partitions
SINCE = "2026-01-01T00:00:00+08:00"
LATER = "2026-03-01T10:00:00+08:00"


def meter(name: str, kind: str, since: str, multiplier: int, boundary: str) -> str:
    return f"{name},electricity,{kind},kWh,{multiplier},,900,{boundary},{since},\n"


SITES = SITE_HEAD + "".join(
    f"{site},测试站点,Test site,test-e,测试企业,Test enterprise,test-p,测试园区,Test park,330502,C31\n"
    for site in (A, B)
)
CANARIES = [f"{A}/CANARY", f"{B}/CANARY"]
METERS = {
    **dict.fromkeys(CANARIES, ("interval", SINCE, 1)),
    f"{A}/R": ("register", SINCE, 80),
    f"{A}/I": ("interval", SINCE, 1),
    f"{B}/I": ("interval", LATER, 1),  # a mistake: it was there since January
}
LATE_METERS = {f"{A}/NEW": ("interval", SINCE, 1), f"{B}/NEW": ("register", SINCE, 10)}


def meters_csv(meters: dict[str, tuple[str, str, int]]) -> str:
    return METER_HEAD + "".join(
        meter(name, *of, "false" if name in CANARIES else "true") for name, of in meters.items()
    )


class Sender:
    """A source that numbers its own frames."""

    def __init__(self, settings: Settings, source: str = SOURCE) -> None:
        self.settings, self.source = settings, source
        self.producer: Producer = kafka.producer(settings)
        self.seqs: dict[int, int] = {}

    def send(self, *readings: Again, skip: int = 0, seq: int | None = None) -> None:
        """One frame of one site's readings; skip: numbers left out before it."""
        shard = shard_of(site_of(readings[0].meter))
        number = self.seqs.get(shard, 0) + skip if seq is None else seq
        self.seqs[shard] = max(number + 1, self.seqs.get(shard, 0))
        stamp = Stamp(self.source, Mode.BACKFILL, T0)
        self.raw(record(stamp, shard, number, columns_of(readings)), shard, headers(stamp, shard, number))

    def raw(self, value: bytes, shard: int, heads: Any = ()) -> None:
        partition = partition_of(shard, self.settings.partitions)
        self.producer.produce(
            self.settings.topic(topics.READINGS), value, partition=partition, headers=list(heads)
        )
        assert self.producer.flush(30) == 0


def at(quarter: float, name: str, value: float, unit: str | None = None) -> Again:
    return Again(name, None, T0 + int(quarter * QUARTER_MS), value, unit)


def send_everything(sender: Sender) -> None:
    """Registers, intervals, late and repeated readings, corrections, rejects, unknown meters, a gap."""
    r, i, b = f"{A}/R", f"{A}/I", f"{B}/I"
    for quarter in range(8):
        sender.send(at(quarter, r, 100 + 2 * quarter), at(quarter, i, 5 + quarter))
        sender.send(at(quarter + 0.5, b, 3))  # outside its validity while that is wrong
    sender.send(at(8, r, 130), at(11, i, 4))
    sender.send(at(10, i, 6))  # late
    sender.send(at(2, i, 9))  # a correction
    sender.send(at(2, i, 9))  # the same again
    sender.send(at(5, r, 90), at(12, i, -3), at(13, i, 1, "t"))
    sender.send(at(14, i, 2), seq=0)  # a known number
    sender.send(at(0, f"{A}/NEW", 7), at(1, f"{A}/NEW", 8), at(40, f"{A}/NEW", -1))
    sender.send(at(0, f"{B}/NEW", 50), at(1, f"{B}/NEW", 51.5), at(2, f"{B}/NEVER", 1))
    sender.send(at(15, i, 2.5), skip=3)
    sender.raw(b'{"source":"test/plant","shard":1,"end":[1,2]}', shard_of(A))


@dataclass(frozen=True)
class Figures:
    """What a replay must give again, by names instead of numbers. A total of nothing says no more than none."""

    rows: list[tuple[Any, ...]]
    hours: list[tuple[Any, ...]]
    periods: list[tuple[Any, ...]]
    ledger: list[tuple[Any, ...]]
    kept: list[tuple[Any, ...]]


def query(settings: Settings, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    return ask(settings.database, statement, values[0] if values and isinstance(values[0], dict) else values)


def figures(settings: Settings) -> Figures:
    return Figures(
        query(settings, "select m.meter_id, r.time, r.start, r.quantity, r.raw_index, r.quality, r.flags "
                        "from reading r join meter m on m.number = r.meter order by 1, 2"),
        query(settings, "select e.id, t.bucket, t.carrier, t.shard, t.readings, t.quantity, t.estimated "
                        "from total_hour t join entity e on e.number = t.entity "
                        "where (t.readings, t.quantity, t.estimated) <> (0, 0, 0) order by 1, 2, 3, 4"),
        query(settings, "select e.id, t.bucket, t.carrier, t.shard, t.grain, t.readings, t.quantity, t.estimated "
                        "from total_period t join entity e on e.number = t.entity "
                        "where (t.readings, t.quantity, t.estimated) <> (0, 0, 0) order by 1, 2, 3, 4, 5"),
        query(settings, "select source, site, day, outcome, readings, quantity_wh, converted from ledger "
                        "where hop = 'outcome' and (readings, quantity_wh, converted) <> (0, 0, 0) "
                        "order by 1, 2, 3, 4"),
        query(settings, "select source, partition, source_offset, row, meter_id, released_at is not null, outcome "
                        "from held union all select source, partition, source_offset, row, meter_id, null, code "
                        "from reject order by 2, 3, 4"),
    )  # fmt: skip


def empty_database(settings: Settings, tables: list[dict[str, Path]]) -> Settings:
    """The same settings with a new database, reference data loaded in the same order."""
    new = settings.model_copy(update={"database": create_migrated(settings.database, "replay")})
    COPIES.append(new)
    for each in tables:
        load(new, each)
    record_layout(new)
    return new


def sink_until(settings: Settings, reached: Callable[[], bool], what: str) -> None:
    """A sink in this process until a condition holds; raises what ended it before."""
    sink = Sink(settings)
    failed: list[Exception] = []

    def run() -> None:
        try:
            sink.run()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        eventually(lambda: bool(failed) or reached(), what)
    finally:
        sink.stop()
        thread.join()
    if failed:
        raise failed[0]


def is_stored(settings: Settings) -> bool:
    """Whether the sink has passed every record of meter.readings."""
    stored = dict(query(settings, "select partition, source_offset from position"))
    return all(stored.get(n, -1) >= end - 1 for n, end in enumerate(ends(settings, topics.READINGS)))


def is_replayed(settings: Settings, *partitions: int) -> bool:
    """Whether the sink has passed every record of carbon.emissions, of these partitions or all; a tick of the very end
    may have no answer."""
    stored = dict(query(settings, "select partition, source_offset from position"))
    topic = settings.topic(topics.EMISSIONS)
    with kept_reader(settings) as reader:
        return all(
            stored.get(n, -1) >= last_origin(settings, reader, topic, n).get("offset", -1)
            for n in partitions or range(settings.partitions)
        )


Records = list[tuple[int, bytes | None, bytes | None, Any]]  # offset, key, value, headers


def records(settings: Settings, topic: str, partition: int) -> Records:
    return [(m.offset() or 0, m.key(), m.value(), m.headers()) for m in messages(settings, topic, partition)]


COPIES: list[Settings] = []  # what `copied` and `empty_database` have made


def clear_away() -> None:
    """Delete the databases and topics of all copies."""
    while COPIES:
        settings = COPIES.pop()
        drop_database(url_of(settings.database, "postgres"), settings.database)
        if settings.topic_prefix.startswith("copy_"):
            delete_topics(settings)


def copied(
    settings: Settings, tables: list[dict[str, Path]], alter: Callable[[str, int, Records], Records]
) -> Settings:
    """Topics of their own with the same records but for what `alter` (topic, partition, records) does, and an empty
    database. Reference records keep their offsets, as ticks name them."""
    prefix = f"copy_{uuid.uuid4().hex[:8]}."
    new = settings.model_copy(update={"topic_prefix": prefix, "state_dir": settings.state_dir / prefix})
    create_topics(new)
    ids = {name: kafka.topic_ids(s, [s.topic(topics.READINGS)])[s.topic(topics.READINGS)][0]
           for name, s in (("old", settings), ("new", new))}  # fmt: skip
    producer = kafka.producer(new)
    for topic in (*topics.REFERENCE, topics.READINGS, topics.EMISSIONS):
        for n in range(settings.partitions_of(topic)):
            position = 0
            for offset, key, value, heads in alter(topic, n, records(settings, topic, n)):
                while topic in topics.REFERENCE and position < offset:  # where a transaction's marker stands
                    producer.produce(new.topic(topic), None, b"hole", n)
                    position += 1
                body = (value or b"").replace(ids["old"].encode(), ids["new"].encode())
                producer.produce(
                    new.topic(topic), body if value is not None else None, key, n, headers=heads or []
                )
                position += 1
            old_end = ends(settings, topic)[n]
            while topic in topics.REFERENCE and position < old_end:
                producer.produce(new.topic(topic), None, b"hole", n)
                position += 1
    assert producer.flush(60) == 0
    return empty_database(new, tables)


def origin_of(value: bytes | None) -> int:
    offset: int = orjson.loads(value or b"{}")["origin"]["offset"]
    return offset
