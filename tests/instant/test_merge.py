"""Partitions are read in the order of their ticks, however far one is ahead of another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.instant.merge import Merge

PARTITIONS, TICKS = 3, 5


def records() -> dict[int, list[tuple[int | None, str]]]:
    """Of each partition: a frame before each tick."""
    return {
        n: [entry for t in range(1, TICKS + 1) for entry in ((None, f"{n} before {t}"), (t, f"{n} tick {t}"))]
        for n in range(PARTITIONS)
    }


@given(st.lists(st.integers(0, PARTITIONS - 1), min_size=60, max_size=60))
def test_nothing_comes_out_before_what_happened_earlier_elsewhere(turns: list[int]) -> None:
    merge: Merge[str] = Merge(dict.fromkeys(range(PARTITIONS), 0))
    waiting, out = records(), []
    for n in [*turns, *sorted(list(range(PARTITIONS)) * 2 * TICKS)]:
        if waiting[n]:
            merge.put(n, *waiting[n].pop(0))
        for partition, record in merge.take():
            out.append((partition, record))
            assert max(merge.ticks.values()) - merge.now <= 1
    assert len(out) == PARTITIONS * TICKS * 2
    assert merge.now == TICKS
    for partition, all_ in records().items():
        assert [record for n, record in out if n == partition] == [record for _, record in all_]


def test_a_partition_that_stands_still_holds_the_others_back() -> None:
    merge: Merge[str] = Merge({0: 0, 1: 0})
    merge.put(0, 1, "tick 1")
    merge.put(0, None, "after it")
    assert list(merge.take()) == [(0, "tick 1")]
    assert (merge.now, merge.waiting(0)) == (0, 1)
    merge.put(1, 1, "tick 1")
    assert [record for _, record in merge.take()] == ["tick 1", "after it"]
