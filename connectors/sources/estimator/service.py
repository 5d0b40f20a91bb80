"""The estimator's loop: look at what is due and has not come, estimate it, send it, remember.

Its clock is the lowest tick that is stored, and what it has sent must be stored before it looks again: so it judges by
the database alone. What is estimated and when it was looked for (table `estimator_position`) are there too; a process
that was killed looks again from there, finds its estimates, and sends the rest.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
import psycopg
from numpy.typing import NDArray

from carbonstream.connectors import telemetry
from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.connectors.locks import Only
from carbonstream.connectors.rounds import OnlyService
from carbonstream.connectors.sources import declaring
from carbonstream.connectors.sources.clock import wall_ms
from carbonstream.connectors.sources.estimator import tables
from carbonstream.connectors.sources.estimator.editing import Editing
from carbonstream.connectors.sources.estimator.sending import Sender, Told
from carbonstream.connectors.sources.sequence import SequenceStore
from carbonstream.processors.estimation import LINEAR_MS, PAST_MS, Gap, Past, estimate_gap
from carbonstream.processors.missing import NONE, Pace, Stored, Watched, missing_of, stored_intervals
from carbonstream.processors.reference_days import CONTEXT_MS, HISTORY_DAYS
from carbonstream.schemas import topics
from carbonstream.schemas.frames import SOURCE_ESTIMATOR
from carbonstream.schemas.periods import DAY_MS, HOUR_MS
from carbonstream.schemas.settings import Settings

Ints = NDArray[np.int64]
Array = NDArray[Any]
POLL_S: Final = 1.0
LONGEST_LOOK_MS: Final = (
    HOUR_MS  # event time a look covers; 100,000 quarter-hour meters have 400,000 rows in it
)
INTERVALS_A_GROUP: Final = 20_000  # of the meters looked at together: some 50 ms of the database
REST: Final = 3.0  # at most a quarter of the time: a dead network must not cost the living their speed
AGAIN_MS: Final = HOUR_MS  # how often what is missing is looked at again: it may have come late


class Estimator(OnlyService):
    """Runs rounds until stopped."""

    name = "estimator"
    only = Only.ESTIMATOR

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.calendar = packaged_calendar()

    def hold(self, connection: psycopg.Connection[Any]) -> None:
        """Look for what is missing, again and again."""
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        store = SequenceStore(self.config.state_dir, SOURCE_ESTIMATOR, wall_ms())
        try:
            round_ = Round(self, connection, Sender(self.config, store))
            while not self.stopping.is_set():
                if not round_.look():
                    self.stopping.wait(POLL_S)
        finally:
            store.close()


class Round:
    """One session: what was seen of the meters, and the looks taken."""

    def __init__(self, service: Estimator, connection: psycopg.Connection, sender: Sender) -> None:
        self.service, self.connection, self.sender = service, connection, sender
        config = service.config
        self.silent_ms = config.estimate_silent_s * 1_000
        self.pace = Pace(config.estimate_grace_s * 1_000)
        self.watched = Watched()
        self.names: dict[int, tables.MeterName] = {}
        self.masters = -1  # end offset of ref.meters that `names` was read at
        self.again_at = 0  # event time from which what is missing is looked at again
        self.editing = Editing(connection, sender, service.calendar)
        with connection.transaction():
            self.looked_to = tables.looked_to(connection)

    def look(self) -> bool:
        """Look once as far as the ticks allow; False where there was nothing to look for."""
        self._send_declarations()
        upto = self._upto()
        if upto is None:
            return False
        if edited := self.editing.look(upto, self.names):
            telemetry.READINGS.labels("estimator", "edited").inc(edited)
            return True
        if self.looked_to is None:  # what was before this system's first estimator is not its concern
            self._move(upto)
            return False
        since = max(self.looked_to, upto - self.silent_ms)
        upto = min(upto, since + LONGEST_LOOK_MS)
        if not self.watched.any_due(since, upto):
            return False
        with self.connection.transaction():
            close = self.watched.look(since, upto, tables.came(self.connection, since, upto))
            if upto >= self.again_at:
                missing = tables.known_missing(self.connection)
                close = np.union1d(close, self._recent(missing, upto))
                self._look_at_old(missing, upto)
                self.again_at = upto + AGAIN_MS
        for interval_ms in np.unique(self.watched.interval_ms[close]).tolist():
            meters = close[self.watched.interval_ms[close] == interval_ms]
            size = max(INTERVALS_A_GROUP * interval_ms // self.silent_ms, 1)
            for at in range(0, len(meters), size):
                if self.service.stopping.is_set():
                    return False
                began = time.monotonic()
                self._look_closely(meters[at : at + size], interval_ms, upto)
                if at + size < len(meters):
                    self.service.stopping.wait(REST * (time.monotonic() - began))
        self._move(upto)
        return True

    def _send_declarations(self) -> None:
        """What was approved over HTTP, or could not be sent then, goes now."""
        with self.connection.transaction():
            is_waiting = declaring.is_waiting(self.connection)
        if is_waiting:
            declaring.send_approved(self.connection, self.service.config)

    def _upto(self) -> int | None:
        """How far to look now; None while ticks or what was sent are not stored."""
        with self.connection.transaction():
            at = tables.positions(self.connection)
            if len(at) < self.service.config.partitions or any(p.tick_ms == 0 for p in at.values()):
                return None
            if any(at[n].source_offset < sent for n, sent in self.sender.sent_to.items()):
                return None
            masters = max(p.reference.get(topics.REF_METERS, 0) for p in at.values())
            if masters != self.masters:
                self.names = tables.load_meters(self.connection, self.watched)
                self._take_up(tables.known_missing(self.connection), min(p.tick_ms for p in at.values()))
                self.masters = masters
        return self.pace.upto(min(p.tick_ms for p in at.values()))

    def _take_up(self, missing: dict[int, list[Any]], tick_ms: int) -> None:
        """What an earlier process saw."""
        for meter, gaps in missing.items():
            if gaps[-1].until is None and meter < len(self.watched.is_open):
                self.watched.is_open[meter] = True
                self.watched.is_silent[meter] |= gaps[-1].start < tick_ms - self.silent_ms

    def _move(self, upto: int) -> None:
        with self.connection.transaction():
            tables.move(self.connection, upto)
        self.looked_to = upto

    def _recent(self, missing: dict[int, list[Any]], upto: int) -> Ints:
        """Meters that miss something of the time that is looked at closely, and are not silent."""
        since = upto - self.silent_ms
        found = [m for m, gaps in missing.items() if gaps[-1].until is None or gaps[-1].until > since]
        return np.array([m for m in found if m in self.names and not self.watched.is_silent[m]], np.int64)

    def _look_at_old(self, missing: dict[int, list[Any]], upto: int) -> None:
        """What was missing longer ago and has come since is missing no more."""
        since, still = upto - self.silent_ms, {}
        for meter, gaps in missing.items():
            old = [gap for gap in gaps if gap.until is not None and gap.until <= since]
            if not old or meter not in self.names:
                continue
            found = [gap for gap in gaps if gap not in old]
            for gap in old:
                stored = self._stored(np.array([meter]), gap.start, gap.until)[meter]
                found += missing_of(stored, [], gap.start)
            if sorted(found, key=lambda gap: gap.start) != gaps:
                still[meter] = found
        tables.write_missing(self.connection, still)

    def _stored(self, meters: Ints, since: int, upto: int) -> dict[int, Stored]:
        """What is stored of meters of one interval length in (since, upto]."""
        interval_ms = int(self.watched.interval_ms[meters[0]])
        rows = tables.rows_between(self.connection, meters, since, upto, interval_ms)
        validity = self.watched.valid_from, self.watched.valid_to
        return {
            m: stored_intervals(
                rows[rows["meter"] == m], since, upto, interval_ms, (int(validity[0][m]), int(validity[1][m]))
            )
            for m in meters.tolist()
        }

    def _look_closely(self, meters: Ints, interval_ms: int, upto: int) -> None:
        """Estimate what these meters miss, send what is new of it, and remember what is missing."""
        since = (upto - self.silent_ms) // HOUR_MS * HOUR_MS
        watched = self.watched
        with self.connection.transaction():
            stored = self._stored(meters, since, upto)
            known = tables.known_missing(self.connection, meters)
            told = self._estimates(stored, interval_ms)
        if told:
            self.sender.send(told, self.names)
            telemetry.READINGS.labels("estimator", "sent").inc(sum(len(t.end) for t in told))
        missing = {m: missing_of(s, known.get(m, []), since) for m, s in stored.items()}
        with self.connection.transaction():
            tables.write_missing(
                self.connection, {m: gaps for m, gaps in missing.items() if gaps != known.get(m, [])}
            )
        for m, s in stored.items():
            watched.is_open[m] = bool(len(s.end)) and bool(s.is_missing[-1])
            watched.is_silent[m] = not (s.measured != NONE).any()

    def _estimates(self, stored: dict[int, Stored], interval_ms: int) -> list[Told]:
        told: list[Told] = []
        wanted = [(m, run) for m, s in stored.items() for run in s.runs() if s.may_be_estimated(run)]
        wanted = [(m, run) for m, run in wanted if not _is_told(stored[m], run)]
        if not wanted:
            return told
        past = self._past(
            stored, [(m, run) for m, run in wanted if not _is_short(stored[m], run)], interval_ms
        )
        for m, run in wanted:
            one = stored[m]
            seen = one.measured != NONE
            end, quantity = past.get(m, (one.end[seen], one.measured[seen]))
            gap = Gap(int(one.end[run.start]) - interval_ms, run.stop - run.start, interval_ms)
            estimate = estimate_gap(Past(end, quantity), gap, one.after(run), self.service.calendar)
            if estimate is None:
                continue
            send = one.to_send(run, estimate.quantity, estimate.quality)
            if send.any():
                told.append(Told(m, gap.ends[send], estimate.quantity[send], int(estimate.quality)))
        return told

    def _past(
        self, stored: dict[int, Stored], wanted: list[tuple[int, slice]], interval_ms: int
    ) -> dict[int, tuple[Ints, Ints]]:
        """(ends, quantities) measured of the meters' like times of day, as far as reference days look back."""
        if not wanted:
            return {}
        low = min(int(stored[m].end[run.start]) for m, run in wanted) - interval_ms - CONTEXT_MS
        high = max(int(stored[m].end[run.stop - 1]) for m, run in wanted) + interval_ms
        meters = np.array(sorted({m for m, _ in wanted}), np.int64)
        if high - low >= DAY_MS:
            rows = tables.rows_between(
                self.connection, meters, high - PAST_MS - (high - low), high, interval_ms
            )
        else:
            windows = [
                tables.rows_between(
                    self.connection, meters, low - day * DAY_MS, high - day * DAY_MS, interval_ms
                )
                for day in range(HISTORY_DAYS + 1, -1, -1)
            ]
            rows = np.concatenate(windows)
        found = {}
        for m in meters.tolist():
            mine = rows[rows["meter"] == m]
            first = int(mine["time"].min(initial=high))
            whole = stored_intervals(mine, first - interval_ms, high, interval_ms, (0, high))
            seen = whole.measured != NONE
            found[m] = whole.end[seen], whole.measured[seen]
        return found


def _is_short(stored: Stored, run: slice) -> bool:
    """Whether the line between both sides tells it."""
    return stored.after(run) is not None and (run.stop - run.start) * stored.interval_ms <= LINEAR_MS


def _is_told(stored: Stored, run: slice) -> bool:
    """Whether the run lasts and every interval of it is estimated already."""
    return run.stop == len(stored.end) and bool((stored.estimate[run] != NONE).all())
