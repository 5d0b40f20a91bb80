"""Rule data-quality: the share of a meter's or site's readings of an hour that were not measured soundly.

Unsound are readings that are questionable, estimates that no reading has displaced, and readings that were rejected.
Of several of one meter and end the soundest counts, so the order in which they come does not matter. An hour is judged
when the newest reading, or the clock of a live meter, is LATENESS_MS past its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

import numpy as np

from carbonstream.processors.instant.episodes import Episode, Level
from carbonstream.processors.instant.overruled import UnderRule, looked_at_next, overruled
from carbonstream.processors.instant.readings import FOREVER, LATENESS_MS, NEVER, Fleet, Frame
from carbonstream.processors.instant.slots import resumed
from carbonstream.processors.instant.told import Told, common
from carbonstream.processors.total_records import EXACT, text
from carbonstream.processors.warning_rules import Definition, RuleBook
from carbonstream.processors.warnings import State, Transition
from carbonstream.schemas.codes import Mode, Outcome, Quality
from carbonstream.schemas.periods import HOUR_MS, local_iso
from carbonstream.schemas.warning_rules import RuleKind

# A rejected reading may name any time: beyond this distance from the clock it counts where it came.
NEAR_MS: Final = 31 * 24 * HOUR_MS


class Soundness(IntEnum):
    """Of one reading, best first."""

    MEASURED = 0
    QUESTIONABLE = 1
    ESTIMATED = 2
    REJECTED = 3


@dataclass(slots=True)
class _Watched:
    """One meter or site. hours: start (UTC ms) -> (meter, end) -> soundness; at: the next hour to judge.

    through: by meter, the source its readings came through last.
    """

    subject: str
    entity: str
    about: str
    valid_to: int = 0  # of its meters the latest
    episode: Episode = field(default_factory=Episode)
    rule: Definition | None = None
    at: int | None = None
    newest: int = 0
    is_live: bool = False
    hours: dict[int, dict[tuple[int, int], int]] = field(default_factory=dict)
    through: dict[int, str] = field(default_factory=dict)

    @property
    def under(self) -> UnderRule | None:
        """The episode under way; without delays it is told as soon as it begins."""
        begun, rule = self.episode.begun, self.rule
        return None if begun is None or rule is None else UnderRule(rule, self.subject, begun, self.valid_to)


class DataQuality:
    """Every meter and site that a rule is set for."""

    def __init__(self) -> None:
        self._book = RuleBook()
        self._watched: dict[str, _Watched] = {}
        self._of: dict[int, list[_Watched]] = {}  # by meter number
        self._is_watched = np.zeros(0, np.bool_)
        self._due = FOREVER

    def begin(self, fleet: Fleet, book: RuleBook) -> None:
        """Meters or rules have changed. What is under way goes on until its rule judges it no more."""
        self._book, before = book, self._watched
        self._due = 0
        for known in before.values():
            known.valid_to = 0
        self._watched, self._of = {}, {}
        rules = book.scopes(RuleKind.DATA_QUALITY)
        for meter in fleet.by_number.values() if rules else ():
            for subject, about in ((meter.subject, meter.meter_id), (meter.site, "readings")):
                if rules.of(subject):
                    watched = self._watched.get(subject) or before.get(subject)
                    watched = self._watched[subject] = watched or _Watched(subject, meter.site, about)
                    watched.valid_to = max(watched.valid_to, meter.valid_to)
                    self._of.setdefault(meter.number, []).append(watched)
        self._is_watched = np.zeros(fleet.size, np.bool_)
        self._is_watched[list(self._of)] = True

    def frame(self, frame: Frame) -> Iterator[Told]:
        """Note a frame's readings, and judge the hours they close."""
        if not self._of or not len(frame):
            return
        rows = np.flatnonzero(frame.number < len(self._is_watched))
        rows = rows[self._is_watched[frame.number[rows]] & (frame.code[rows] != Outcome.DUPLICATE)]
        touched: dict[str, _Watched] = {}
        for row in rows.tolist():
            number, end = int(frame.number[row]), int(frame.end[row])
            soundness = _soundness(frame, row)
            if soundness is Soundness.REJECTED and abs(end - frame.tick) > NEAR_MS:
                end = frame.tick
            for watched in self._of[number]:
                hour = (end - 1) // HOUR_MS * HOUR_MS
                if watched.at is None:
                    watched.at = (hour - LATENESS_MS) // HOUR_MS * HOUR_MS
                if hour < watched.at:
                    continue
                cell = watched.hours.setdefault(hour, {})
                cell[number, end] = min(soundness, cell.get((number, end), soundness))
                if soundness is not Soundness.ESTIMATED:
                    watched.through[number] = frame.source
                    watched.is_live = frame.mode is Mode.LIVE
                if soundness is not Soundness.REJECTED:
                    watched.newest = max(watched.newest, end)
                touched[watched.subject] = watched
        for watched in touched.values():
            yield from self._judge(watched, NEVER)

    def clock(self, now: int) -> Iterator[Told]:
        """What the clock closes at `now` (UTC ms)."""
        if now < self._due:
            return
        self._due = FOREVER
        for watched in self._watched.values():
            yield from self._judge(watched, now)

    def _judge(self, watched: _Watched, clock: int) -> Iterator[Told]:
        passed = max(watched.newest, clock if watched.is_live else 0) - LATENESS_MS
        for hour in sorted(watched.hours):
            if hour + HOUR_MS > passed:
                if watched.is_live:
                    self._due = min(self._due, hour + HOUR_MS + LATENESS_MS)
                break
            cell = watched.hours.pop(hour)
            watched.at = hour + HOUR_MS
            yield from self._overrule(watched, hour)
            sources = {watched.through.get(number) for number, _ in cell}
            told = self._step(watched, hour, Counter(cell.values()), common(sources))
            if told is not None:
                yield told
        yield from self._overrule(watched, passed - HOUR_MS)  # the hours that began before are judged
        under = watched.under
        if under is not None and watched.is_live:
            after = max(under.begun, passed - HOUR_MS)
            self._due = min(self._due, looked_at_next(under, self._book, after) + HOUR_MS + LATENESS_MS)

    def _overrule(self, watched: _Watched, until: int) -> Iterator[Told]:
        """End an episode whose rule judges it no more, by `until` (UTC ms)."""
        under = watched.under
        found = None if under is None else overruled(under, self._book, until)
        if under is None or found is None:
            return
        transition = Transition(State.CLEARED, found.at)
        yield Told(under.rule, watched.entity, watched.about, under.begun, transition, found.facts)
        watched.episode.end()
        watched.rule = None

    def _step(self, watched: _Watched, hour: int, counts: Counter[int], source: str | None) -> Told | None:
        episode = watched.episode
        rule = watched.rule or self._book.find(RuleKind.DATA_QUALITY, watched.subject, hour)
        if rule is None:
            return None
        readings = counts.total()
        unsound = readings - counts[Soundness.MEASURED]
        level = level_of(unsound, readings, rule)
        transition = episode.step(hour, HOUR_MS, unsound * 10_000 // readings, level, 0, 0)
        watched.rule = rule if episode.begun is not None else None
        if transition is None or episode.begun is None:
            return None
        share = EXACT.divide(Decimal(100 * unsound), Decimal(readings))
        facts = {
            "source": source,
            "from": local_iso(hour),
            "until": local_iso(hour + HOUR_MS),
            "readings": readings,
            **{s.name.lower(): counts[s] for s in Soundness},
            "share_percent": text(EXACT.quantize(share, Decimal("0.01"))),
            "threshold": text(rule.parameters["share"]),
        }
        told = Told(rule, watched.entity, watched.about, episode.begun, transition, facts)
        if transition.state is State.CLEARED:
            episode.end()
            watched.rule = None
        return told

    def pack(self) -> list[dict[str, Any]]:
        """For a checkpoint."""
        return [
            {
                "subject": watched.subject, "episode": watched.episode.pack(), "at": watched.at,
                "newest": watched.newest, "live": watched.is_live,
                "rule": None if watched.rule is None else watched.rule.reference,
                "through": {str(number): source for number, source in watched.through.items()},
                "hours": [[hour, *key, s] for hour, cell in watched.hours.items() for key, s in cell.items()],
            }
            for watched in self._watched.values()
            if watched.at is not None
        ]  # fmt: skip

    def unpack(self, packed: Iterable[Mapping[str, Any]]) -> None:
        """From a checkpoint; after `begin`."""
        for entry in packed:
            watched = self._watched.get(entry["subject"])
            if watched is None:
                continue
            watched.rule, watched.episode = resumed(self._book, entry["rule"], entry["episode"])
            watched.at, watched.newest, watched.is_live = entry["at"], entry["newest"], entry["live"]
            watched.through = {int(number): source for number, source in entry.get("through", {}).items()}
            for hour, number, end, soundness in entry["hours"]:
                watched.hours.setdefault(hour, {})[number, end] = soundness
            self._due = 0


def level_of(unsound: int, readings: int, rule: Definition) -> Level:
    """Where an hour's share lies; unknown with fewer readings than the rule asks for. Exact."""
    if readings < int(rule.parameters["readings"]):
        return Level.UNKNOWN
    share, limit = Decimal(100 * unsound), EXACT.multiply(rule.parameters["share"], Decimal(readings))
    if share > limit:
        return Level.ABOVE
    clear = EXACT.scaleb(EXACT.multiply(limit, EXACT.subtract(Decimal(100), rule.parameters["deadband"])), -2)
    return Level.BELOW if share <= clear else Level.WITHIN


def _soundness(frame: Frame, row: int) -> Soundness:
    if frame.code[row] > Outcome.BASELINE:
        return Soundness.REJECTED
    if frame.mode is Mode.ESTIMATE:
        return Soundness.ESTIMATED
    return Soundness.QUESTIONABLE if frame.quality[row] == Quality.QUESTIONABLE else Soundness.MEASURED
