"""Rule habit: a meter's hour against what it usually uses in that hour of the week.

Expected is the forecast of an additive Holt-Winters model (river) with a season of a week; the range around it is `z`
standard deviations of its errors in that hour of day, at least `share` % of it. An hour outside its range is no
habit, and the model passes it over with what was expected, until the episode has lasted a week: then it is the new
habit. A gap is bridged in the same way; after one longer than FORGOTTEN_H the model begins anew. The state of a meter
is some 200 numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, Final

import numpy as np

from carbonstream.processors.instant.episodes import Episode, Level
from carbonstream.processors.instant.readings import FOREVER, NEVER, Fleet, Frame, Meter
from carbonstream.processors.instant.slots import Slot, SlotRule, Slots, resumed
from carbonstream.processors.instant.told import Told
from carbonstream.processors.warning_rules import Definition, RuleBook
from carbonstream.processors.warnings import State
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import HOUR_MS, local_iso
from carbonstream.schemas.warning_rules import RuleKind

WEEK_H: Final = 168
FORGOTTEN_H: Final = 336
# The level follows in a day, the season in a month; half or twice as much forecast the first half of the packaged steel
# year no better by more than 5 %.
LEVEL_GAIN, TREND_GAIN, SEASON_GAIN = 0.05, 0.0005, 0.25
ERROR_GAIN: Final = (
    0.05  # the errors of an hour of day in some 20 days make its range: a night is not a shift
)
DAY_H: Final = 24


@dataclass(frozen=True, slots=True)
class Expected:
    """What an hour should use, thousandths of the base unit."""

    value: float
    deviation: float

    def range(self, z: float, share: float) -> tuple[float, float]:
        """Lowest and highest usual value."""
        half = max(z * self.deviation, abs(self.value) * share / 100)
        return max(self.value - half, 0.0), self.value + half


class WeekModel:
    """Holt-Winters of hours with the spread of its errors; all of it in a few lists of numbers."""

    def __init__(self) -> None:
        # the library takes seconds to import: only who has such a rule waits for it
        from river.time_series import HoltWinters

        gains = LEVEL_GAIN, TREND_GAIN, SEASON_GAIN
        self._model: Any = HoltWinters(*gains, WEEK_H)  # type: ignore[no-untyped-call]
        self._variance = [0.0] * DAY_H  # by hour of day, counted from the first one learnt
        self.hours = 0  # learnt or passed over

    def expected(self) -> Expected | None:
        """Of the next hour; None in the first week."""
        if not self._model._initialized:
            return None
        return Expected(max(float(self._model.forecast(1)[0]), 0.0), sqrt(self._variance[self.hours % DAY_H]))

    def learn(self, value: float) -> None:
        """The next hour's value."""
        expected = self.expected()
        if expected is not None:
            error, now = value - expected.value, self.hours % DAY_H
            self._variance[now] += ERROR_GAIN * (error * error - self._variance[now])
        self._go_on(value)

    def pass_over(self) -> None:
        """The next hour as if it had been what was expected; in the first week as if nothing had been used."""
        expected = self.expected()
        self._go_on(0.0 if expected is None else expected.value)

    def _go_on(self, value: float) -> None:
        model, began = self._model, self._model._initialized
        model.learn_one(value)
        self.hours += 1
        if model._initialized and not began:
            # river begins an additive season with ratios, as if it were multiplicative
            first = list(model._first_values)
            model.season.clear()
            model.season.extend(each - model.level[-1] for each in first)
            for hour in range(DAY_H):
                days = first[hour::DAY_H]
                mean = sum(days) / len(days)
                self._variance[hour] = sum((day - mean) ** 2 for day in days) / len(days)

    def pack(self) -> dict[str, Any]:
        """Plain numbers for a checkpoint."""
        model = self._model
        return {
            "first": list(model._first_values), "level": list(model.level), "trend": list(model.trend),
            "season": list(model.season), "variance": list(self._variance), "hours": self.hours,
        }  # fmt: skip

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> WeekModel:
        """From a checkpoint."""
        found = cls()
        model = found._model
        model._first_values = list(packed["first"])
        for name in ("level", "trend", "season"):
            getattr(model, name).extend(packed[name])
        model._initialized = bool(packed["level"])
        found._variance, found.hours = list(packed["variance"]), packed["hours"]
        return found


@dataclass(slots=True)
class _Watched:
    """One meter. last: start of the newest hour learnt, UTC ms."""

    meter: Meter
    model: WeekModel
    slots: Slots
    episode: Episode = field(default_factory=Episode)
    rule: Definition | None = None
    last: int | None = None
    source: str | None = None  # through which its readings came last


