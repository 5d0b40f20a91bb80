"""A restated factor is one notice, that of its review item, however many conditions it restates."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from carbonstream.connectors.sinks.notify.enqueueing import enqueue_changes
from carbonstream.processors.notices import Change
from carbonstream.schemas import topics
from carbonstream.schemas.periods import local_text, to_ms
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.warnings import Warning as WarningRecord
from carbonstream.streams.warn_book import write_warnings
from carbonstream.streams.warn_operator import operate

from .changes import Clock, record, subscribed

Connection = psycopg.Connection[Any]
CONDITIONS = 300
TABLES = """
truncate warning, warning_history, warning_mark, warning_operator, outbox;
alter table warning_operation disable trigger append_only;
delete from warning_operation;
alter table warning_operation enable trigger append_only
"""
FACTOR = """
insert into coefficient (carrier, scope, month, kind, value, unit, document, published_at, approver)
values (1, '330502', '2024-01-01', 'electricity_average', 0.5, 'kgCO2/kWh', 'a notice', %s, 'Li Na')
on conflict (carrier, kind, scope, month, published_at) do update set document = excluded.document returning id
"""
LOCK = """
insert into locked_period (entity, month, locked_by, document, locked_at, parts)
select number, '2024-02-01', 'Li Na', 'report', %s, '[]' from entity where id = 'site:b-1' on conflict do nothing
"""
TAKEN = "delete from outbox where topic = %s returning id, value"


@pytest.fixture
def clock(connection: Connection) -> Clock:
    connection.execute(TABLES)
    subscribed(connection, "https://a.example/hook", enterprise=None, operator_group="control-room")
    return Clock()


def published(connection: Connection, at: datetime) -> int:
    """A factor that is published now; its id."""
    row = connection.execute(FACTOR, (at,)).fetchone()
    assert row is not None
    return int(row[0])


def judged(
    warning: str, version: int, clock: Clock, until: datetime, coefficient: int, **other: Any
) -> WarningRecord:
    """As warn tells a target that it judges now, with this coefficient in its total."""
    snapshot = {
        "parts": [{"coefficient": coefficient}], "until": local_text(until),
        "target": {"grain": "quarter", "unit": "kg"},
    }  # fmt: skip
    given = record(warning, version, changed_at=local_text(clock()), snapshot=snapshot)
    return WarningRecord.model_validate(given | other)


def tell(database: Settings, clock: Clock, *records: WarningRecord) -> None:
    """The rules tell these, warn lays them on the operators' desk, and notify reads what the outbox has."""
    with psycopg.connect(database.database) as own:
        write_warnings(own, records)
        operate(own, to_ms(clock()), ())
        rows = sorted(own.execute(TAKEN, (topics.WARNINGS,)).fetchall())
        changes = [Change.of(value) for _, value in rows if "operation" not in value]
        own.commit()
        enqueue_changes(own, changes, {0: ("t", 1)}, clock())


def told(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute("select warning, version from notice_change order by 1, 2").fetchall()


def test_a_factor_restated_for_three_hundred_conditions_is_one_notice(
    connection: Connection, database: Settings, clock: Clock
) -> None:
    factor, yesterday = published(connection, clock()), clock() - timedelta(days=1)
    tell(database, clock, *(judged(f"w{n}", 1, clock, yesterday, factor) for n in range(CONDITIONS)))
    assert connection.execute("select count(*) from notice").fetchone() == (1,)
    ((review, content),) = connection.execute("select warning, record from notice_change").fetchall()
    assert review == f"restatement:region:330502:2024-01:{to_ms(clock())}"
    assert (content["snapshot"]["document"], content["snapshot"]["children_at_first"]) == (
        "a notice",
        CONDITIONS,
    )


def test_the_end_of_what_was_restated_is_not_told_either(
    connection: Connection, database: Settings, clock: Clock
) -> None:
    factor, yesterday = published(connection, clock()), clock() - timedelta(days=1)
    tell(database, clock, judged("w", 1, clock, yesterday, factor))
    before = told(connection)
    clock.turn(days=1)
    tell(database, clock, judged("w", 2, clock, clock(), factor, state="cleared"))
    assert told(connection) == before
    assert [warning.split(":")[0] for warning, _ in before] == ["restatement"]


def test_what_happens_after_a_factor_was_published_is_told(
    connection: Connection, database: Settings, clock: Clock
) -> None:
    factor = published(connection, clock())
    clock.turn(minutes=6)
    tell(database, clock, judged("w", 1, clock, clock() - timedelta(minutes=1), factor))
    assert told(connection) == [("w", 1)]


def test_a_factor_that_ends_what_was_told_ends_it_with_the_receiver(
    connection: Connection, database: Settings, clock: Clock
) -> None:
    old, yesterday = published(connection, clock() - timedelta(days=9)), clock() - timedelta(days=1)
    tell(database, clock, judged("w", 1, clock, yesterday, old))
    clock.turn(hours=1)
    new = published(connection, clock())
    tell(database, clock, judged("w", 2, clock, yesterday, new, state="cleared"))
    assert told(connection)[-2:] == [("w", 1), ("w", 2)]


def test_what_is_told_of_a_month_that_is_locked_is_quiet(
    connection: Connection, database: Settings, clock: Clock
) -> None:
    connection.execute(LOCK, (clock(),))
    of_month: dict[str, Any] = {
        "snapshot": {"target": {"grain": "month", "unit": "kg"}},
        "period": "2024-02-01",
    }
    locked, other = (
        WarningRecord.model_validate(
            record(id_, 1, entity=f"site:{id_}", changed_at=local_text(clock())) | of_month
        )
        for id_ in ("b-1", "a-1")
    )
    tell(database, clock, locked, other)
    assert told(connection) == [("a-1", 1)]
