"""Where hops differ, the first that lacks something is named."""

from __future__ import annotations

from datetime import date

import pytest

from carbonstream.ops.balance import summary
from carbonstream.ops.chain import Break
from carbonstream.schemas.codes import Outcome

DAY = date(2026, 3, 1)
KEY = ("http/gw-7", "330502-a", DAY)


def accepted(readings: int, wh: int) -> tuple[object, ...]:
    return (*KEY, "accepted", 0, readings, wh, 0)


def became(outcome: Outcome, readings: int, wh: int, converted: int) -> tuple[object, ...]:
    return (*KEY, "outcome", int(outcome), readings, wh, converted)


@pytest.mark.parametrize(
    ("lines", "hop", "readings", "kwh"),
    [
        ([accepted(10, 5_000), became(Outcome.STORED, 7, 3_500, 7)], "converted", 3, "1.5"),
        ([accepted(10, 5_000), became(Outcome.STORED, 9, 4_500, 10)], "stored", 1, "0.5"),
        ([accepted(5, 2_500), became(Outcome.STORED, 6, 3_000, 6)], "accepted", 1, "0.5"),
        ([accepted(5, 2_500), became(Outcome.STORED, 5, 2_400, 5)], "converted", 0, "0.1"),
    ],
    ids=["not answered", "not stored", "not counted", "another quantity"],
)
def test_a_difference_names_its_hop(
    lines: list[tuple[object, ...]], hop: str, readings: int, kwh: str
) -> None:
    account = summary(lines, behind=0)
    assert not account["balanced"]
    [found] = account["differences"]
    assert found["difference"] == {"hop": hop, "readings": readings, "kwh": kwh}
    assert (found["source"], found["site"], found["day"]) == ("http/gw-7", "330502-a", "2026-03-01")


def test_moves_within_the_sink_are_no_difference() -> None:
    lines = [accepted(3, 300), became(Outcome.STORED, 1, 100, 3), became(Outcome.SUPERSEDED, 2, 200, 0)]
    account = summary(lines, behind=0)
    assert account["balanced"]
    assert account["differences"] == []
    assert [x["readings"] for x in account["by"] if x["hop"] == "converted"] == [3]


def test_a_broken_chain_is_no_balance_though_all_that_is_missing_is_in_flight() -> None:
    lines = [accepted(3, 300), became(Outcome.STORED, 1, 100, 1)]
    assert summary(lines, behind=2)["balanced"]
    assert not summary(lines, behind=2, breaks=[Break(3, 17, 17, 40)])["balanced"]