class Habit(SlotRule[_Watched]):
    """Every meter that a rule of this kind is set for."""

    def __init__(self) -> None:
        super().__init__()
        self._watched: dict[int, _Watched] = {}
        self._is_watched = np.zeros(0, np.bool_)

    def begin(self, fleet: Fleet, book: RuleBook) -> None:
        """Meters or rules have changed. What was learnt stays."""
        self._book, before = book, self._watched
        self._due = 0
        rules = book.scopes(RuleKind.HABIT)
        meters = [m for m in fleet.by_number.values() if rules and rules.of(m.subject)]
        self._watched = {
            m.number: before.get(m.number) or _Watched(m, WeekModel(), Slots(HOUR_MS)) for m in meters
        }
        for number, watched in self._watched.items():
            watched.meter = fleet.by_number[number]
        self._is_watched = np.zeros(fleet.size, np.bool_)
        self._is_watched[list(self._watched)] = True

    def frame(self, frame: Frame) -> Iterator[Told]:
        """What a frame's readings change."""
        if not self._watched or frame.mode is Mode.ESTIMATE or not len(frame):
            return
        rows = np.flatnonzero(
            (frame.number < len(self._is_watched)) & frame.taken() & (frame.end > frame.start)
        )
        rows = rows[self._is_watched[frame.number[rows]]]
        is_live = frame.mode is Mode.LIVE
        for row in rows.tolist():
            watched = self._watched[int(frame.number[row])]
            start, end, quantity = int(frame.start[row]), int(frame.end[row]), int(frame.quantity[row])
            watched.source = frame.source
            watched.slots.add(start, end, quantity, is_live=is_live)
        for number in np.unique(frame.number[rows]).tolist():  # when all is in
            yield from self._judge(self._watched[number], NEVER)

    def clock(self, now: int) -> Iterator[Told]:
        """What the clock gives out at `now` (UTC ms)."""
        if now < self._due:
            return
        self._due = FOREVER
        for watched in self._watched.values():
            if watched.slots.is_live:
                yield from self._judge(watched, now)

    def _step(self, watched: _Watched, slot: Slot) -> Told | None:
        if slot.quantity is None and watched.last is None:
            return None  # before the first reading
        episode = watched.episode
        rule = watched.rule or self._book.find(RuleKind.HABIT, watched.meter.subject, slot.start)
        self._bridge(watched, slot.start)
        model, expected = watched.model, watched.model.expected()
        level, usual = Level.UNKNOWN, None
        if slot.quantity is None:
            model.pass_over()
        elif rule is None or expected is None or model.hours < int(rule.parameters["learn_h"]):
            model.learn(float(slot.quantity))
        else:
            level, usual = level_of(slot.quantity, expected, rule)
            is_new_habit = episode.begun is not None and slot.start - episode.begun >= WEEK_H * HOUR_MS
            if level is Level.ABOVE and not is_new_habit:
                model.pass_over()
            else:
                model.learn(float(slot.quantity))
        if rule is None:
            return None
        on_ms, off_ms = (int(rule.parameters[name]) * 1_000 for name in ("on_s", "off_s"))
        transition = episode.step(slot.start, HOUR_MS, slot.quantity or 0, level, on_ms, off_ms)
        watched.rule = rule if episode.begun is not None else None
        if transition is None or episode.begun is None:
            return None
        facts = _facts(watched, slot, expected, usual)
        told = Told(rule, watched.meter.site, watched.meter.meter_id, episode.begun, transition, facts)
        if transition.state is State.CLEARED:
            episode.end()
            watched.rule = None
        return told

    def _bridge(self, watched: _Watched, start: int) -> None:
        """Keep the week in step over hours that are missing."""
        missing = 0 if watched.last is None else (start - watched.last) // HOUR_MS - 1
        if missing > FORGOTTEN_H:
            watched.model = WeekModel()
        for _ in range(missing if missing <= FORGOTTEN_H else 0):
            watched.model.pass_over()
        watched.last = start

    def pack(self) -> list[dict[str, Any]]:
        """For a checkpoint."""
        return [
            {
                "meter": number, "model": watched.model.pack(), "slots": watched.slots.pack(),
                "episode": watched.episode.pack(), "last": watched.last,
                "source": watched.source,
                "rule": None if watched.rule is None else watched.rule.reference,
            }
            for number, watched in self._watched.items()
            if watched.slots.at is not None
        ]  # fmt: skip

    def unpack(self, packed: Iterable[Mapping[str, Any]]) -> None:
        """From a checkpoint; after `begin`."""
        for entry in packed:
            watched = self._watched.get(entry["meter"])
            if watched is None:
                continue
            watched.model, watched.slots = WeekModel.unpack(entry["model"]), Slots.unpack(entry["slots"])
            watched.rule, watched.episode = resumed(self._book, entry["rule"], entry["episode"])
            watched.last, watched.source = entry["last"], entry.get("source")
            self._due = 0


def level_of(quantity: int, expected: Expected, rule: Definition) -> tuple[Level, tuple[float, float]]:
    """Where an hour lies against its range (ABOVE: outside of it, on either side), and the range."""
    value = float(quantity)
    low, high = expected.range(float(rule.parameters["z"]), float(rule.parameters["share"]))
    if not low <= value <= high:
        return Level.ABOVE, (low, high)
    edge = (high - low) * float(rule.parameters["deadband"]) / 200
    is_inside = (low + edge if low > 0 else 0.0) <= value <= high - edge
    return Level.BELOW if is_inside else Level.WITHIN, (low, high)


def _facts(
    watched: _Watched, slot: Slot, expected: Expected | None, usual: tuple[float, float] | None
) -> dict[str, Any]:
    def shown(value: float | None) -> float | None:
        return None if value is None else round(value / 1_000, 3)

    low, high = usual or (None, None)
    return {
        "meter": watched.meter.meter_id,
        "source": watched.source,
        "from": local_iso(slot.start),
        "until": local_iso(slot.start + HOUR_MS),
        "value": shown(slot.quantity),
        "expected": shown(None if expected is None else expected.value),
        "low": shown(low),
        "high": shown(high),
        "deviation": shown(None if expected is None else expected.deviation),
        "unit": CARRIER_BY_NUMBER[watched.meter.carrier].base_unit.value,
    }
