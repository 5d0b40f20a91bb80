"""Edits of stored readings (VEE: validation, estimation, editing): what is certainly wrong gives way to an estimate,
what a person accepts after all stands again.

Which rows are not as findings and decisions say is asked of the database (function readings_to_edit), so a process that
was killed finds the same again, and a wrong reading that is delivered once more is edited once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from carbonstream.connectors.sources.estimator import tables
from carbonstream.connectors.sources.estimator.sending import Sender
from carbonstream.connectors.sources.framing import Columns
from carbonstream.processors.calendar_cn import Calendar
from carbonstream.processors.estimation import LINEAR_MS, PAST_MS, Gap, Past, estimate_gap
from carbonstream.processors.expectation import FOREVER_MS
from carbonstream.processors.missing import NONE, stored_intervals
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Mode, Quality
from carbonstream.schemas.periods import HOUR_MS, MINUTE_MS, to_ms

AGAIN_MS: Final = HOUR_MS  # how often all findings are looked through: a wrong reading may have come again
OVERLAP_MS: Final = (
    10 * MINUTE_MS
)  # of event time between two looks: partitions' ticks are that near each other
DUE: Final = """
select e.meter, e."end", e.value, m.interval_s from readings_to_edit(%s) e join meter m on m.number = e.meter limit %s
"""
MOST: Final = 500  # a look: the rest at the next ones


@dataclass(frozen=True, slots=True)
class Edit:
    """A reading that is to stand. Times UTC ms, quantity in thousandths."""

    meter: int
    start: int
    end: int
    quantity: int
    quality: Quality


class Editing:
    """Looks for readings to be edited, and sends what is to stand in their place."""

    def __init__(self, connection: tables.Connection, sender: Sender, calendar: Calendar) -> None:
        self.connection, self.sender, self.calendar = connection, sender, calendar
        self._since = 0  # UTC ms of ticks: findings told before are looked at again after AGAIN_MS
        self._again_at = 0
        # meter and end of what cannot be estimated: it holds nothing up that is behind it
        self._cannot: set[tuple[int, Any]] = set()

    def look(self, now: int, names: dict[int, tables.MeterName]) -> int:
        """Edit what is due at the clock `now` (UTC ms); how many readings. All that was sent before must be stored."""
        if now >= self._again_at:
            self._since, self._again_at = 0, now + AGAIN_MS
            self._cannot.clear()
        most = MOST + len(self._cannot)
        edits = []
        with self.connection.transaction():
            due = self.connection.execute(DUE, (self._since, most)).fetchall()
            for meter, end, *rest in due:
                if (meter, end) in self._cannot:
                    continue
                edit = self._edit(meter, end, *rest) if meter in names else None
                if edit is None:
                    self._cannot.add((meter, end))
                else:
                    edits.append(edit)
        if len(due) < most:
            self._since = max(now - OVERLAP_MS, 0)
        if edits:
            self.sender.send_columns(columns_of(edits, names), Mode.EDIT)
        return len(edits)

    def _edit(self, meter: int, end: Any, value: int | None, interval_s: int) -> Edit | None:
        """None where the interval cannot be estimated."""
        upto, interval_ms = to_ms(end), interval_s * 1_000
        gap = Gap(upto - interval_ms, 1, interval_ms)
        if value is not None:
            return Edit(meter, gap.start, upto, value, Quality.VALIDATED)
        past, after = self._around(meter, gap)
        estimate = estimate_gap(past, gap, after, self.calendar)
        if estimate is None:
            return None
        return Edit(meter, gap.start, upto, int(estimate.quantity[0]), estimate.quality)

    def _around(self, meter: int, gap: Gap) -> tuple[Past, int | None]:
        """What was measured before the interval, and directly behind it; of its past only as much as is needed."""
        past, after = self._measured(meter, gap, 2 * gap.interval_ms)
        if after is not None and len(past.end) and gap.interval_ms <= LINEAR_MS:
            return past, after  # both neighbours tell it
        return self._measured(meter, gap, PAST_MS + gap.interval_ms)

    def _measured(self, meter: int, gap: Gap, back_ms: int) -> tuple[Past, int | None]:
        end = gap.start + gap.interval_ms
        since, upto = end - back_ms, end + gap.interval_ms
        rows = tables.rows_between(self.connection, np.array([meter], np.int64), since, upto, gap.interval_ms)
        stored = stored_intervals(rows, since, upto, gap.interval_ms, (0, FOREVER_MS))
        seen = stored.measured != NONE
        before, behind = seen & (stored.end < end), seen & (stored.end == upto)
        after = int(stored.measured[behind][0]) if behind.any() else None
        return Past(stored.end[before], stored.measured[before]), after


def columns_of(edits: list[Edit], names: dict[int, tables.MeterName]) -> Columns:
    """Edits as readings, in base units."""
    meters = sorted({edit.meter for edit in edits})
    units = np.array([CARRIER_BY_NUMBER[names[e.meter].carrier].base_unit.value for e in edits], object)
    return Columns(
        [names[m].meter_id for m in meters],
        np.array([meters.index(e.meter) for e in edits], np.int64),
        np.array([e.start for e in edits], np.int64),
        np.array([e.end for e in edits], np.int64),
        np.array([e.quantity for e in edits], np.int64) / 1_000,
        units,
        np.array([int(e.quality) for e in edits], np.int64),
    )
