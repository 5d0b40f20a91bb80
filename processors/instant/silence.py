"""Rule silence: sources and meters whose readings stay away, judged by ticks.

A source (gateway) is silent when none of its meters has a reading that ends within `cadences` x cadence + `grace_s`;
its cadence is the shortest interval of its meters, unless the rule gives one. It is one alarm, its meters listed. A
meter is silent by the same formula; meters of a silent source are its children and nothing of their own, others are
one alert a site.

With the packaged parameters a source is always found before any of its meters: one that reported until the end ends at
most one interval and LATENESS_MS before its source's newest reading, and 3 intervals + 1,200 s later is not before 2
intervals + 300 s after that.

Heard are readings that came live and were taken. What was away (ticks further apart than a source's cadence: the
platform stood still, not the source) is not held against it: silence counts from the tick that came back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from carbonstream.processors.instant.readings import FOREVER, NEVER, Fleet, Frame, Ints
from carbonstream.processors.instant.told import Told, common
from carbonstream.processors.warning_rules import Definition, RuleBook, Scopes
from carbonstream.processors.warnings import State, Transition
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import SECOND_MS, local_iso
from carbonstream.schemas.warning_rules import RuleKind

CHILDREN: Final = 2_000  # named in an alarm: 40 kB; beyond it their number
BLOCK: Final = 4_096  # meters a checkpoint writes together
NO_SOURCE: Final = -1


@dataclass(slots=True)
class _Silent:
    """What fell silent, and whether it is back. Times UTC ms.

    begun: since when; heard: end of its newest reading then; back: end of the oldest reading since, None: none.
    """

    begun: int
    heard: int
    back: int | None = None


class Silence:
    """Every meter that reported live. Arrays are by dense meter number."""

    def __init__(self) -> None:
        self._fleet, self._book = Fleet(), RuleBook()
        self._ignored: Collection[str] = ()
        self.heard: Ints = np.zeros(0, np.int64)  # end of the newest live reading; NEVER
        self.source: Ints = np.zeros(0, np.int64)  # index into names
        self.names: list[str] = []
        self._index: dict[str, int] = {}
        self._since: list[int] = []  # by source: silence counts from here on
        self._sources: dict[int, _Silent] = {}
        self._meters: dict[int, _Silent] = {}
        self._sites: dict[str, int] = {}  # site's entity -> since when any meter of it is silent
        self._rules: dict[str, Definition] = {}  # by entity: of the episode under way
        self._flagged = np.zeros(0, np.bool_)  # meters that are silent, or whose source is
        self._epoch, self._allowed_of = -1, np.zeros(0, np.int64)  # by meter: how long it may be silent
        self._due = 0  # UTC ms: nothing changes before
        self._now = 0
        self._dirty = np.zeros(0, np.bool_)  # by block

    def begin(self, fleet: Fleet, book: RuleBook, ignored: Collection[str] = ()) -> None:
        """Meters or rules have changed. ignored: ids that say nothing of their source (canaries)."""
        self._fleet, self._book, self._ignored = fleet, book, frozenset(ignored)
        self._epoch = -1
        self._grow(fleet.size)
        self._due = 0

    def _grow(self, size: int) -> None:
        more = size - len(self.heard)
        if more > 0:
            self.heard = np.concatenate([self.heard, np.zeros(more, np.int64)])
            self.source = np.concatenate([self.source, np.full(more, NO_SOURCE, np.int64)])
            self._flagged = np.concatenate([self._flagged, np.zeros(more, np.bool_)])
            blocks = -(-size // BLOCK) - len(self._dirty)
            self._dirty = np.concatenate([self._dirty, np.zeros(blocks, np.bool_)])

    def frame(self, frame: Frame) -> None:
        """Note what a frame lets hear of its source and meters."""
        if frame.mode is not Mode.LIVE or not len(frame):
            return
        number, end = frame.number, frame.end
        rows = frame.taken() & (number < len(self.heard))
        if not rows.all():
            number, end = number[rows], end[rows]
        if not len(number):
            return
        if frame.source not in self._index:
            self._index[frame.source] = len(self.names)
            self.names.append(frame.source)
            self._since.append(0)
        source = self._index[frame.source]
        if (self.source[number] != source).any():  # heard for the first time, or through another source
            self.source[number], self._due = source, 0
        if self._meters or source in self._sources:
            back = self._flagged[number]
            self._returned(source, number[back], end[back], end)
        if frame.is_distinct:
            self.heard[number] = np.maximum(self.heard[number], end)
        else:
            np.maximum.at(self.heard, number, end)
        self._dirty[number // BLOCK] = True

    def _returned(self, source: int, number: Ints, end: Ints, all_ends: Ints) -> None:
        silent = self._sources.get(source)
        if silent is None and not len(number):
            return
        self._due = 0
        later = [] if silent is None else all_ends[all_ends > silent.heard].tolist()
        if silent is not None and later:
            silent.back = min(later) if silent.back is None else min(silent.back, *later)
        for n, at in zip(number.tolist(), end.tolist(), strict=True):
            meter = self._meters.get(n)
            if meter is not None and at > meter.heard:
                meter.back = at if meter.back is None else min(meter.back, at)

    def clock(self, now: int) -> Iterator[Told]:
        """What is silent, or back, at `now` (UTC ms), the lowest tick of all partitions."""
        if now <= self._now:
            return
        before, self._now = self._now, now
        if before and now - before > SECOND_MS * 60:
            self._stood_still(before, now)
        if now < self._due:
            return
        expected = np.flatnonzero((self.heard[: self._fleet.size] != NEVER) & (self._fleet.interval > 0))
        expected = expected[self._fleet.valid_to[expected] > now]
        if self._ignored:
            expected = expected[
                [self._fleet.by_number[n].meter_id not in self._ignored for n in expected.tolist()]
            ]
        following = self._book.changes(now, FOREVER)[:1]
        self._due = min([int(self._fleet.valid_to[expected].min(initial=FOREVER)), *following])
        yield from self._judge_sources(expected, now)
        yield from self._judge_meters(expected, now)

    def _stood_still(self, before: int, now: int) -> None:
        """Ticks further apart than a source's cadence: nobody could have been heard."""
        cadence = self._cadences(np.flatnonzero(self.heard != NEVER))
        for source, length in enumerate(cadence.tolist()):
            if now - before > length:
                self._since[source], self._due = now, 0

    def _cadences(self, meters: Ints) -> Ints:
        """Shortest interval of each source's meters, ms."""
        cadence = np.full(len(self.names), FOREVER, np.int64)
        np.minimum.at(cadence, self.source[meters], self._fleet.interval[meters])
        return cadence

    def _judge_sources(self, expected: Ints, now: int) -> Iterator[Told]:
        newest = np.zeros(len(self.names), np.int64)
        np.maximum.at(newest, self.source[expected], self.heard[expected])
        cadence = self._cadences(expected)
        nobody = np.zeros(0, np.int64)
        for source in sorted({*np.flatnonzero(newest).tolist(), *self._sources}):
            entity = f"source:{self.names[source]}"
            rule = self._book.find(RuleKind.SILENCE, entity, now)
            if source in self._sources and (
                rule is None or not newest[source]
            ):  # nothing is expected any more
                begun, began_under = self._sources.pop(source).begun, self._rules.pop(entity)
                self._flagged[self.source == source] = False
                yield self._told(began_under, entity, begun, State.CLEARED, now, nobody, now)
            if rule is None or not newest[source]:
                continue
            heard = max(int(newest[source]), self._since[source])
            due = heard + allowed_ms(rule, int(cadence[source]))
            silent = self._sources.get(source)
            if silent is None and due <= now:
                silent = self._sources[source] = _Silent(due, int(newest[source]))
                children = expected[self.source[expected] == source]
                self._flagged[children] = True
                self._rules[entity] = rule
                yield self._told(rule, entity, silent.begun, State.ACTIVE, due, children, int(newest[source]))
            elif silent is not None:
                cleared_at = self._cleared(silent, rule, due, now, int(newest[source]))
                if cleared_at is not None:
                    del self._sources[source]
                    self._since[source] = max(self._since[source], cleared_at)
                    children = expected[self.source[expected] == source]
                    self._flagged[children] = [n in self._meters for n in children.tolist()]
                    began_under = self._rules.pop(entity)
                    yield self._told(
                        began_under, entity, silent.begun, State.CLEARED, cleared_at, children, cleared_at
                    )
            if source not in self._sources:
                self._due = min(self._due, due)

    def _cleared(self, silent: _Silent, rule: Definition, due: int, now: int, newest: int) -> int | None:
        """End of the reading with which it came back, once it has stayed for `off_s`."""
        if silent.back is None:
            return None
        stayed = silent.back + int(rule.parameters["off_s"]) * SECOND_MS
        if due <= min(stayed, now):  # silent again before that: the episode goes on
            silent.back, silent.heard = None, newest
            return None
        if stayed > now:
            self._due = min(self._due, stayed, due)
            return None
        return silent.back

    def _judge_meters(self, expected: Ints, now: int) -> Iterator[Told]:
        if not len(expected):
            return
        since = np.array(self._since, np.int64)[self.source[expected]]
        due = np.maximum(self.heard[expected], since) + self._allowed(expected, now)
        # a silent source's meters are its children: only what fell silent before it is told beside it
        begun = np.full(len(self.names), FOREVER, np.int64)
        for source, silent in self._sources.items():
            begun[source] = silent.begun
        own = due < begun[self.source[expected]]
        fell: defaultdict[str, list[int]] = defaultdict(list)
        for i in np.flatnonzero(own & (due <= now)).tolist():
            n = int(expected[i])
            if n not in self._meters:
                self._meters[n] = _Silent(int(due[i]), int(self.heard[n]))
                self._flagged[n] = True
                fell[self._fleet.by_number[n].site].append(n)
        for site in sorted(fell):
            if site not in self._sites:
                first = min(fell[site], key=lambda n: (self._meters[n].begun, n))
                rule = self._rule_of(first, now)
                if rule is not None:
                    begun_at = self._sites[site] = self._meters[first].begun
                    self._rules[site] = rule
                    children = np.array(fell[site], np.int64)
                    yield self._told(
                        rule, site, begun_at, State.ACTIVE, begun_at, children, self._meters[first].heard
                    )
        waiting = due[own & ~self._flagged[expected]]
        if len(waiting):
            self._due = min(self._due, int(waiting.min()))
        places = np.searchsorted(expected, np.array(list(self._meters), np.int64)).tolist()
        silent_due = {
            n: int(due[i])
            for n, i in zip(self._meters, places, strict=True)
            if i < len(due) and expected[i] == n
        }
        yield from self._back(silent_due, now)

    def _back(self, due: dict[int, int], now: int) -> Iterator[Told]:
        """Meters that are back, and those that are expected no more; a site is clear when its last one is."""
        last: dict[str, int] = {}
        for n, silent in list(self._meters.items()):
            meter = self._fleet.by_number.get(n)
            rule = self._rule_of(n, now) if meter is not None else None
            at: int | None = now if meter is None or rule is None or n not in due else None
            if at is None and rule is not None:
                at = self._cleared(silent, rule, due[n], now, int(self.heard[n]))
            if at is not None:
                del self._meters[n]
                self._flagged[n] = int(self.source[n]) in self._sources
                if meter is not None:
                    last[meter.site] = max(at, last.get(meter.site, 0))
        still = {self._fleet.by_number[n].site for n in self._meters}
        for site in sorted(last):
            if site in self._sites and site not in still:
                rule, begun = self._rules.pop(site), self._sites.pop(site)
                yield self._told(
                    rule, site, begun, State.CLEARED, last[site], np.zeros(0, np.int64), last[site]
                )

    def _rule_of(self, number: int, now: int) -> Definition | None:
        return self._book.find(RuleKind.SILENCE, self._fleet.by_number[number].subject, now)

    def _allowed(self, expected: Ints, now: int) -> Ints:
        """How long each meter may be silent, ms; FOREVER where no rule judges it. Worked out once a change of rules."""
        epoch = self._book.epoch(now)
        if epoch != self._epoch:
            self._epoch, self._allowed_of = epoch, self._allowed_at(now)
        return self._allowed_of[expected]

    def _allowed_at(self, now: int) -> Ints:
        rules = [d for d in self._book.in_force(RuleKind.SILENCE, now) if d.scope.startswith("meter:")]
        allowed = np.full(self._fleet.size, FOREVER, np.int64)
        for rule in (d for d in rules if d.scope == "meter:*" and d.is_on):
            cadence = int(rule.parameters["cadence_s"]) * SECOND_MS
            interval = np.full_like(allowed, cadence) if cadence else self._fleet.interval
            allowed = (
                int(rule.parameters["cadences"]) * interval + int(rule.parameters["grace_s"]) * SECOND_MS
            )
        own = Scopes(d for d in rules if d.scope != "meter:*")
        for number, meter in self._fleet.by_number.items() if own else ():
            if own.of(meter.subject):
                found = self._rule_of(number, now)
                allowed[number] = FOREVER if found is None else allowed_ms(found, meter.interval_ms)
        return allowed

    def _told(
        self, rule: Definition, entity: str, begun: int, state: State, at: int, meters: Ints, newest: int
    ) -> Told:
        ids = sorted(self._fleet.by_number[n].meter_id for n in meters[:CHILDREN].tolist())
        if entity.startswith("source:"):
            source: str | None = platform_of(entity.removeprefix("source:"))
        else:
            source = common({self.names[n] for n in np.unique(self.source[meters]).tolist()})
        facts = {
            "source": source,
            "silent_meters": len(meters) if state is State.ACTIVE else 0,
            "meters": ids if state is State.ACTIVE else [],
            "newest_reading": local_iso(newest),
        }
        whole = at - at % SECOND_MS
        return Told(rule, entity, "silence", begun, Transition(state, whole), facts)

    def pack(self) -> dict[str, Any]:
        """For a checkpoint: all but the blocks of meters."""
        return {
            "names": self.names,
            "since": self._since,
            "now": self._now,
            "sources": {str(source): asdict(silent) for source, silent in self._sources.items()},
            "meters": {str(number): asdict(silent) for number, silent in self._meters.items()},
            "sites": self._sites,
            "rules": {entity: rule.reference for entity, rule in self._rules.items()},
        }

    def take_blocks(self) -> Iterator[tuple[int, bytes]]:
        """Blocks of meters heard since the last checkpoint: (number, packed)."""
        for block in np.flatnonzero(self._dirty).tolist():
            span = slice(block * BLOCK, (block + 1) * BLOCK)
            yield block, np.stack([self.heard[span], self.source[span]]).tobytes()
        self._dirty[:] = False

    def unpack(self, packed: dict[str, Any], blocks: dict[int, bytes]) -> None:
        """From a checkpoint; after `begin`."""
        self.names, self._since, self._now = list(packed["names"]), list(packed["since"]), packed["now"]
        self._index = {name: n for n, name in enumerate(self.names)}
        for block, content in blocks.items():
            heard, source = np.frombuffer(content, np.int64).reshape(2, -1)
            self._grow(block * BLOCK + len(heard))
            self.heard[block * BLOCK : block * BLOCK + len(heard)] = heard
            self.source[block * BLOCK : block * BLOCK + len(heard)] = source
        named = {entity: self._book.version_named(name) for entity, name in packed["rules"].items()}
        self._rules = {entity: rule for entity, rule in named.items() if rule is not None}
        # an episode of a rule that is in no release any more is dropped
        self._sources = {
            int(n): _Silent(**silent)
            for n, silent in packed["sources"].items()
            if f"source:{self.names[int(n)]}" in self._rules
        }
        self._meters = {
            int(n): _Silent(**silent)
            for n, silent in packed["meters"].items()
            if int(n) in self._fleet.by_number
        }
        self._sites = {site: begun for site, begun in packed["sites"].items() if site in self._rules}
        self._flagged[list(self._meters)] = True
        if self._sources:
            self._flagged |= np.isin(self.source, list(self._sources))
        self._due = 0


def platform_of(source: str) -> str:
    """What a source reports through: of mqtt/gw-7 the broker, mqtt. Sources that fall silent together share it."""
    return source.partition("/")[0]


def allowed_ms(rule: Definition, interval_ms: int) -> int:
    """How long a source or meter may be silent under a rule."""
    cadence = int(rule.parameters["cadence_s"]) * SECOND_MS or interval_ms
    return int(rule.parameters["cadences"]) * cadence + int(rule.parameters["grace_s"]) * SECOND_MS
