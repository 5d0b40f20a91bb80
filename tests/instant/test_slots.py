"""Readings in any order within the permitted lateness give the same slots in the same order, and lose nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.instant.readings import LATENESS_MS
from carbonstream.processors.instant.slots import Slot, Slots
from carbonstream.schemas.periods import MINUTE_MS

T0 = 1_704_067_200_000
HOUR = 60 * MINUTE_MS
QUARTER_OF_AN_HOUR = 15 * MINUTE_MS
LONG_AFTER = T0 + 400 * HOUR
Piece = tuple[int, int, int]


@st.composite
def shuffled(draw: st.DrawFn) -> tuple[list[Piece], list[Piece]]:
    """Intervals one after the other with gaps, and the same delivered up to LATENESS_MS late."""
    at, pieces = T0 + draw(st.integers(0, HOUR)), []
    for length in draw(st.lists(st.integers(1, QUARTER_OF_AN_HOUR), min_size=1, max_size=25)):
        if draw(st.integers(0, 4)):
            pieces.append((at, at + length, draw(st.integers(0, 10**9))))
        at += length
    late = {piece: piece[1] + draw(st.integers(0, LATENESS_MS - 1)) for piece in pieces}
    return pieces, sorted(pieces, key=late.__getitem__)


def given_out(pieces: list[Piece], length: int = QUARTER_OF_AN_HOUR) -> list[Slot]:
    slots, found = Slots(length), []
    for start, end, quantity in pieces:
        assert slots.add(start, end, quantity, is_live=True)
        found += slots.take(0)
    return found + list(slots.take(LONG_AFTER))


@given(shuffled())
def test_the_order_of_delivery_changes_no_slot(delivered: tuple[list[Piece], list[Piece]]) -> None:
    in_order, late = delivered
    assert [s for s in given_out(late) if s.quantity is not None] == [
        s for s in given_out(in_order) if s.quantity is not None
    ]


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=30), st.integers(1, 4 * HOUR))
def test_what_readings_without_a_gap_hold_stands_in_the_slots(quantities: list[int], length: int) -> None:
    pieces = [(T0 + i * length, T0 + (i + 1) * length, q) for i, q in enumerate(quantities)]
    found = {s.start: s.quantity for s in given_out(pieces)}
    whole = {start: q for start, q in found.items() if q is not None}
    assert sum(whole.values()) <= sum(quantities)
    if len(quantities) * length % QUARTER_OF_AN_HOUR == 0:
        assert sum(whole.values()) == sum(quantities)


@given(shuffled(), st.integers(0, 25))
def test_a_checkpoint_between_any_two_readings_changes_nothing(
    delivered: tuple[list[Piece], list[Piece]], cut: int
) -> None:
    pieces = delivered[1]
    slots, found = Slots(QUARTER_OF_AN_HOUR), []
    for i, (start, end, quantity) in enumerate(pieces):
        if i == cut:
            slots = Slots.unpack(slots.pack())
        slots.add(start, end, quantity, is_live=True)
        found += slots.take(0)
    assert found + list(slots.take(LONG_AFTER)) == given_out(pieces)


def test_an_interval_told_again_replaces_itself() -> None:
    slots = Slots(QUARTER_OF_AN_HOUR)
    half = QUARTER_OF_AN_HOUR // 2
    slots.add(T0, T0 + half, 100, is_live=True)
    slots.add(T0, T0 + half, 7, is_live=True)
    slots.add(T0 + half, T0 + 2 * half, 1, is_live=True)
    assert list(slots.take(LONG_AFTER))[-1] == Slot(T0, 8)


def test_a_reading_later_than_permitted_is_refused() -> None:
    slots = Slots(QUARTER_OF_AN_HOUR)
    slots.add(T0 + HOUR, T0 + HOUR + QUARTER_OF_AN_HOUR, 1, is_live=True)
    assert not slots.add(T0, T0 + QUARTER_OF_AN_HOUR, 1, is_live=True)


def test_an_import_is_not_hurried_by_the_clock() -> None:
    slots = Slots(QUARTER_OF_AN_HOUR)
    slots.add(T0, T0 + MINUTE_MS, 1, is_live=False)
    assert list(slots.take(LONG_AFTER)) == []
