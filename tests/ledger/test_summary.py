"""Where hops differ, the first that lacks something is named."""

from __future__ import annotations

from datetime import date

import pytest

from carbonstream.ops.balance import summary
from carbonstream.ops.chain import Break
from carbonstream.processors.ledger import Count
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
    account = summary(lines)
    assert not account["balanced"]
    [found] = account["differences"]
    assert found["difference"] == {"hop": hop, "readings": readings, "kwh": kwh}
    assert (found["source"], found["site"], found["day"]) == ("http/gw-7", "330502-a", "2026-03-01")


def test_moves_within_the_sink_are_no_difference() -> None:
    lines = [accepted(3, 300), became(Outcome.STORED, 1, 100, 3), became(Outcome.SUPERSEDED, 2, 200, 0)]
    account = summary(lines)
    assert account["balanced"]
    assert account["differences"] == []
    assert [x["readings"] for x in account["by"] if x["hop"] == "converted"] == [3]


def in_flight(readings: int, site: str = KEY[1]) -> Count:
    return Count(KEY[0], site, (DAY - date(1970, 1, 1)).days, 0, readings, 0)


def test_what_the_sink_has_not_reached_is_in_flight_and_no_difference() -> None:
    lines = [accepted(3, 300), became(Outcome.STORED, 1, 100, 1)]
    account = summary(lines, [in_flight(2)])
    assert account["balanced"]
    assert account["differences"] == []
    assert account["in_flight"] == {"readings": 2, "kwh": "0.2"}


@pytest.mark.parametrize(
    ("behind", "hop", "readings"),
    [([in_flight(1)], "converted", 1), ([in_flight(3)], "accepted", 1), ([in_flight(2, "330502-b")], "converted", 2)],
    ids=["one more is missing", "one is stored that nobody counted", "of another site"],
)  # fmt: skip
def test_what_is_in_flight_hides_no_difference(behind: list[Count], hop: str, readings: int) -> None:
    account = summary([accepted(3, 300), became(Outcome.STORED, 1, 100, 1)], behind)
    assert not account["balanced"]
    assert {"hop": hop, "readings": readings, "kwh": "0"} in [d["difference"] for d in account["differences"]]


def test_a_broken_chain_is_no_balance_though_all_that_is_missing_is_in_flight() -> None:
    lines = [accepted(3, 300), became(Outcome.STORED, 1, 100, 1)]
    assert not summary(lines, [in_flight(2)], breaks=[Break(3, 17, 17, 40)])["balanced"]
