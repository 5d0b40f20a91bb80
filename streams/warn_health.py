"""Alarm health as /metrics: what the last hour put on the operators, and how warnings stand."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from prometheus_client import Gauge

from carbonstream.connectors.telemetry import STANDING
from carbonstream.processors.alarm_health import Annunciation, load, stale
from carbonstream.processors.alarm_states import OperatorState
from carbonstream.schemas.periods import HOUR_MS, to_datetime

EVERY_S: Final = 15.0  # Prometheus asks about as often
RATE: Final = Gauge(
    "carbonstream_annunciation_rate",
    "Warnings put before operators in 10 minutes, per position, by figure",
    ["of"],
)
FLOOD: Final = Gauge(
    "carbonstream_alarm_flood", "1 during a flood: from more than 10 in 10 minutes until below 5"
)
CHATTERING: Final = Gauge(
    "carbonstream_chattering_warnings", "Alarms raised 3 times within a minute, last hour"
)
STALE: Final = Gauge("carbonstream_stale_warnings", "Alarms active for more than 24 hours")

LAST_HOUR: Final = """
select o.key, (extract(epoch from w.at) * 1000)::bigint, w.class, w.priority
from warning_operation w join warning_operator o on o.id = w.warning where w.annunciates and w.at > %s
"""
OPEN: Final = """
select key, (extract(epoch from min(raised_at)) * 1000)::bigint from warning_operator
where active and state in ('active-unacked', 'active-acked') group by key
"""


def tell_health(connection: psycopg.Connection[Any], now: int, positions: int) -> None:
    """Set the gauges for `now` (UTC ms)."""
    with connection.transaction():
        found = [Annunciation(*row) for row in connection.execute(LAST_HOUR, (to_datetime(now - HOUR_MS),))]
        open_ = connection.execute(OPEN).fetchall()
        counts = dict(
            connection.execute("select state, count(*) from warning_operator group by state").fetchall()
        )
    hour = load(found, now, HOUR_MS, positions)
    RATE.labels("mean of the last hour").set(hour.rate_mean)
    RATE.labels("most in the last hour").set(hour.rate_max)
    FLOOD.set(float(bool(hour.floods) and hour.floods[-1].end == now))
    CHATTERING.set(len(hour.chattering))
    STALE.set(len(stale(open_, now)))
    for state in OperatorState:
        STANDING.labels(state.value).set(counts.get(state.value, 0))
