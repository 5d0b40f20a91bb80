"""A partition with much to store does not hold the others up."""

from __future__ import annotations

from collections import deque

import structlog
from confluent_kafka import Message

from carbonstream.connectors.sinks.timescale.sink import Reader
from carbonstream.processors.rows import Position
from carbonstream.schemas.settings import Settings


def test_partitions_take_turns_and_each_keeps_its_order() -> None:
    reader = Reader(
        Settings(), "carbon.emissions", {n: Position() for n in range(3)}, "", structlog.get_logger()
    )
    sent = {n: [Message() for _ in range(count)] for n, count in ((0, 4), (1, 1), (2, 2))}
    reader._read_ahead = {n: deque(messages) for n, messages in sent.items()}
    taken = [reader._take_turn() for _ in range(5)]
    reader._read_ahead.setdefault(1, deque()).append(late := Message())
    taken += [reader._take_turn() for _ in range(3)]
    assert [n for n, _ in taken] == [0, 1, 2, 0, 2, 0, 1, 0]
    for n, messages in sent.items():
        mine = [message for number, message in taken if number == n]
        assert mine == messages + ([late] if n == 1 else [])
    assert reader._read_ahead == {}
