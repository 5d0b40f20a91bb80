"""However the indexes of a register are delivered, its intervals add up to what it counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.accepted import AcceptedCounter
from carbonstream.processors.meters import REMEMBERED, STATE, Meter, ShardState
from carbonstream.processors.reference import Reference
from carbonstream.processors.register_history import ALWAYS, Exchange, Multiplier
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.periods import DAY_MS
from tests.processors.test_checks import Shard, codes
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
    frame,
)

R0 = BY_ID[KNOWN_IDS[0]]
MODULUS = 1_000_000  # steps below add up to less than a thousandth of a turn
MOST_READINGS, MOST_STEP = 12, 40
NEAR_ITS_TURN = st.one_of(st.integers(0, MODULUS - 1), st.integers(MODULUS - 500, MODULUS - 1))


@dataclass(frozen=True)
class Life:
    """A register's meter, its indexes a quarter of an hour apart, and what it counted between two of them."""

    meter: Meter
    indexes: list[int]
    energy: list[int]  # of the quarter that ends at each index


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Registers that roll over and are exchanged, the multiplier changing with the register."""
    milli = draw(st.sampled_from([1_000, 80_000, 1_333, 7, 999]))
    modulus = draw(st.sampled_from([MODULUS, MODULUS, None]))
    index = draw(NEAR_ITS_TURN)
    multipliers, exchanges = [Multiplier(ALWAYS, 1, milli)], []
    indexes, energy = [index], [0]
    meter = replace(R0, modulus=modulus)

    def on(at: int, step: int) -> tuple[int, int]:
        """(index, energy) a step further."""
        there = at + step if modulus is None else (at + step) % modulus
        turn = 0 if modulus is None or there >= at else modulus * milli // 1_000
        return there, turn + there * milli // 1_000 - at * milli // 1_000

    for k in range(1, draw(st.integers(1, MOST_READINGS))):
        counted = 0
        if not draw(st.integers(0, 3)):
            at = T0 + (k - 1) * QUARTER_MS + draw(st.sampled_from([0, 1, QUARTER_MS // 2, QUARTER_MS - 1]))
            index, counted = on(
                index, 0 if at == T0 + (k - 1) * QUARTER_MS else draw(st.integers(0, MOST_STEP))
            )
            final, index = index, draw(NEAR_ITS_TURN)
            exchanges.append(Exchange(at, final, index, None))
            if draw(st.booleans()):
                milli = draw(st.sampled_from([1_000, 120_000, 1_777]))
                multipliers.append(Multiplier(at, len(multipliers) + 1, milli))
        index, more = on(index, draw(st.integers(0, MOST_STEP)))
        indexes.append(index)
        energy.append(counted + more)
    if len(multipliers) > 1 or exchanges:
        meter = replace(meter, multipliers=tuple(multipliers), exchanges=tuple(exchanges))
    return Life(replace(meter, multiplier_milli=milli), indexes, energy)


@st.composite
def deliveries(draw: st.DrawFn, readings: int) -> list[list[int]]:
    """Frames of readings by number: some lost, some twice, none after more than REMEMBERED later ones."""
    late = st.floats(0, REMEMBERED, exclude_max=True)
    kept = [k for k in range(readings) if draw(st.integers(0, 5))] or [0]
    order = sorted(kept, key={place: i + draw(late) for i, place in enumerate(kept)}.__getitem__)
    for _ in range(draw(st.integers(0, 3))):
        again = draw(st.integers(0, len(order) - 1))
        order.insert(draw(st.integers(again, len(order))), order[again])
    frames = []
    while order:
        size = draw(st.integers(1, len(order)))
        frames.append(order[:size])
        order = order[size:]
    return frames


def world(meter: Meter) -> Reference:
    known = Reference(PARTITION, PARTITIONS)
    known.shard(NEAR).put(meter)
    return known


def sent(life: Life, numbers: list[int], seq: int = 0) -> Document:
    return frame(
        [
            {"meter": life.meter.meter_id, "end": T0 + k * QUARTER_MS, "value": life.indexes[k], "unit": "Wh"}
            for k in numbers
        ],
        seq=seq,
    )


@settings(max_examples=1_000)
@given(lives().flatmap(lambda life: st.tuples(st.just(life), deliveries(len(life.indexes)))))
def test_in_any_order_intervals_add_up_to_last_less_first(case: tuple[Life, list[list[int]]]) -> None:
    life, frames = case
    shard, rows = Shard(NEAR, world(life.meter)), {}
    counter = AcceptedCounter(PARTITION, PARTITIONS, LIMITS, world(life.meter))
    for seq, numbers in enumerate(frames):
        document = sent(life, numbers, seq)
        judged = shard.judge(document)
        for _, start, end, quantity, *_ in judged.adjusted.tolist():
            rows[end] = start, quantity
        for code, start, end, quantity in zip(
            *(getattr(judged, name).tolist() for name in ("code", "start", "end", "quantity")), strict=True
        ):
            assert code in (Outcome.STORED, Outcome.BASELINE, Outcome.DUPLICATE, Outcome.LATE_INDEX)
            if code <= Outcome.BASELINE:
                rows[end] = start, quantity
        counter.count(orjson.dumps(document))
    delivered = sorted({k for numbers in frames for k in numbers})
    first, last = delivered[0], delivered[-1]
    assert sorted(rows) == [T0 + k * QUARTER_MS for k in delivered]
    ends = sorted(rows)
    assert [rows[end][0] for end in ends] == [ends[0], *ends[:-1]]
    counted = sum(life.energy[first + 1 : last + 1])
    assert sum(quantity for _, quantity in rows.values()) == counted
    assert all(quantity >= 0 for _, quantity in rows.values())
    assert sum(count.quantity_wh for count in counter.take()[0]) == counted
    meter = life.meter
    if not meter.exchanges:
        turns = sum(
            b < a for a, b in zip(life.indexes[first:last], life.indexes[first + 1 : last + 1], strict=True)
        )
        assert counted == (
            life.indexes[last] * meter.multiplier_milli // 1_000
            - life.indexes[first] * meter.multiplier_milli // 1_000
            + turns * ((meter.modulus or 0) * meter.multiplier_milli // 1_000)
        )


def quarters(*pairs: tuple[float, int], meter: Meter = R0) -> Document:
    return frame(
        [
            {"meter": meter.meter_id, "end": T0 + int(quarter * QUARTER_MS), "value": value, "unit": "Wh"}
            for quarter, value in pairs
        ]
    )


def test_a_late_index_splits_the_interval_it_falls_into() -> None:
    shard = Shard(NEAR)
    shard.judge(quarters((0, 100), (2, 180)))
    late = shard.judge(quarters((1, 130)))
    assert (codes(late), late.start.tolist(), late.quantity.tolist()) == (["STORED"], [T0], [30])
    assert late.adjusted.tolist() == [(0, T0 + QUARTER_MS, T0 + 2 * QUARTER_MS, 50, 180, 1)]


@pytest.mark.parametrize(
    ("quarter", "value", "code"),
    [
        (1, 99, "LATE_INDEX"),
        (1, 181, "LATE_INDEX"),
        (3, 179, "REGISTER_BACKWARDS"),
        (2, 180, "DUPLICATE"),
        (2, 179, "LATE_INDEX"),
        (-1, 90, "BASELINE"),
        (-1, 101, "LATE_INDEX"),
        (-33 * DAY_MS / QUARTER_MS, 90, "LATE_INDEX"),
    ],
)
def test_a_late_index_that_cannot_be_is_refused(quarter: float, value: int, code: str) -> None:
    shard = Shard(NEAR)
    shard.judge(quarters((0, 100), (2, 180)))
    assert codes(shard.judge(quarters((quarter, value)))) == [code]


def test_an_index_older_than_what_is_remembered_is_refused() -> None:
    shard = Shard(NEAR)
    shard.judge(quarters(*((2 * k, 100 * k) for k in range(REMEMBERED + 2))))
    assert codes(shard.judge(quarters((1, 50), (3, 150)))) == ["LATE_INDEX", "STORED"]


def test_what_was_computed_with_another_multiplier_is_not_split() -> None:
    known = world(R0)
    shard = Shard(NEAR, known)
    shard.judge(quarters((0, 100), (2, 180)))
    known.shard(NEAR).put(replace(R0, multiplier_milli=3_000))
    assert codes(shard.judge(quarters((1, 130)))) == ["LATE_INDEX"]


def test_an_interval_across_a_change_without_an_index_counts_by_the_multiplier_at_its_end() -> None:
    changed = T0 + QUARTER_MS
    versions = (Multiplier(ALWAYS, 1, 1_000), Multiplier(changed, 2, 3_000))
    shard = Shard(NEAR, world(replace(R0, multiplier_milli=3_000, multipliers=versions)))
    judged = shard.judge(quarters((0, 100), (1, 110), (2.5, 120)))
    assert (judged.quantity.tolist(), judged.version.tolist()) == ([0, 10, 30], [1, 1, 2])
    # between them nothing tells what was counted before the change
    assert codes(shard.judge(quarters((2, 115)))) == ["STORED"]
    other = Shard(NEAR, world(replace(R0, multiplier_milli=3_000, multipliers=versions)))
    other.judge(quarters((0, 100), (2, 120)))
    assert codes(other.judge(quarters((0.5, 110)))) == ["LATE_INDEX"]


def test_what_is_remembered_of_a_meter_fits_into_128_bytes_and_comes_back() -> None:
    shard = Shard(NEAR)
    shard.judge(quarters(*((k, 10 * k) for k in range(7))))
    packed = shard.state.block(0)
    assert len(packed) / 512 <= 128 - 16  # an index held for the next one takes 16 more
    again = ShardState()
    again.restore(0, packed)
    assert (again.newest == shard.state.newest).all()
    assert (again.past == shard.state.past).all()
    with pytest.raises(ValueError, match="block"):
        again.restore(0, packed[: -STATE.itemsize])


MILLION = replace(R0, modulus=1_000_000)


@pytest.mark.parametrize(
    ("before", "after", "hours", "energy"),
    [
        (600_000, 0, 0.25, None),  # momentary zero, not a turn
        (600_000, 500, 0.25, None),  # begun anew
        (999_500, 0, 0.25, 500),
        (980_000, 0, 0.25, None),
        (980_000, 100, 0.25, 20_100),
        (999_990, 5, 0.25, 15),
        (400_000, 480_000, 0.25, 80_000),
        (400_000, 950_000, 0.25, None),  # as far as it never gets in a quarter of an hour
        (400_000, 880_000, 720.0, 480_000),  # what lay between was lost for a month
        (700_000, 100_000, 720.0, 400_000),
        (700_000, 300_000, 1_500.0, None),  # more than half a turn
    ],
)
def test_a_register_moves_no_further_than_it_can(
    before: int, after: int, hours: float, energy: int | None
) -> None:
    meter = replace(MILLION, multiplier_milli=1_000)
    shard, counter = Shard(NEAR, world(meter)), AcceptedCounter(PARTITION, PARTITIONS, LIMITS, world(meter))
    quarter = round(hours * 4)
    for seq, row in enumerate(((0, before), (quarter, after))):
        document = quarters(row, meter=meter) | {"seq": seq, "mode": "backfill"}
        judged = shard.judge(document)
        counter.count(orjson.dumps(document))
    falls = Outcome.REGISTER_BACKWARDS if after < before else Outcome.REGISTER_JUMP
    assert judged.code.tolist() == [int(falls) if energy is None else 0]
    assert judged.quantity.tolist() == [energy or 0]
    assert sum(count.quantity_wh for count in counter.take()[0]) == (energy or 0)


def test_a_wrong_high_index_is_refused_and_the_next_one_taken() -> None:
    shard = Shard(NEAR, world(MILLION))
    shard.judge(quarters((0, 400_001), meter=MILLION))
    assert codes(shard.judge(quarters((1, 950_000), meter=MILLION))) == ["REGISTER_JUMP"]
    after = shard.judge(quarters((2, 400_003), meter=MILLION))
    assert (codes(after), after.start.tolist()) == (["STORED"], [T0])


@given(lives(), st.integers(0, 2))
def test_an_odd_index_among_good_ones_leaves_their_sum(life: Life, kind: int) -> None:
    """A momentary zero, an index of another meter, one that is far too high: refused, and nothing else changes."""
    low, high = min(life.indexes), max(life.indexes)
    odd = (0, high + MODULUS // 2, max(low - MODULUS // 2, 0))[kind]
    if life.meter.modulus is None or life.meter.exchanges or high - low > MODULUS // 2 or low < MODULUS // 4:
        return
    if not MODULUS - high > MODULUS // 100:  # near its turn a zero cannot be told from one
        return
    shard, stored = Shard(NEAR, world(life.meter)), 0
    for k, index in enumerate(life.indexes):
        stored += int(shard.judge(quarters((k, index), meter=life.meter)).quantity.sum())
        if k == len(life.indexes) // 2:
            assert codes(shard.judge(quarters((k + 0.5, odd), meter=life.meter)))[0].startswith("REGISTER_")
    assert stored == sum(life.energy)
