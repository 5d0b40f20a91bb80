"""Targets of intensities and change rates: read what they rest on, and judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import psycopg

from carbonstream.connectors import telemetry
from carbonstream.processors.indicators import VALUE_ADDED
from carbonstream.processors.ratios import Months, ValueAdded, months_of
from carbonstream.processors.ratios_record import RatioSight, RatioVerdict, judge_ratio
from carbonstream.processors.targets import Target
from carbonstream.processors.warnings import Transition
from carbonstream.processors.warnings_judging import Sight
from carbonstream.schemas.periods import SHANGHAI, to_ms

Connection = psycopg.Connection[Any]
VALUES: Final = """
select month, value, unit, provisional, loaded_at from activity
where entity = %s and indicator = %s and month >= %s
"""


def ratio_verdicts(
    connection: Connection,
    sight: Sight,
    told: Mapping[str, Sequence[Transition]],
    look: Callable[[Target], Sight],
) -> list[RatioVerdict]:
    """What must be told of a target. look: what is known of the period that it is compared with."""
    target = sight.target
    other = target.compared_with
    first = target.period if other is None else other.period
    values = _values(connection, target.entity, first)
    in_period = [
        v for month, v in values.items() if target.period <= month and month_start(month) < target.end
    ]
    if any(value.in_1e4_cny(target.price_year) is None for value in in_period):
        telemetry.FAULTS.labels("warn", "value added at other prices than its target").inc()
    before = None if other is None else _months(look(other), values)
    return judge_ratio(RatioSight(target, _months(sight, values), before, sight.rules), told)


def month_start(month: date) -> int:
    """UTC ms at which a local month begins."""
    return to_ms(datetime(month.year, month.month, 1, tzinfo=SHANGHAI))


def _months(sight: Sight, values: Mapping[date, ValueAdded]) -> Months:
    target = sight.target
    return months_of(target.period, target.days, sight.closed, sight.daily, values, target.price_year)


def _values(connection: Connection, entity: str, first: date) -> dict[date, ValueAdded]:
    rows = connection.execute(VALUES, (entity, VALUE_ADDED, first))
    return {
        month: ValueAdded(month, value, unit, provisional, to_ms(loaded_at))
        for month, value, unit, provisional, loaded_at in rows
    }
