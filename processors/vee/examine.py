"""Examine the readings judge took, each against its meter's own habit. Vectorised over the meters of a frame.

A finding is told once, at the reading that tells it: a hole when the readings behind it came, a frozen value when
its run is longer than any before, a changed level when enough hours have said so. `since` names where it began.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.vee import levels
from carbonstream.processors.vee.delivery import deliver, deliver_next
from carbonstream.processors.vee.findings import FINDING, NOTHING, Readings
from carbonstream.processors.vee.learning import (
    CHANGED,
    FROZEN,
    HIGH,
    NEVER_FROZEN,
    SPIKE,
    close_day,
    kind_of,
)
from carbonstream.processors.vee.params import (
    HOURS,
    INTERVAL_METER,
    RATIOS,
    SHIFT_HOURS,
    STEPS_PER_OCTAVE,
    ZERO_STEP,
    Params,
)
from carbonstream.processors.vee.profile import PER_NAT, Habits, entries_of, put_entries
from carbonstream.processors.vee.steps import OF_STEPS, octaves_at, octaves_of, run_class, steps_of
from carbonstream.processors.vee.times import Times, all_same, each, some
from carbonstream.schemas.codes import Check, Decision
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, OFFSET_MS

Array = NDArray[Any]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

SIZES: Final = np.array([*RATIOS, *SHIFT_HOURS], np.float64)


def examine(
    readings: Readings,
    habits: Habits,
    params: Params = INTERVAL_METER,
    *,
    learning: bool = False,
) -> Array:
    """FINDING entries by row; `habits` is moved on.

    learning: the readings are known to be clean (a checked import): all teach, none is told.
    """
    slot = readings.slot
    if not len(slot):
        return NOTHING
    rising = np.count_nonzero(slot[1:] > slot[:-1]) == len(slot) - 1
    highest = int(slot[-1] if rising else slot.max())
    if highest >= len(habits.profile):
        habits.reserve(highest + 1)
    if rising:
        return _Wave(None, readings, habits, params, learning).found()
    order = np.lexsort((readings.end, slot))
    ordered = slot[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    turn = np.arange(len(slot)) - np.repeat(begins, np.diff(np.r_[begins, len(slot)]))
    waves = [
        _Wave(order[turn == k], readings, habits, params, learning).found()
        for k in range(int(turn.max()) + 1)
    ]
    found = np.concatenate(waves)
    return found[np.argsort(found["row"], kind="stable")]


class _Wave:
    """At most one reading a meter, by rising slots.

    Nearly every frame is regular: all readings have one start and end, and each is the next of its meter. Times are
    then numbers instead of arrays; nothing else differs.
    """

    __slots__ = (
        "findings", "following", "habits", "learning", "params", "place", "quantity", "recent", "rows",
        "slot",
    )  # fmt: skip

    def __init__(
        self,
        rows: Ints | None,
        readings: Readings,
        habits: Habits,
        params: Params,
        learning: bool,
    ) -> None:
        """rows: of the frame; None: all."""
        self.habits, self.params, self.learning = habits, params, learning
        self.rows = rows
        self.findings: list[Array] = []
        slot, start, end, quantity, interval, register = (
            some(column, rows)
            for column in (
                readings.slot, readings.start, readings.end, readings.quantity, readings.interval,
                readings.register,
            )
        )  # fmt: skip
        self.slot, self.quantity = slot, quantity
        first, n = int(slot[0]), len(slot)
        # neighbouring slots are changed where they stand, others in a copy
        together = int(slot[-1]) - first == n - 1
        self.place: slice | Ints = slice(first, first + n) if together else slot
        self.recent = habits.recent[self.place] if together else entries_of(habits.recent, slot)
        self.following: Mask | None = None  # each directly behind the newest; None: all are
        if all_same(end) and all_same(start) and all_same(interval):
            begins, ends, length = int(start[0]), int(end[0]), int(interval[0])
            if ends >= length and np.count_nonzero(self.recent["end"] == ends - length) == n:
                missing = deliver_next(self.recent, ends, quantity, length, params.missing_wait)
                if np.count_nonzero(missing):
                    self.tell(missing & ~register, Check.MISSING, Decision.ACCEPT, end)
                self._ahead(begins, ends)
                if not together:
                    put_entries(habits.recent, slot, self.recent)
                return
        seen = deliver(self.recent, end, quantity, interval, params.missing_wait)
        # a register's hole is one longer interval, its energy known
        self.tell(seen.missing & ~register, Check.MISSING, Decision.ACCEPT, end)
        self.following = seen.next
        on = seen.ahead
        if not on.all():
            self.tell(seen.late, Check.SEQUENCE, Decision.ACCEPT, end)
            self.tell(seen.duplicate, Check.DUPLICATE, Decision.REJECT, end)
            self.tell(seen.clock, Check.CLOCK, Decision.QUESTION, end)
            if not together:
                put_entries(habits.recent, slot, self.recent)
            if not on.any():
                return
            self.rows = np.flatnonzero(on) if rows is None else rows[on]
            self.slot = self.place = slot = slot[on]
            self.quantity, self.following, start, end = quantity[on], seen.next[on], start[on], end[on]
            self.recent, together = entries_of(habits.recent, slot), False
        self._ahead(start, end)
        if not together:
            put_entries(habits.recent, slot, self.recent)

    def found(self) -> Array:
        """FINDING entries."""
        return np.concatenate(self.findings) if self.findings else NOTHING

    def tell(
        self, where: Mask | Ints, check: Check | Ints, decision: Decision, of: Ints, size: Any = 0.0
    ) -> None:
        """where: readings of this wave; check, of, size: one of each reading told, or by mask one of each."""
        if self.learning:
            return
        if where.dtype == np.bool_:
            where = np.flatnonzero(where)
            of = of[where]
        if not len(where):
            return
        found = np.zeros(len(where), FINDING)
        found["row"] = where if self.rows is None else self.rows[where]
        found["check"], found["decision"], found["of"], found["size"] = check, decision, of, size
        self.findings.append(found)

    def _ahead(self, start: Times, end: Times) -> None:
        """Readings later than all before them. start, end: one of each, or one of all."""
        recent = self.recent
        hour = (start + OFFSET_MS) // HOUR_MS
        begun = recent["hour"] != hour
        if np.count_nonzero(begun):
            self._begin_hours(begun.nonzero()[0], hour)
        value = self.quantity.astype(np.float32)
        calm = value
        closer = value > recent["bar"]
        if np.count_nonzero(closer):
            suspect = self._look_closer(closer.nonzero()[0], value, start, end)
            calm = np.where(suspect, np.float32(0), value)
        np.maximum(recent["high"], calm, out=recent["high"])

        same = self.quantity == recent["quantity"]
        same &= self.quantity > 0
        if self.following is not None:
            same &= self.following
        run = recent["run"]
        recent["quantity"], recent["end"] = self.quantity, end
        if np.count_nonzero(same):
            i = same.nonzero()[0]
            longer = np.minimum(run[i], 253) + np.uint8(1)
            run[:] = 1
            run[i] = longer
            # two equal values are a run of every class: see learning
            runs = recent["runs"][:, 0]
            runs[i] = np.maximum(runs[i], 2)
            long = (longer > 2).nonzero()[0]
            if len(long):
                self._repeated(i[long], longer[long])
        else:
            run[:] = 1

        recent["energy"] += value
        recent["parts"] += np.uint8(1)
        past = (end + OFFSET_MS) // HOUR_MS > hour
        if isinstance(past, np.ndarray) or past:
            needed = np.maximum(HOUR_MS // np.maximum(end - start, 1), 1)
            closed = (recent["parts"] == needed) & (self.habits.profile["scale"][self.place] > 0) & past
            long = (run >= self.params.frozen_floor).nonzero()[0]
            if len(long):  # a frozen hour says nothing of the level
                closed[long[run[long] >= self._allowed(long, self._octave(long))]] = False
            if np.count_nonzero(closed):
                self._close_hours(closed.nonzero()[0], hour, needed, end, end - start)

    def _begin_hours(self, i: Ints, hour: Times) -> None:
        """Keep what the hour before said; where it was the last of its day, learn from the day."""
        recent, profile = self.recent, self.habits.profile
        every = len(i) == len(recent)
        slot = self.slot if every else self.slot[i]
        part = recent if every else recent[i]
        before, now = part["hour"].astype(np.int64), each(hour, i)
        high = part["high"]
        k = np.arange(len(i))
        steps = steps_of(high, profile["scale"][slot])
        was = before % HOURS
        highs = part["highs"]
        highs[k, was] = np.maximum(highs[k, was], steps)
        part["peak"] = np.maximum(part["peak"], high)
        turned = (before // HOURS != now // HOURS) & (before >= 0)
        turns = np.count_nonzero(turned)
        if turns == len(i):
            close_day(self.habits, slot, part, self.params, self.learning)
        elif turns:
            t = np.flatnonzero(turned)
            old = part[t]
            close_day(self.habits, slot[t], old, self.params, self.learning)
            part[t] = old
        part["hour"], part["high"], part["energy"], part["parts"] = now, 0, 0, 0
        bar = self._bar(slot, now % HOURS)
        part["bar"] = np.where(part["held"], -np.inf, bar)
        if not every:
            recent[i] = part

    def _bar(self, slot: Ints, hour: Times) -> Floats:
        """The highest value that is normal in this hour of day; infinite while it is not known, or not asked."""
        profile = self.habits.profile
        limit = profile["limit"][slot, hour]
        known = (limit > 0) & (limit < 255)
        if self.learning or not np.count_nonzero(known):
            return np.full(len(slot), np.inf, np.float32)
        return np.where(known, profile["scale"][slot] * OF_STEPS[limit], np.float32(np.inf))

    def _look_closer(self, i: Ints, value: Floats, start: Times, end: Times) -> Mask:
        """Suspect readings of all, where `i` are above the bar: a spike if its neighbours are not."""
        profile, params = self.habits.profile, self.params
        slot, part, value = self.slot[i], self.recent[i], value[i]
        local = each(start, i) + OFFSET_MS
        hour = local // HOUR_MS % HOURS
        following = np.ones(len(i), np.bool_) if self.following is None else self.following[i]
        bar = self._bar(slot, hour)
        is_suspect = value > bar
        scale = profile["scale"][slot]
        near = octaves_of(value, scale) - octaves_at(profile["limit"][slot, hour])
        top = scale * OF_STEPS[profile["top"][slot]]
        held = part["held"]
        length = each(end, i) - each(start, i)
        was = (part["end"] - length + OFFSET_MS) // HOUR_MS
        limit_was = profile["limit"][slot, was % HOURS].astype(np.int64)
        if held.any():
            last, before = part["near"][:, 0], part["near"][:, 1]
            drop = params.spike_drop
            # while a level that has changed is told, its peaks are none
            weight = np.where(length >= DAY_MS, params.day_weight, 1.0)
            likely = levels.likely_of(profile["most"][slot], weight, params)
            # a second peak, while what the first has said still stands, is a level rather
            np.minimum(likely, params.llr_again, out=likely, where=(part["told"] & SPIKE)[:, None] > 0)
            excess = levels.excess_of(part["said"], part["active"], likely)
            spike = held & ~is_suspect & following & (part["run"] == 1) & (last > excess)
            spike &= (before > -np.inf) & (last - before >= drop) & (last - near >= drop)
            # a day's peak that has moved to another hour is none either
            moved = levels.is_moved(part["said"], part["active"], likely)
            spike &= ~moved | (part["quantity"] > top * OF_STEPS[ZERO_STEP + params.spike_margin])
            unit = np.gcd(np.gcd(part["quantity"], self.quantity[i]), scale.astype(np.int64))
            spike &= part["quantity"] - scale * OF_STEPS[limit_was] >= params.spike_units * unit
            self.tell(i[spike], Check.SPIKE, Decision.REJECT, part["end"][spike], np.exp2(last[spike]))
            part["told"][spike] |= SPIKE
            # what was none counts for the day; a spike lifts its hour's limit by the margin, in case it is habit
            put = np.flatnonzero(held & ((was // HOURS == local // DAY_MS) | (length >= DAY_MS)))
            over = np.where(spike[put], 0, last[put] * STEPS_PER_OCTAVE).astype(np.int64)
            at = put, was[put] % HOURS
            part["highs"][at] = np.maximum(part["highs"][at], np.clip(limit_was[put] + over, 0, 255))
        if is_suspect.any():
            high = is_suspect & held & (value > top * np.float32(2**params.high_octaves))
            far = np.float32(2**params.far_octaves) * top
            # again and again, or for a day: the unit
            unit = is_suspect & (value > far) & ((held & (part["quantity"] > far)) | (length >= DAY_MS))
            high &= ~unit
            new = unit & ((part["active"] & levels.THOUSANDFOLD) == 0)
            self.tell(i[new], Check.UNIT_THOUSANDFOLD, Decision.QUESTION, each(end, i)[new], RATIOS[-1])
            levels.believe_thousandfold(part, unit, params)
            self.tell(i[high], Check.HIGH, Decision.QUESTION, each(end, i)[high])
            part["told"][high] |= HIGH
            previous = octaves_of(part["quantity"].astype(np.float32), scale) - octaves_at(limit_was)
            part["near"][is_suspect, 1] = np.where(following, previous, -np.inf)[is_suspect]
            part["near"][is_suspect, 0] = near[is_suspect]
        part["held"] = is_suspect
        part["bar"] = np.where(is_suspect, -np.inf, bar)
        self.recent[i] = part
        suspect = np.zeros(len(self.recent), np.bool_)
        suspect[i] = is_suspect
        return suspect

    def _repeated(self, i: Ints, run: NDArray[np.uint8]) -> None:
        """Consecutive identical values: `i` are those equal to the one before, `run` of them now."""
        recent = self.recent
        octave = self._octave(i)
        allowed = self._allowed(i, octave)
        frozen = (run == allowed).nonzero()[0]
        if len(frozen):
            f = i[frozen]
            self.tell(f, Check.FROZEN, Decision.QUESTION, recent["end"][f], run[frozen])
            recent["told"][f] |= FROZEN
        runs = recent["runs"]
        runs[i, octave] = np.maximum(runs[i, octave], run * (run < allowed))

    def _octave(self, i: Ints) -> Ints:
        """The class of the newest values' runs."""
        profile, slot = self.habits.profile, self.slot[i]
        value = self.recent["quantity"][i].astype(np.float32)
        return run_class(value, profile["scale"][slot] * OF_STEPS[profile["top"][slot]])

    def _allowed(self, i: Ints, octave: Ints) -> NDArray[np.uint8]:
        """A run of so many of the newest value is told; NEVER_FROZEN."""
        if self.learning:
            return np.full(len(i), NEVER_FROZEN, np.uint8)
        profile, slot, recent = self.habits.profile, self.slot[i], self.recent[i]
        allowed: NDArray[np.uint8] = profile["frozen"][slot, octave]
        # of a level that has changed the runs lie in other octaves
        moved = recent["quantity"] > profile["scale"][slot] * OF_STEPS[profile["top"][slot]]
        moved |= levels.is_likely(
            recent["said"], recent["active"], levels.likely_of(profile["most"][slot], 1.0, self.params)
        )
        return np.where(moved, profile["frozen"][slot].max(axis=1), allowed)

    def _close_hours(self, i: Ints, hour: Times, parts: Times, end: Times, length: Times) -> None:
        """The hour's energy against the habit of its hour and day."""
        params, recent, profile = self.params, self.recent, self.habits.profile
        every = len(i) == len(recent)
        slot = self.slot if every else self.slot[i]
        place = self.place if every else slot
        clock, parts = some(hour, i), some(parts, i)
        rows = slice(None) if every and isinstance(clock, int) else i
        bins = levels.bin_of(recent["energy"][rows] / parts, profile["scale"][place])
        recent["energies"][rows, clock % HOURS] = np.minimum(bins, 254)
        ready = profile["days"][place] >= params.level_days
        if not ready.all():
            if not ready.any():
                return
            i, slot, bins = i[ready], slot[ready], bins[ready]
            rows, place, clock = i, slot, some(clock, ready.nonzero()[0])
        said = levels.weigh(self.habits, slot, place, kind_of(clock // HOURS), clock % HOURS, bins, params)
        whole_day = some(length, i) >= DAY_MS
        if np.count_nonzero(whole_day):
            said = np.rint(said * np.where(whole_day, params.day_weight, 1.0)).astype(np.int16)
        evidence = recent["said"][rows].T + said
        np.maximum(evidence, 0, out=evidence)
        # all others need no more than the steadiest meter, and have less
        warm = np.logical_or.reduce(evidence > levels.remembered(params)[:, None], axis=0)
        warm |= recent["active"][rows] > 0
        if np.count_nonzero(warm):
            self._weigh_up(i[warm], evidence, warm.nonzero()[0], end)
        recent["said"][rows] = evidence.T

    def _weigh_up(self, i: Ints, evidence: NDArray[np.int16], columns: Ints, end: Times) -> None:
        """Much evidence: is it enough? Limits it in place. i: rows; columns: of `evidence` for them."""
        params, recent = self.params, self.recent
        nats = evidence[:, columns].T * np.float32(1 / PER_NAT)
        profile = self.habits.profile
        needed = levels.needed_of(profile["most"][self.slot[i]], params)
        high = (recent["told"][i] & HIGH) > 0
        levels.lower_needed(needed, high, params)
        needed[profile["days"][self.slot[i]] < params.shape_days] *= np.float32(params.llr_young)
        nats = levels.limited(nats, needed, params)
        evidence[:, columns] = np.rint(nats * PER_NAT).T
        most = recent["most"]
        most[i] = np.maximum(most[i], np.minimum(np.ceil(nats), 255))
        if self.learning:
            return
        hot = (np.logical_or.reduce(nats >= needed, axis=1) | (recent["active"][i] > 0)).nonzero()[0]
        if not len(hot):
            return
        i = i[hot]
        nats, needed, high = nats[hot], needed[hot], high[hot]
        hypothesis, recent["active"][i] = levels.decide(nats, needed, recent["active"][i], high, params)
        told = (hypothesis >= 0).nonzero()[0]
        i, hypothesis = i[told], hypothesis[told]
        recent["told"][i] |= CHANGED
        self.tell(i, levels.CHECK_OF[hypothesis], Decision.QUESTION, each(end, i), SIZES[hypothesis])
