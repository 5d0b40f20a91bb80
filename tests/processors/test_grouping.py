"""Grouped sums against a dictionary."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.grouping import grouped

WHOLE = st.integers(-3, 3) | st.sampled_from([2**62, -(2**62), 2**31, 10**12])


@given(st.integers(1, 4).flatmap(lambda keys: st.lists(
    st.tuples(*[WHOLE] * keys, *[st.integers(-(10**15), 10**15)] * 2), min_size=1, max_size=20
)))  # fmt: skip
def test_sums_by_key_are_those_of_a_dictionary(entries: list[tuple[int, ...]]) -> None:
    sums: defaultdict[tuple[int, ...], list[int]] = defaultdict(lambda: [0, 0])
    for *key, a, b in entries:
        total = sums[tuple(key)]
        total[:] = total[0] + a, total[1] + b
    columns = [np.array(column, np.int64) for column in zip(*entries, strict=True)]
    keys, found = grouped(columns[:-2], columns[-2:])
    got = zip(
        zip(*(k.tolist() for k in keys), strict=True),
        zip(*(s.tolist() for s in found), strict=True),
        strict=True,
    )
    assert list(got) == [(key, tuple(sums[key])) for key in sorted(sums)]


def test_nothing_sums_up_to_nothing() -> None:
    none = np.empty(0, np.int64)
    assert [len(column) for columns in grouped([none], [none]) for column in columns] == [0, 0]
