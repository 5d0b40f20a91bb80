"""Multipliers by date and exchanges of registers: loaded, published to convert, refused where they cannot be."""

from __future__ import annotations

import orjson
import pytest

from carbonstream.ops.load import load_files
from carbonstream.processors.reference import Reference
from carbonstream.processors.register_history import ALWAYS, Exchange, History, Multiplier
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.reference_records import MeterRecord
from carbonstream.schemas.shards import SHARDS, shard_of

from .conftest import NOW, Connection, Write
from .files import EXCHANGES, FEED, HEAT, METERS, MULTIPLIERS, PAPER, SITES, STEEL

REGISTER, INTERVAL = "330502-0001/E01", "330502-0002/E01"
AT = "2024-06-01T00:00:00+08:00"
AT_MS = 1_717_171_200_000


@pytest.fixture
def registered(connection: Connection, write: Write) -> Connection:
    files = {"sites": write("sites", SITES, STEEL, PAPER), "meters": write("meters", METERS, FEED, HEAT)}
    load_files(connection, files, NOW)
    connection.execute("delete from outbox")
    return connection


def told(connection: Connection) -> dict[str, History]:
    """What convert makes of the published meters."""
    found = {}
    for key, value in connection.execute("select key, value from outbox order by id").fetchall():
        MeterRecord.model_validate(value)
        reference = Reference(shard_of(key.split("/")[0]) % 8, 8)
        reference.apply("ref.meters", 0, orjson.dumps(value))
        shard = reference.shard(value["number"] % SHARDS)
        found[key] = shard.histories[value["number"] // SHARDS]
    return found


def test_a_dated_multiplier_and_an_exchange_reach_convert(registered: Connection, write: Write) -> None:
    files = {
        "multipliers": write("multipliers", MULTIPLIERS, f"{REGISTER},{AT},120", f"{INTERVAL},{AT},2"),
        "exchanges": write("exchanges", EXCHANGES, f"{REGISTER},{AT},900.5,3,100000"),
    }
    counts = load_files(registered, files, NOW)
    assert {name: (c.rows, c.added) for name, c in counts.items()} == {
        "multipliers": (2, 2),
        "exchanges": (1, 1),
    }
    assert told(registered) == {
        REGISTER: History(
            (Multiplier(ALWAYS, 1, 1_000), Multiplier(AT_MS, 2, 120_000)),
            (Exchange(AT_MS, 900_500, 3_000, 100_000_000),),
            1_000_000_000,
        ),
        INTERVAL: History((Multiplier(ALWAYS, 1, 1_500), Multiplier(AT_MS, 2, 2_000))),
    }
    registered.execute("delete from outbox")
    again = load_files(registered, files, NOW)
    assert {counts.added for counts in again.values()} == {0}
    assert registered.execute("select from outbox").fetchall() == []


@pytest.mark.parametrize(
    ("table", "row", "error"),
    [
        (
            "multipliers",
            f"{REGISTER},2023-12-31T00:00:00Z,2",
            "multipliers.csv:2: valid_from: '2023-12-31T00:00:00Z'",
        ),
        ("multipliers", f"330502-0001/E02,{AT},2", "multipliers.csv:2: meter_id: '330502-0001/E02'"),
        ("multipliers", f"{REGISTER},{AT},0", "multipliers.csv:2: multiplier: '0'"),
        ("exchanges", f"{INTERVAL},{AT},1,0,", "exchanges.csv:2: meter_id: '330502-0002/E01'"),
        ("exchanges", f"{REGISTER},{AT},1.0005,0,", "exchanges.csv:2: final_index: '1.0005'"),
        ("exchanges", f"{REGISTER},{AT},1,100,100", "exchanges.csv:2: initial_index: '100'"),
        ("exchanges", f"{REGISTER},soon,1,0,", "exchanges.csv:2: at: 'soon'"),
    ],
)
def test_what_cannot_be_is_refused(
    registered: Connection, write: Write, table: str, row: str, error: str
) -> None:
    header = {"multipliers": MULTIPLIERS, "exchanges": EXCHANGES}[table]
    with pytest.raises(LoadRefused) as refused:
        load_files(registered, {table: write(table, header, row)}, NOW)
    assert [line[: len(error)] for line in refused.value.errors] == [error]


@pytest.mark.parametrize(
    ("table", "header", "row", "other"),
    [
        ("multipliers", MULTIPLIERS, f"{REGISTER},{AT},2", f"{REGISTER},{AT},3"),
        ("exchanges", EXCHANGES, f"{REGISTER},{AT},1,0,", f"{REGISTER},{AT},2,0,"),
    ],
)
def test_what_intervals_may_count_by_is_not_changed(
    registered: Connection, write: Write, table: str, header: str, row: str, other: str
) -> None:
    load_files(registered, {table: write(table, header, row)}, NOW)
    with pytest.raises(LoadRefused, match="already"):
        load_files(registered, {table: write(table, header, other)}, NOW)


@pytest.mark.parametrize(
    ("table", "header", "row"),
    [("multipliers", MULTIPLIERS, f"{REGISTER},{AT},2"), ("exchanges", EXCHANGES, f"{REGISTER},{AT},1,0,")],
)
def test_nothing_is_dated_before_what_is_stored(
    registered: Connection, write: Write, table: str, header: str, row: str
) -> None:
    registered.execute(
        "insert into reading (time, start, quantity, meter, multiplier_version, quality, flags) "
        "select timestamptz '2024-06-01T00:15:00+08:00', timestamptz '2024-06-01T00:00:00+08:00', 1, number, 1, 0, 0 "
        "from meter where meter_id = %s",
        [REGISTER],
    )
    with pytest.raises(LoadRefused, match="are stored"):
        load_files(registered, {table: write(table, header, row)}, NOW)
