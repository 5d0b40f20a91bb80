"""A wrong index of a register struck: the indexes beside it meet, and the ledger balances in both hops."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carbonstream.processors.instant.readings import Frame as InstantFrame
from carbonstream.processors.recomputing import StoredRow
from carbonstream.processors.striking import Strike, strike
from carbonstream.schemas.codes import Mode, Outcome, RowFlag
from carbonstream.schemas.frames import SOURCE_DECLARED, SOURCE_RECOMPUTE
from tests.processors.table import totals_of_rows
from tests.processors.test_recomputing import DIRECTORY, Plant
from tests.processors.test_recomputing import R0 as WITH_MODULUS
from tests.processors.test_registers import Life, deliveries, lives, sent
from tests.processors.world import BY_ID, KNOWN_IDS, QUARTER_MS, T0, Document, frame

MISREAD = 99_999_999
R0 = replace(WITH_MODULUS, modulus=None)


def found(plant: Plant, at: int) -> Strike:
    rows = sorted(
        StoredRow(time, start, quantity, None if raw < 0 else raw, version, quality, flags)
        for time, start, _, quantity, raw, quality, flags, _, version in plant.table.stored_rows()
    )
    return strike(rows, at, plant.meter.history)


def edit(plant: Plant, one: Strike) -> Document:
    meter, at = plant.meter.meter_id, one.struck
    rows = [{"meter": meter, "start": at.start, "end": at.end, "value": None, "unit": "kWh"}]
    replaces = [at.quantity]
    if one.behind is not None:
        interval = one.behind.interval
        rows.append(
            {
                "meter": meter,
                "start": at.start,
                "end": interval.end,
                "value": interval.last / 1_000,
                "unit": "kWh",
            }
        )
        replaces.append(interval.quantity)
    assert at.first is not None
    return frame(
        rows, source=SOURCE_RECOMPUTE, mode="edit", quality=[7] * len(rows),
        first_index=[at.first / 1_000] * len(rows), replaces=replaces,
    )  # fmt: skip


def balanced(plant: Plant) -> None:
    accepted, outcome = plant.hops()
    assert accepted == outcome
    assert plant.table.sums() == totals_of_rows(plant.table.rows, DIRECTORY)
    for i in plant.intervals():
        assert i.first is not None
        assert i.quantity == plant.meter.history.energy(i.start, i.first, i.end, i.last)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Life, list[list[int]], int, int, int]:
    life = draw(lives())
    frames = draw(deliveries(len(life.indexes)))
    known = draw(st.integers(0, len(frames)))
    late = draw(st.integers(known, len(frames)))
    return life, frames, known, late, draw(st.integers(0, 100))


@settings(max_examples=25)
@given(cases())
def test_whatever_index_is_struck_whenever_both_hops_agree_and_every_interval_lies_between_two_indexes(
    case: tuple[Life, list[list[int]], int, int, int],
) -> None:
    life, frames, known, late, which = case
    plant = Plant(life.meter)
    for numbers in frames[:known]:
        plant.send(sent(life, numbers))
    ends = [i.end for i in plant.intervals()]
    one = None
    if ends:
        at = ends[which % len(ends)]
        try:
            one = found(plant, at)
        except ValueError:
            assert at != ends[-1]  # the newest can always be struck
    for numbers in frames[known:late]:  # what comes while the strike is under way
        plant.send(sent(life, numbers))
    if one is not None:
        plant.send(edit(plant, one))
        if plant.outcomes[-1] != Outcome.EDIT:
            assert one.struck.end not in {i.end for i in plant.intervals()}
            assert late > known or plant.table.rows.flags[plant.table.rows.time == one.struck.end].any()
        else:
            assert late > known
    balanced(plant)
    for numbers in frames[late:]:
        plant.send(sent(life, numbers))
    balanced(plant)


@settings(max_examples=12)
@given(st.lists(st.integers(0, 2_000), min_size=3, max_size=12), st.integers(1, 11), st.integers(0, 3))
def test_after_a_misread_newest_index_all_is_as_if_it_had_never_come(
    steps: list[int], at: int, behind: int
) -> None:
    indexes = [1_000 * sum(steps[: k + 1]) for k in range(len(steps))]
    at = min(at, len(indexes) - 1)
    right, wrong = Life(R0, indexes, []), Life(R0, [*indexes[:at], MISREAD * 1_000, *indexes[at + 1 :]], [])
    plant, other = Plant(R0), Plant(R0)
    rest = [k for k in range(len(indexes)) if k != at]
    lost = range(at + 1, min(at + 1 + behind, len(indexes)))
    for k in range(at + 1):
        plant.send(sent(wrong, [k]))
    for k in lost:  # below the misread one
        plant.send(sent(right, [k]))
        assert plant.outcomes[-1] in (Outcome.REGISTER_BACKWARDS, Outcome.DUPLICATE)
    plant.send(edit(plant, found(plant, T0 + at * QUARTER_MS)))
    for k in range(at + 1, len(indexes)):
        plant.send(sent(right, [k]))
    for k in rest:
        other.send(sent(right, [k]))
    assert [(i.end, i.last, i.quantity) for i in plant.intervals()] == [
        (i.end, i.last, i.quantity) for i in other.intervals()
    ]
    balanced(plant)


def test_a_struck_index_between_two_gives_its_energy_to_the_interval_that_spans_it() -> None:
    plant = Plant(R0)
    plant.send(sent(Life(R0, [100_000, 110_000, 190_000, 130_000 + 100_000], []), [0, 1, 2, 3]))
    whole = sum(i.quantity for i in plant.intervals())
    plant.send(edit(plant, found(plant, T0 + 2 * QUARTER_MS)))
    merged = plant.intervals()[-1]
    assert (merged.start, merged.end) == (T0 + QUARTER_MS, T0 + 3 * QUARTER_MS)
    assert sum(i.quantity for i in plant.intervals()) == whole
    void = [row for row in plant.table.stored_rows() if row[6] & RowFlag.VOID]
    assert [(row[0], row[3], row[4]) for row in void] == [(T0 + 2 * QUARTER_MS, 0, -1)]
    balanced(plant)


def test_an_index_that_came_meanwhile_keeps_the_strike_from_being_taken() -> None:
    plant = Plant(R0)
    life = Life(R0, [100, 110, MISREAD * 1_000, MISREAD * 1_000 + 10], [])
    plant.send(sent(life, [0, 1, 2]))
    one = found(plant, T0 + 2 * QUARTER_MS)
    plant.send(sent(life, [3]))
    before = plant.table.stored_rows()
    plant.send(edit(plant, one))
    assert plant.outcomes[-1] == Outcome.EDIT
    assert plant.table.stored_rows() == before
    balanced(plant)


@pytest.mark.parametrize(
    "change",
    [
        {"source": "http/gw-7"},
        {"quality": None},
        {"quality": [7, None]},
        {"first_index": None},
        {"first_index": [0.11, -1]},
        {"first_index": [None, 0.11]},
        {"replaces": [0.5, 20]},
        {"replaces": [20, 0.5]},
        {"start": None},
        {"value": [None, 1e300]},
        {"value": [None, 0.001]},
        {"unit": ["kWh", "t"]},
        {"end": [T0 + 3 * QUARTER_MS, T0 + 9 * QUARTER_MS]},
    ],
)
def test_a_strike_is_taken_whole_or_not_at_all(change: Document) -> None:
    plant = Plant(R0)
    plant.send(sent(Life(R0, [100, 110, 120, 130], []), [0, 1, 2, 3]))
    before = plant.table.stored_rows()
    plant.send(edit(plant, found(plant, T0 + 2 * QUARTER_MS)) | change)
    assert plant.outcomes[-2:] == [Outcome.EDIT] * 2
    assert plant.table.stored_rows() == before
    balanced(plant)


def test_the_first_index_and_a_time_without_an_index_are_refused_with_the_remedy() -> None:
    plant = Plant(R0)
    plant.send(sent(Life(R0, [100, 110], []), [0, 1]))
    with pytest.raises(ValueError, match="record an exchange"):
        found(plant, T0)
    with pytest.raises(ValueError, match="no stored index"):
        found(plant, T0 + 1)


def test_an_index_behind_that_cannot_follow_is_struck_first() -> None:
    plant = Plant(R0)
    life = Life(R0, [100, 110, 120, 130], [])
    plant.send(sent(life, [0, 1, 2, 3]))
    rows = [
        StoredRow(time, start, quantity, None if raw < 0 else raw, version, quality, flags)
        for time, start, _, quantity, raw, quality, flags, _, version in sorted(plant.table.stored_rows())
    ]
    rows[3] = rows[3]._replace(raw_index=50)
    with pytest.raises(ValueError, match="strike that one first"):
        strike(rows, T0 + 2 * QUARTER_MS, plant.meter.history)


def test_a_withdrawn_day_leaves_no_energy_and_no_reading() -> None:
    plant = Plant(BY_ID[KNOWN_IDS[5]])
    row = {"meter": plant.meter.meter_id, "start": T0, "end": T0 + QUARTER_MS, "value": 3.0}
    plant.send(frame([row], source=SOURCE_DECLARED, mode=Mode.BACKFILL.value))
    (before,) = plant.table.stored_rows()
    assert before[3] > 0
    plant.send(frame([row | {"value": None}], source=SOURCE_DECLARED, mode="edit", quality=[7]))
    (after,) = plant.table.stored_rows()
    assert (after[3], after[6] & RowFlag.VOID) == (0, RowFlag.VOID)
    balanced(plant)
    plant.send(frame([row], source=SOURCE_DECLARED, mode=Mode.BACKFILL.value))
    (again,) = plant.table.stored_rows()
    assert (again[3], again[6] & RowFlag.VOID) == (before[3], 0)
    balanced(plant)


def test_what_is_void_is_no_reading_to_the_instant_rules() -> None:
    column = dict.fromkeys(("quantity", "quality", "code"), 0)
    answer = column | {
        "source": SOURCE_RECOMPUTE, "mode": "edit", "tick": T0, "meter": [0, 0], "numbers": [64],
        "start": [T0, T0], "end": [T0 + QUARTER_MS, T0 + 2 * QUARTER_MS],
    }  # fmt: skip
    assert InstantFrame.of(answer | {"void": [0]}).end.tolist() == [T0 + 2 * QUARTER_MS]
    assert len(InstantFrame.of(answer)) == 2
