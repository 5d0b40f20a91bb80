"""A wrong multiplier corrected: every stored interval becomes what the right one makes of its indexes, and the ledger
balances before, after and between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.accepted import AcceptedCounter
from carbonstream.processors.converter import Converter
from carbonstream.processors.frames import parse_record
from carbonstream.processors.ledger import Count
from carbonstream.processors.meters import Meter
from carbonstream.processors.recomputing import (
    Interval,
    Recomputed,
    StoredRow,
    Timeline,
    corrected,
    differing,
    intervals_of,
)
from carbonstream.processors.reference import Reference
from carbonstream.processors.register_history import ALWAYS, History, Multiplier
from carbonstream.schemas.codes import Outcome, RowFlag
from carbonstream.schemas.frames import SOURCE_ESTIMATOR, SOURCE_RECOMPUTE, TYPE_READINGS
from tests.processors.stream import LAYOUT, RECEIVED
from tests.processors.table import Table, by_day, totals_of_rows
from tests.processors.test_registers import Life, deliveries, lives, sent
from tests.processors.world import (
    BY_ID,
    KNOWN_IDS,
    LIMITS,
    NEAR,
    PARTITION,
    PARTITIONS,
    QUARTER_MS,
    T0,
    Document,
    directory,
    frame,
)

DIRECTORY = directory()
R0 = BY_ID[KNOWN_IDS[0]]


@dataclass
class Plant:
    """convert, the ledger's reader and the sink's table, of one meter."""

    meter: Meter
    table: Table = field(default_factory=lambda: Table(DIRECTORY))
    seq: int = 0
    outcomes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        ours, theirs = (Reference(PARTITION, PARTITIONS) for _ in range(2))
        self.converter = Converter(LAYOUT, LIMITS, ours)
        self.counter = AcceptedCounter(PARTITION, PARTITIONS, LIMITS, theirs)
        self.milli_of: dict[int, int] = {}
        self.counted: list[Count] = []
        self.know(self.meter)

    def know(self, meter: Meter) -> None:
        self.meter = meter
        self.milli_of |= {m.version: m.milli for m in meter.history.multipliers}
        for reference in (self.converter.reference, self.counter.reference):
            reference.shard(NEAR).put(meter)
            reference.offsets = {"ref.meters": len(self.milli_of)}

    def send(self, document: Document) -> None:
        value = orjson.dumps(document | {"seq": self.seq})
        out = self.converter.handle(self.seq, parse_record(value, TYPE_READINGS), value, RECEIVED)
        assert out is not None
        answer = orjson.loads(out.value)
        code = answer["code"]
        self.outcomes += code if isinstance(code, list) else [code] * len(answer["meter"])
        self.counter.count(value)
        self.table.store([answer])
        self.seq += 1

    def correct(self, since: int, until: int | None, milli: int) -> Timeline:
        found = corrected(self.meter.history.multipliers, since, until, milli, max(self.milli_of))
        newest = found.multipliers[-1].milli
        self.know(replace(self.meter, multipliers=found.multipliers, multiplier_milli=newest))
        return found

    def intervals(self) -> list[Interval]:
        rows = sorted(
            StoredRow(time, start, quantity, None if raw < 0 else raw, version, quality, flags)
            for time, start, _, quantity, raw, quality, flags, _, version in self.table.stored_rows()
        )
        return intervals_of(rows)

    def recompute(self) -> list[Recomputed]:
        wrong, unknown = differing(self.intervals(), self.meter.history, self.milli_of)
        assert unknown == []
        if wrong:
            self.send(edits(self.meter.meter_id, wrong))
        return wrong

    def hops(self) -> tuple[Any, Any]:
        outcome = [Count(*line, n, wh) for line, (n, wh) in self.table.ledger.items()]
        self.counted += self.counter.take()[0]
        return by_day(self.counted), by_day(outcome)


def edits(meter: str, wrong: list[Recomputed]) -> Document:
    intervals = [w.interval for w in wrong]
    rows = [
        {"meter": meter, "start": i.start, "end": i.end, "value": i.last / 1_000, "unit": "kWh"}
        for i in intervals
    ]
    return frame(
        rows,
        source=SOURCE_RECOMPUTE,
        mode="edit",
        quality=[i.quality for i in intervals],
        first_index=[(i.first or 0) / 1_000 for i in intervals],
        replaces=[i.quantity for i in intervals],
    )


@st.composite
def corrections(draw: st.DrawFn, readings: int) -> tuple[int, int | None, int]:
    ends = [T0 + k * QUARTER_MS // 2 for k in range(-1, 2 * readings + 1)]
    since = draw(st.sampled_from([ALWAYS, *ends]))
    until = draw(st.none() | st.sampled_from([end for end in ends if end > since] or [None]))
    return since, until, draw(st.sampled_from([1_000, 80_000, 1_333, 7, 100_000]))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Life, list[list[int]], int, int, tuple[int, int | None, int]]:
    life = draw(lives())
    frames = draw(deliveries(len(life.indexes)))
    known = draw(st.integers(0, len(frames)))
    done = draw(st.integers(known, len(frames)))
    return life, frames, known, done, draw(corrections(len(life.indexes)))


@settings(max_examples=150)
@given(cases())
def test_every_interval_becomes_what_the_right_multiplier_makes_of_its_indexes(
    case: tuple[Life, list[list[int]], int, int, tuple[int, int | None, int]],
) -> None:
    life, frames, known, done, correction = case
    plant = Plant(life.meter)
    for numbers in frames[:known]:  # by the wrong multiplier
        plant.send(sent(life, numbers))
    plant.correct(*correction)
    for numbers in frames[known:done]:  # what comes before the recomputed intervals
        plant.send(sent(life, numbers))
    plant.recompute()
    for numbers in frames[done:]:
        plant.send(sent(life, numbers))
    assert plant.recompute() == []
    for i in plant.intervals():
        assert i.first is not None
        assert i.quantity == plant.meter.history.energy(i.start, i.first, i.end, i.last)
    accepted, outcome = plant.hops()
    assert accepted == outcome
    assert plant.table.sums() == totals_of_rows(plant.table.rows, DIRECTORY)


@given(
    st.lists(st.integers(0, 2_000), min_size=2, max_size=40),
    st.sampled_from([1_000, 7, 80_000]),
    st.sampled_from([1_333, 100_000]),
)
def test_recomputed_is_last_less_first_index_times_the_right_multiplier(
    steps: list[int], wrong: int, right: int
) -> None:
    indexes = [sum(steps[: k + 1]) for k in range(len(steps))]
    plant = Plant(replace(R0, multiplier_milli=wrong))
    life = Life(plant.meter, indexes, [])
    plant.send(sent(life, list(range(len(indexes)))))
    plant.correct(ALWAYS, None, right)
    plant.recompute()
    stored = sum(i.quantity for i in plant.intervals())
    assert stored == indexes[-1] * right // 1_000 - indexes[0] * right // 1_000
    accepted, outcome = plant.hops()
    assert accepted == outcome


def test_a_late_index_splits_a_recomputed_interval_by_the_right_multiplier() -> None:
    plant = Plant(replace(R0, multiplier_milli=80_000))
    life = Life(plant.meter, [100, 110, 120, 130, 140], [])
    plant.send(sent(life, [0, 1, 3, 4]))
    plant.correct(ALWAYS, None, 100_000)
    plant.recompute()
    plant.send(sent(life, [2]))
    assert plant.outcomes[-1] == Outcome.STORED
    assert [i.quantity for i in plant.intervals()] == [1_000] * 4


def test_recomputed_rows_are_marked_and_keep_their_quality() -> None:
    plant = Plant(replace(R0, multiplier_milli=80_000))
    plant.send(sent(Life(plant.meter, [100, 110, 120], []), [0, 1, 2]))
    plant.table.rows.quality[1] = 10
    plant.correct(T0 + QUARTER_MS, None, 100_000)
    assert [w.interval.end for w in plant.recompute()] == [T0 + 2 * QUARTER_MS]
    flags = [row[6] & RowFlag.EDITED for row in plant.table.stored_rows()]
    assert flags == [0, 0, RowFlag.EDITED]
    assert [i.quantity for i in plant.intervals()] == [800, 1_000]


def test_behind_the_corrected_period_what_was_in_force_goes_on() -> None:
    before = (Multiplier(ALWAYS, 1, 80_000), Multiplier(1_000, 2, 60_000), Multiplier(5_000, 3, 40_000))
    found = corrected(before, 500, 3_000, 100_000, 3)
    assert [(m.valid_from, m.milli) for m in found.multipliers] == [
        (ALWAYS, 80_000), (500, 100_000), (3_000, 60_000), (5_000, 40_000)
    ]  # fmt: skip
    assert found.superseded == (2,)
    history = History(found.multipliers)
    assert [history.in_force(t).milli for t in (500, 501, 3_000, 3_001, 5_000)] == [
        80_000, 100_000, 100_000, 60_000, 60_000
    ]  # fmt: skip


def test_an_interval_whose_first_index_is_gone_is_named() -> None:
    rows = [StoredRow(T0 + QUARTER_MS, T0, 800, 110, 1, 0, 0)]
    wrong, unknown = differing(intervals_of(rows), History((Multiplier(ALWAYS, 2, 100_000),)), {1: 80_000})
    assert (wrong, [i.end for i in unknown]) == ([], [T0 + QUARTER_MS])


@pytest.mark.parametrize(
    "change",
    [
        {"source": "http/gw-7"},
        {"quality": None},
        {"first_index": None},
        {"replaces": [0.5]},
        {"start": None},
        {"first_index": [-1]},
        {"first_index": ["0"]},
        {"value": [float("1e300")]},
    ],
)
def test_what_is_no_sound_edit_is_rejected_and_moves_nothing(change: Document) -> None:
    plant = Plant(replace(R0, multiplier_milli=80_000))
    plant.send(sent(Life(plant.meter, [100, 110], []), [0, 1]))
    before = plant.table.stored_rows()
    edit = edits(plant.meter.meter_id, [Recomputed(plant.intervals()[0], 0)])
    plant.send(edit | change)
    assert plant.outcomes[-1] == Outcome.EDIT
    assert plant.table.stored_rows() == before
    accepted, outcome = plant.hops()
    assert accepted == outcome


def edited(meter: str, value: float, quality: int) -> Document:
    row = {"meter": meter, "start": T0, "end": T0 + QUARTER_MS, "value": value, "unit": "kWh"}
    return frame([row], source=SOURCE_ESTIMATOR, mode="edit", quality=[quality])


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 5), st.sampled_from([0, 8, 9, 17])), min_size=1, max_size=8
    )
)
def test_an_edit_takes_the_place_of_a_measurement_and_the_ledger_balances(
    steps: list[tuple[bool, int, int]],
) -> None:
    meter = BY_ID[KNOWN_IDS[5]]  # told in MWh, multiplier 0.333: an edit is of the quantity itself
    plant = Plant(meter)
    stood = None
    for is_edit, value, quality in steps:
        if is_edit:
            plant.send(edited(meter.meter_id, value, quality))
            stood = value * 1_000, quality
        else:
            plant.send(frame([{"meter": meter.meter_id, "end": T0 + QUARTER_MS, "value": value / 1_000}]))
            told = value * 1_000 * 333 // 1_000
            if plant.outcomes[-1] == Outcome.STORED and (
                stood is None or stood[0] != told or stood[1] in (8, 9)
            ):
                stood = told, 0
    rows = plant.table.stored_rows()
    # what the checks doubt of a measurement (10) is not the question here
    assert [(row[3], 0 if row[5] == 10 else row[5]) for row in rows] == ([stood] if stood else [])
    accepted, outcome = plant.hops()
    assert accepted == outcome
    assert plant.table.sums() == totals_of_rows(plant.table.rows, DIRECTORY)
