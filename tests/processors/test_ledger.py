"""The ledger balances: what Kafka holds, counted by itself, is what became of it, and both add up to the rows."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.ledger import Count
from carbonstream.schemas.carriers import CARRIER_BY_ID
from carbonstream.schemas.codes import STORED_OUTCOMES
from carbonstream.schemas.frames import TYPE_TICK
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, OFFSET_MS
from tests.processors.stream import LOGS, Record, Worker, counted, streams
from tests.processors.table import Table, by_day, totals_of_rows
from tests.processors.world import (
    DAILY,
    ENDS,
    KNOWN_IDS,
    METERS,
    NEAR,
    PARTITION,
    QUARTER_MS,
    SITES,
    STRANGE_IDS,
    T0,
    Document,
    directory,
    frame,
)

DIRECTORY = directory()
ELECTRICITY = CARRIER_BY_ID["electricity"].number
LATE: Document = {"mode": "backfill"}
R0, R3, I0, I1 = KNOWN_IDS[0], KNOWN_IDS[3], KNOWN_IDS[4], KNOWN_IDS[5]
REGISTERED = Record(
    orjson.dumps({"tick": PARTITION, "time": T0 + HOUR_MS, "reference": {t: len(log) for t, log in LOGS.items()}
                  | {"ref.meters": len(METERS)}}),
    TYPE_TICK,
)  # fmt: skip


def answers(stream: list[Record]) -> list[dict[str, Any]]:
    worker = Worker.start({})
    for offset, record in enumerate(stream):
        worker.take(offset, record)
    return [orjson.loads(worker.answers[offset]) for offset in range(len(stream))]


def cut(data: st.DataObject, frames: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    batches = []
    while frames:
        size = data.draw(st.integers(1, len(frames)))
        batches.append(frames[:size])
        frames = frames[size:]
    return batches


def hops(stream: list[Record]) -> tuple[dict[Any, tuple[int, int]], dict[Any, tuple[int, int]]]:
    """(accepted, outcome) by source, site and day."""
    table = Table(DIRECTORY)
    table.store(answers(stream))
    outcome = [Count(*line, n, wh) for line, (n, wh) in table.ledger.items()]
    return by_day(counted(stream).take()[0]), by_day(outcome)


@settings(max_examples=settings().max_examples // 2)  # each converts a stream
@given(streams(), st.data())
def test_both_hops_agree_for_each_source_site_and_day(stream: list[Record], data: st.DataObject) -> None:
    table = Table(DIRECTORY)
    for batch in cut(data, answers(stream)):
        table.store(batch)
    outcome = [Count(*line, n, wh) for line, (n, wh) in table.ledger.items()]
    assert by_day(counted(stream).take()[0]) == by_day(outcome)


@settings(max_examples=settings().max_examples // 2)  # each converts a stream
@given(streams(), st.data())
def test_rows_totals_and_ledger_do_not_depend_on_the_batches(
    stream: list[Record], data: st.DataObject
) -> None:
    frames = answers(stream)
    at_once, in_batches = Table(DIRECTORY), Table(DIRECTORY)
    at_once.store(frames)
    for batch in cut(data, frames):
        in_batches.store(batch)
    assert at_once.stored_rows() == in_batches.stored_rows()
    assert at_once.lines() == in_batches.lines()
    assert at_once.sums() == in_batches.sums() == totals_of_rows(at_once.rows, DIRECTORY)


@settings(max_examples=settings().max_examples // 2)
@given(streams())
def test_what_the_ledger_calls_stored_are_the_wh_of_the_rows(stream: list[Record]) -> None:
    table = Table(DIRECTORY)
    table.store(answers(stream))
    electric = DIRECTORY.entries["carrier"][table.rows.meter] == ELECTRICITY
    stored = sum(wh for (*_, outcome), (_, wh) in table.ledger.items() if outcome in STORED_OUTCOMES)
    assert stored == int(table.rows.quantity[electric].sum())
    readings = sum(n for (*_, outcome), (n, _) in table.ledger.items() if outcome in STORED_OUTCOMES)
    assert readings == int(table.rows.is_last.sum())


@settings(max_examples=settings().max_examples // 2)  # each converts a stream
@given(streams(), st.data())
def test_a_counter_that_takes_over_counts_on(stream: list[Record], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(stream)))
    first = counted(stream[:at])
    second = counted(stream[at:], first)
    assert by_day(first.take()[0] + second.take()[0]) == by_day(counted(stream).take()[0])


VALUES = st.one_of(
    st.integers(0, 400), st.integers(0, 400), st.floats(0, 300),
    st.sampled_from([-1, -0.5, 2**64 - 1, 1e10, 1e11, 1e15, 1e300, 0.0005, 0.0015, 999_990, 5]),
)  # fmt: skip


@st.composite
def rounds(draw: st.DrawFn) -> list[Record]:
    """What gateways mostly send: each meter of a list once, one unit for all, no starts."""
    records = [REGISTERED] if draw(st.integers(0, 4)) else []
    for seq in range(draw(st.integers(1, 8))):
        meters = draw(st.lists(st.sampled_from(KNOWN_IDS + STRANGE_IDS), min_size=1, unique=True))
        rows = [{"meter": m, "end": draw(ENDS), "value": draw(VALUES)} for m in meters]
        if draw(st.booleans()):
            for row in rows:
                row["end"] = rows[0]["end"]
        head: Document = {"mode": draw(st.sampled_from(["live", "backfill"]))}
        if draw(st.booleans()):
            head["unit"] = draw(st.sampled_from(["kWh", "MWh", "t", "", 5]))
        records.append(sent(draw(st.sampled_from([seq, seq, seq, 0])), *rows, **head))
    return records


@given(streams() | rounds())
def test_counting_by_columns_is_counting_one_by_one(stream: list[Record]) -> None:
    (lines, moved), (each, moved_each) = counted(stream).take(), counted(stream, one_by_one=True).take()
    assert by_day(lines) == by_day(each)
    assert sorted(moved.T.tolist()) == sorted(moved_each.T.tolist())


def sent(seq: int, *rows: Document, **head: Any) -> Record:
    return Record(orjson.dumps(frame(list(rows), seq=seq, **head)))


def reading(meter: str, quarter: int, value: object, **more: object) -> Document:
    return {"meter": meter, "end": T0 + quarter * QUARTER_MS, "value": value, **more}


BALANCED = {
    "an index too small to be one Wh is still an index": [
        sent(0, reading(R3, 0, 0.0004)), sent(1, reading(R3, 1, 500)),
    ],
    "false is no index": [sent(0, reading(R0, 0, False)), sent(1, reading(R0, 1, 5)), sent(2, reading(R0, 2, 7))],
    "an empty unit is not the meter's own": [sent(0, reading(I0, 0, 5, unit=""))],
    "a text in a frame sent twice claims nothing": [
        sent(0, reading(I0, 0, 5), reading(I0, 1, "12.5")), sent(0, reading(I0, 0, 5), reading(I0, 1, "12.5")),
    ],
    "a number used twice for other readings": [
        sent(0, reading(R0, 0, 5)), sent(0, reading(R0, 1, 7)), sent(1, reading(R0, 2, 9)),
    ],
    "a start that is no time": [
        sent(0, reading(R0, 0, 5)), sent(1, reading(R0, 1, 7, start="x")), sent(2, reading(R0, 2, 9)),
    ],
    "a frame that calls itself a tick": [sent(0, reading(I0, 0, 5), tick=1)],
    "two refusals of one source in a batch": [sent(-1, reading(I0, 0, 5)), sent(-1, reading(I0, 0, 5))],
    "a frame of another partition": [sent(0, reading(I0, 0, 5), shard=2)],
    "a unit unknown beside one not named": [sent(0, reading(I0, 0, 5), reading(I0, 1, 6, unit="foo"))],
    "a duplicate after the multiplier changed": [
        sent(0, reading(I1, 0, 5)),
        Record(orjson.dumps({"tick": 1, "time": T0, "reference": {"ref.meters": len(LOGS["ref.meters"])}}), TYPE_TICK),
        sent(1, reading(I1, 0, 5)),
    ],
    "a name PostgreSQL cannot hold": [sent(0, reading(I0, 0, 5), source="a\0b"), sent(1, reading("a/\0", 0, 5))],
    "too many meters": [sent(0, reading(I0, 0, 5), meters=[I0] * 501)],
    "a mode that is a list": [sent(0, reading(I0, 0, 5), mode=["live"])],
}  # fmt: skip


@pytest.mark.parametrize("stream", BALANCED.values(), ids=BALANCED.keys())
def test_both_hops_agree_about(stream: list[Record]) -> None:
    accepted, outcome = hops([REGISTERED, *stream])
    assert accepted == outcome


def test_a_part_of_an_interval_that_stood_already_is_not_stored_twice() -> None:
    half = QUARTER_MS * 2
    whole_hour = {"meter": DAILY, "start": T0, "end": T0 + 4 * QUARTER_MS, "value": 6}
    across = {"meter": DAILY, "start": T0, "end": T0 + 4 * QUARTER_MS + half, "value": 9}
    table = Table(DIRECTORY)
    table.store(answers([REGISTERED, sent(0, whole_hour, **LATE), sent(1, across, **LATE)]))
    day = (T0 + OFFSET_MS) // DAY_MS
    assert table.lines() == {
        ("http/gw-7", SITES[NEAR], day, 0): (2, 9_000),
        ("http/gw-7", SITES[NEAR], day, 20): (0, 6_000),
    }
    assert int(table.rows.quantity.sum()) == 9_000
