"""A partition has one writer, and loses it with its session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from carbonstream.connectors.sinks.timescale.ownership import APPLICATION, live_sinks, rebalance
from carbonstream.schemas.settings import Settings


@contextmanager
def session(database: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database.database, application_name=APPLICATION) as connection:
        yield connection


def test_two_sinks_share_the_partitions_and_own_none_together(database: Settings) -> None:
    with session(database) as one, session(database) as two:
        assert live_sinks(one) == 2
        mine, others = rebalance(one, 5, set()), rebalance(two, 5, set())
        assert mine == {0, 1, 2}
        assert others == {3, 4}
        assert rebalance(one, 5, mine) == mine


def test_a_sink_that_comes_later_gets_what_the_first_gives_back(database: Settings) -> None:
    with session(database) as one:
        mine = rebalance(one, 4, set())
        assert mine == {0, 1, 2, 3}
        with session(database) as two:
            assert rebalance(two, 4, set()) == set()
            mine = rebalance(one, 4, mine)
            assert mine == {0, 1}
            assert rebalance(two, 4, set()) == {2, 3}


def test_a_killed_session_loses_its_partitions_and_its_transaction(database: Settings) -> None:
    with session(database) as other:
        with session(database) as doomed:
            assert rebalance(doomed, 2, set()) == {0}
            doomed.execute("insert into carrier values (999, 'x', 'x', 'x', 'kWh', 1, 'x')")
            other.execute("select pg_terminate_backend(%s, 10000)", (doomed.info.backend_pid,))
            other.commit()
            with pytest.raises(psycopg.OperationalError):
                doomed.execute("select 1")
        assert rebalance(other, 2, set()) == {0, 1}
        assert other.execute("select from carrier where number = 999").fetchall() == []
