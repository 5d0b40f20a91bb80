"""Which of a source's numbers were seen, whatever order they come in."""

from __future__ import annotations

from itertools import pairwise

import orjson
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.sequences import ANEW, KEPT, Runs, runs_of, skipped, take
from carbonstream.schemas.codes import Outcome
from tests.processors.stream import Record, Worker, counted
from tests.processors.world import KNOWN_IDS, T0, frame


def taken(numbers: list[int]) -> tuple[list[bool], Runs]:
    runs: Runs = []
    return [take(runs, number) for number in numbers], runs


@given(st.lists(st.integers(0, 25), max_size=80))
def test_a_number_is_new_once_and_only_once(numbers: list[int]) -> None:
    new, runs = taken(numbers)
    assert new == [number not in numbers[:i] for i, number in enumerate(numbers)]
    held = [n for first, last in runs for n in range(first, last + 1)]
    assert held == sorted(set(numbers))
    assert all(b[0] > a[1] + 1 for a, b in pairwise(runs))
    assert runs_of(orjson.loads(orjson.dumps(runs))) == runs


@given(st.lists(st.integers(0, 200), max_size=120))
def test_of_many_runs_only_what_lies_between_the_lowest_may_be_taken_for_seen(numbers: list[int]) -> None:
    new, runs = taken(numbers)
    assert len(runs) <= KEPT
    for i, number in enumerate(numbers):
        assert not (new[i] and number in numbers[:i])


def test_what_was_kept_as_the_highest_number_was_all_seen() -> None:
    runs = runs_of(41)
    assert [take(runs, n) for n in (0, 41, 42, 44)] == [False, False, True, True]


def test_a_gap_is_told_and_a_new_beginning_is_none() -> None:
    runs: Runs = [[5, 7]]
    assert [skipped(runs, n) for n in (3, 6, 8, 9, 8 + ANEW)] == [None, None, None, (8, 8), None]
    assert skipped([], 9) is None


def test_two_processes_of_one_source_with_folders_of_their_own_lose_nothing() -> None:
    begins = (T0 - 86_400_000) << 10, T0 << 10
    records = [
        Record(
            orjson.dumps(
                frame([{"meter": KNOWN_IDS[n % 3], "end": T0 + n, "value": 1}], seq=begins[n % 2] + n // 2)
            )
        )
        for n in range(6)
    ]
    worker = Worker.start({})
    for offset, record in enumerate([*records, *records[:2]]):
        worker.take(offset, record)
    codes = [orjson.loads(worker.answers[offset])["code"] for offset in range(8)]
    copy = int(Outcome.DUPLICATE)
    assert [c in (copy, [copy]) for c in codes] == [False] * 6 + [True] * 2
    assert counted([*records, *records[:2]]).take_gaps() == []
