"""judge against the same decisions taken one reading at a time."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from carbonstream.processors.checks import judge
from carbonstream.processors.frames import Frame, parse_record
from carbonstream.processors.judged import Judged
from carbonstream.processors.meters import NEVER, ShardState
from carbonstream.processors.reference import Reference
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.periods import DAY_MS
from tests.processors.plain import Newest, PlainConvert
from tests.processors.world import (
    BY_ID,
    DAILY,
    FAR,
    HOURLY,
    KNOWN_IDS,
    LIMITS,
    NEAR,
    QUARTER_MS,
    T0,
    Document,
    frame,
    frames,
    reference,
    sound_rows,
)

COLUMNS = ("code", "start", "end", "quantity", "raw_index", "quality")
REFERENCE = reference()
R0, R2, I0, I1, H0 = KNOWN_IDS[0], KNOWN_IDS[2], KNOWN_IDS[4], KNOWN_IDS[5], KNOWN_IDS[6]


class Shard:
    """One shard as convert keeps it."""

    def __init__(self, number: int, known: Reference = REFERENCE) -> None:
        self.meters = known.shard(number)
        self.state = ShardState()

    def judge(self, document: Document, now: int | None = None) -> Judged:
        record = parse_record(orjson.dumps(document), "")
        assert isinstance(record, Frame), record
        judged = judge(record, self.meters.lookup(record.meters), self.state, now, LIMITS)
        if len(judged.updates):
            self.state.put(judged.updates, judged.newest, judged.past)
        return judged

    def newest(self) -> dict[str, Newest]:
        found = {}
        for id_, slot in self.meters.slots.items():
            if slot < len(self.state.newest) and self.state.newest["end"][slot] != NEVER:
                entry = self.state.newest[slot]
                found[id_] = Newest(int(entry["end"]), int(entry["start"]), int(entry["raw"]))
        return found


def codes(judged: Judged) -> list[str]:
    return [Outcome(code).name for code in judged.code.tolist()]


CLOCKS = st.one_of(st.none(), st.integers(0, 8).map(lambda k: T0 + k * QUARTER_MS))


@given(st.lists(st.tuples(frames() | frames(sound_rows()), CLOCKS), min_size=1, max_size=5))
def test_judge_decides_as_if_it_took_one_reading_after_the_other(
    stream: list[tuple[Document, int | None]],
) -> None:
    shards = {number: Shard(number) for number in (NEAR, FAR)}
    plain = {
        number: PlainConvert({i: m for i, m in BY_ID.items() if m.number % 64 == number}, LIMITS)
        for number in (NEAR, FAR)
    }
    for document, now in stream:
        number = document["shard"]
        judged = shards[number].judge(document, now)
        plain[number].cuts = []
        verdicts = plain[number].judge(document, now)
        cuts = judged.adjusted[["row", "start", "end", "quantity"]].tolist()
        assert sorted(cuts) == sorted(plain[number].cuts)
        for row, verdict in enumerate(verdicts):
            for column in COLUMNS:
                assert getattr(judged, column)[row] == getattr(verdict, column), (row, column, verdict)
        assert shards[number].newest() == plain[number].newest


@given(st.lists(frames(sound_rows()), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_the_order_within_a_frame_makes_no_difference_to_a_register(
    stream: list[Document], random: object
) -> None:
    one, other = Shard(NEAR), Shard(NEAR)
    for document in stream:
        document["shard"] = NEAR
        n = len(document["end"])
        order = list(range(n))
        random.shuffle(order)  # type: ignore[attr-defined]
        columns = [c for c in ("meter", "end", "value", "quality") if isinstance(document.get(c), list)]
        shuffled = document | {c: [document[c][i] for i in order] for c in columns}
        assume(len({(m, e) for m, e in zip(document["meter"], document["end"], strict=True)}) == n)
        judged, again = one.judge(document), other.judge(shuffled)
        for column in COLUMNS:
            assert [getattr(judged, column)[i] for i in order] == getattr(again, column).tolist()
    assert one.newest() == other.newest()


def test_a_unit_that_is_not_known_is_not_taken_for_another_beside_readings_without_a_unit() -> None:
    rows = [
        {"meter": H0, "end": T0 + i * QUARTER_MS, "value": 1, "unit": unit}
        for i, unit in enumerate([None, "foo"])
    ]
    judged = Shard(NEAR).judge(frame(rows))
    assert codes(judged) == ["STORED", "UNIT"]
    assert judged.quantity.tolist() == [1_000, 0]


@pytest.mark.parametrize("start", ["x", 1.5, 2**60, T0, T0 + 1])
@pytest.mark.parametrize("meter", [R0, I0])
def test_a_start_that_cannot_be_is_an_interval_that_cannot_be(meter: str, start: object) -> None:
    assert codes(Shard(NEAR).judge(frame([{"meter": meter, "end": T0, "value": 1, "start": start}]))) == [
        "INTERVAL"
    ]


ESTIMATES: Document = {"mode": "estimate", "source": "estimator"}


def test_an_estimate_is_taken_with_its_quality_and_is_what_it_says_after_the_multiplier() -> None:
    rows = [{"meter": I1, "end": T0 + i * QUARTER_MS, "value": 2.5, "unit": "kWh"} for i in (1, 2)]
    judged = Shard(NEAR).judge(frame(rows, quality=[8, 9], **ESTIMATES))
    assert codes(judged) == ["STORED", "STORED"]
    assert judged.quality.tolist() == [8, 9]
    assert judged.quantity.tolist() == [2_500, 2_500]


@pytest.mark.parametrize("end", [T0 - QUARTER_MS, T0, T0 + QUARTER_MS])
def test_a_measurement_is_no_duplicate_of_an_estimate_wherever_that_lies(end: int) -> None:
    shard = Shard(NEAR)
    shard.judge(frame([{"meter": I0, "end": T0, "value": 1}]))
    before = shard.newest()
    shard.judge(frame([{"meter": I0, "end": end, "value": 2}], quality=9, **ESTIMATES))
    assert shard.newest() == before
    assert codes(shard.judge(frame([{"meter": I0, "end": end, "value": 2}]))) == ["STORED"]


@pytest.mark.parametrize(
    "head",
    [
        {"quality": 9},
        {"quality": 0},
        {"quality": 9, "mode": "backfill"},
        {"quality": 9, "mode": "estimate"},
        {"quality": 9, "source": "estimator"},
        {"source": "estimator"},
        ESTIMATES,
        ESTIMATES | {"quality": 0},
        ESTIMATES | {"quality": "9"},
    ],
)
def test_a_reading_that_is_neither_measured_nor_an_estimate_of_the_estimator_is_refused(
    head: Document,
) -> None:
    shard = Shard(NEAR)
    assert codes(shard.judge(frame([{"meter": I0, "end": T0, "value": 2}], **head))) == ["ESTIMATE"]
    assert shard.newest() == {}


@pytest.mark.parametrize("meter", [R0, f"{I0}x"])
def test_only_registered_interval_meters_are_estimated(meter: str) -> None:
    shard = Shard(NEAR)
    judged = shard.judge(frame([{"meter": meter, "end": T0, "value": 2}], quality=9, **ESTIMATES))
    assert codes(judged) == ["ESTIMATE"]
    assert shard.newest() == {}


def test_of_two_indexes_at_one_instant_the_first_counts() -> None:
    shard = Shard(NEAR)
    rows = [{"meter": R0, "end": T0, "value": value} for value in (5, 4, 5)]
    assert codes(shard.judge(frame(rows))) == ["BASELINE", "LATE_INDEX", "DUPLICATE"]


def test_a_register_rolls_over_at_its_modulus_within_one_frame() -> None:
    rows = [
        {"meter": R2, "end": T0 + i * QUARTER_MS, "value": value} for i, value in enumerate((990, 10, 40))
    ]
    judged = Shard(NEAR).judge(frame(rows))
    assert codes(judged) == ["BASELINE", "STORED", "STORED"]
    # floor(1010 x 1.333) - floor(990 x 1.333), then from 10 to 40
    assert judged.quantity.tolist() == [0, 1346 - 1319, 53 - 13]


def test_a_reading_that_is_not_taken_tells_what_it_claims() -> None:
    rows = [
        {"meter": I0, "end": T0, "value": 2},
        {"meter": I0, "end": T0, "value": 2},
        {"meter": I0, "end": 5, "value": 3},
        {"meter": I0, "end": T0, "value": -3},
        {"meter": I0, "end": T0, "value": 4, "unit": "m3"},
        {"meter": R0, "end": 5, "value": 6},
    ]
    judged = Shard(NEAR).judge(frame(rows))
    assert codes(judged) == ["STORED", "DUPLICATE", "ANCIENT", "NEGATIVE", "UNIT", "ANCIENT"]
    assert judged.quantity.tolist() == [2_000, 2_000, 3_000, 0, 0, 0]


def test_a_meter_tells_no_longer_intervals_than_its_own_unless_they_are_days() -> None:
    """Or an hourly file over quarters of an hour would be summed twice."""
    rows = [
        {"meter": I0, "start": T0, "end": T0 + 4 * QUARTER_MS, "value": 4},
        {"meter": I0, "start": T0, "end": T0 + QUARTER_MS, "value": 1},
        {"meter": HOURLY, "start": T0, "end": T0 + QUARTER_MS, "value": 1},
        {"meter": DAILY, "start": T0 - 31 * DAY_MS, "end": T0, "value": 1},
    ]
    judged = Shard(NEAR).judge(frame(rows, mode="backfill"))
    assert codes(judged) == ["INTERVAL", "STORED", "STORED", "STORED"]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=12), st.data())
def test_however_indexes_are_cut_into_frames_their_quantities_sum_up_to_last_less_first(
    steps: list[int], data: st.DataObject
) -> None:
    meter = data.draw(st.sampled_from([m for m in BY_ID.values() if m.register and m.number % 64 == NEAR]))
    most = (meter.modulus or 10**11) // 120  # all of them together at most a tenth of a turn
    indexes = [sum(step * most // 10**9 for step in steps[: i + 1]) for i in range(len(steps))]
    unit = {"electricity": "Wh", "natural_gas": "L"}["electricity" if meter.carrier == 1 else "natural_gas"]
    rows = [
        {"meter": meter.meter_id, "end": T0 + i * QUARTER_MS, "value": index, "unit": unit}
        for i, index in enumerate(indexes)
    ]
    shard, stored = Shard(NEAR), 0
    while rows:
        size = data.draw(st.integers(1, len(rows)))
        part, rows = data.draw(st.permutations(rows[:size])), rows[size:]
        stored += int(shard.judge(frame(list(part))).quantity.sum())
    milli = meter.multiplier_milli
    assert stored == indexes[-1] * milli // 1000 - indexes[0] * milli // 1000
