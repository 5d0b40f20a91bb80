"""A process that stood still longer than its session must not write: others have its partitions by then."""

from __future__ import annotations

import pytest

from carbonstream.streams.watchdog import Stall


def test_a_turn_in_time_goes_on() -> None:
    stall = Stall(10.0)
    for now in (5.0, 5.01, 14.0, 24.0):
        stall.turn(now)


def test_standing_still_is_noticed_at_the_next_turn() -> None:
    stall = Stall(10.0)
    stall.turn(100.0)
    with pytest.raises(TimeoutError, match=r"stood still for 10\.5 s"):
        stall.turn(110.5)
