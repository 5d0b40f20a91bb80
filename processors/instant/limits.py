"""Rules interval-limit and maximum-demand: a meter's mean rate in a time slot against a limit.

rate = quantity x 3,600 s / slot, in base units an hour: kW of an electricity meter, m3/h of a gas meter; a register's
quantity has its multiplier (CT x PT) already. Limit of maximum-demand: k x capacity.

Most slots are below their limit and change nothing. They are passed over without a step of Python for each: a reading
that is exactly the next slot of a meter with nothing under way, and not above its limit, only moves the meter on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np

from carbonstream.processors.instant.episodes import Episode, Level
from carbonstream.processors.instant.readings import FOREVER, NEVER, Fleet, Frame, Ints, Meter
from carbonstream.processors.instant.slots import Slot, SlotRule, Slots, resumed
from carbonstream.processors.instant.told import Told
from carbonstream.processors.total_records import EXACT, text
from carbonstream.processors.warning_rules import Definition, RuleBook
from carbonstream.processors.warnings import State
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import HOUR_MS, local_iso
from carbonstream.schemas.warning_rules import RuleKind

KINDS: Final = (RuleKind.INTERVAL_LIMIT, RuleKind.MAXIMUM_DEMAND)
Key = tuple[int, RuleKind]


def limit_of(rule: Definition) -> Decimal:
    """Base units an hour above which a slot's rate is too high."""
    if rule.kind is RuleKind.MAXIMUM_DEMAND:
        return EXACT.multiply(rule.parameters["k"], rule.parameters["capacity"])
    return rule.parameters["limit"]


def quantity_at(rate: Decimal, length: int) -> Decimal:
    """Thousandths of the base unit in a slot of `length` ms at a rate, exact."""
    return EXACT.divide(EXACT.multiply(rate, Decimal(length)), Decimal(HOUR_MS // 1_000))


def level_of(quantity: int, rule: Definition, length: int) -> Level:
    """Where a slot's rate lies against the rule's limit and its deadband; exact."""
    limit = limit_of(rule)
    rate = Decimal(quantity * (HOUR_MS // 1_000))
    if rate > EXACT.multiply(limit, Decimal(length)):
        return Level.ABOVE
    clear = EXACT.scaleb(EXACT.multiply(limit, EXACT.subtract(Decimal(100), rule.parameters["deadband"])), -2)
    return Level.BELOW if rate <= EXACT.multiply(clear, Decimal(length)) else Level.WITHIN


@dataclass(slots=True)
class _Watched:
    """One meter under one kind of rule."""

    meter: Meter
    kind: RuleKind
    slots: Slots
    episode: Episode
    rule: Definition | None = None  # of the episode under way
    source: str | None = None  # through which its readings came last
    under: int = 0  # highest quantity of a slot that no version of a rule calls too high


class Limits(SlotRule[_Watched]):
    """Every meter that a limit is set for."""

    def __init__(self) -> None:
        super().__init__()
        self._watched: dict[Key, _Watched] = {}
        self._of: dict[int, list[_Watched]] = {}  # by meter number
        self._is_watched = np.zeros(0, np.bool_)  # by meter number, as all that follows
        self._next: Ints = np.zeros(0, np.int64)  # start of the next slot where nothing is under way, else -1
        self._length: Ints = np.zeros(0, np.int64)
        self._under: Ints = np.zeros(0, np.int64)  # highest quantity of a slot that changes nothing
        self._late = 0  # readings that came too late to be judged, since the last look

    def begin(self, fleet: Fleet, book: RuleBook) -> None:
        """Meters or rules have changed. What is under way goes on until its rule judges it no more."""
        self._rest()
        self._book, before = book, self._watched
        self._due = 0
        self._watched, self._of = {}, {}
        rules = book.scopes(*KINDS)
        for meter in fleet.by_number.values() if rules else ():
            held = rules.of(meter.subject)
            for kind in KINDS if held else ():
                own = [d for d in held if d.kind is kind]
                if not own:
                    continue
                length = max(
                    int(max(own, key=lambda d: d.valid_from).parameters["period_s"]) * 1_000,
                    meter.interval_ms,
                )
                watched = before.get((meter.number, kind))
                if watched is None:
                    watched = _Watched(meter, kind, Slots(length), Episode())
                elif watched.slots.length != length:
                    watched.slots = watched.slots.recut(length)
                watched.meter = meter
                watched.under = min(
                    (int(quantity_at(limit_of(d), length)) for d in own if d.is_on), default=FOREVER
                )
                self._watched[meter.number, kind] = watched
                self._of.setdefault(meter.number, []).append(watched)
        self._is_watched = np.zeros(fleet.size, np.bool_)
        self._is_watched[list(self._of)] = True
        self._next = np.full(fleet.size, -1, np.int64)
        self._length, self._under = np.zeros(fleet.size, np.int64), np.zeros(fleet.size, np.int64)
        for number in self._of:
            self._settle(number)

    def frame(self, frame: Frame) -> Iterator[Told]:
        """What a frame's readings change."""
        if not self._of or frame.mode is Mode.ESTIMATE or not len(frame):
            return
        rows = np.flatnonzero(
            (frame.number < len(self._is_watched)) & frame.taken() & (frame.end > frame.start)
        )
        rows = rows[self._is_watched[frame.number[rows]]]
        if not len(rows):
            return
        number, start, end, quantity = (
            column[rows] for column in (frame.number, frame.start, frame.end, frame.quantity)
        )
        if frame.is_distinct:  # else a meter's readings must go one after the other
            plain = (
                (start == self._next[number])
                & (end - start == self._length[number])
                & (quantity <= self._under[number])
            )
            self._next[number[plain]] = end[plain]
            number, start, end, quantity = (column[~plain] for column in (number, start, end, quantity))
        is_live = frame.mode is Mode.LIVE
        for n, begin, finish, amount in zip(
            number.tolist(), start.tolist(), end.tolist(), quantity.tolist(), strict=True
        ):
            self._wake(n)
            for watched in self._of[n]:
                watched.source = frame.source
                if not watched.slots.add(begin, finish, amount, is_live=is_live):
                    self._late += 1
        for n in sorted(
            set(number.tolist())
        ):  # when all is in: a frame may bring hours of a meter, in any order
            for watched in self._of[n]:
                yield from self._judge(watched, NEVER)
            self._settle(n)

    def clock(self, now: int) -> Iterator[Told]:
        """What the clock gives out at `now` (UTC ms)."""
        if now < self._due:
            return
        self._due = FOREVER
        for number, several in self._of.items():
            for watched in several:
                due = watched.slots.due()
                if watched.slots.is_live and (
                    not watched.episode.is_idle or (due is not None and due <= now)
                ):
                    yield from self._judge(watched, now)
                    self._settle(number)
                elif watched.slots.is_live and due is not None:
                    self._due = min(self._due, due)

    def take_late(self) -> int:
        """Readings that came too late to be judged since this was asked last."""
        late, self._late = self._late, 0
        return late

    def _step(self, watched: _Watched, slot: Slot) -> Told | None:
        episode, length = watched.episode, watched.slots.length
        rule = watched.rule or self._book.find(watched.kind, watched.meter.subject, slot.start)
        if rule is None:
            return None
        quantity = slot.quantity
        level = Level.UNKNOWN if quantity is None else level_of(quantity, rule, length)
        on_ms, off_ms = (int(rule.parameters[name]) * 1_000 for name in ("on_s", "off_s"))
        transition = episode.step(slot.start, length, quantity or 0, level, on_ms, off_ms)
        watched.rule = rule if episode.begun is not None else None
        if transition is None or episode.begun is None:
            return None
        told = Told(rule, watched.meter.site, watched.meter.meter_id, episode.begun, transition, {
            **_facts(watched, rule, slot.start, quantity or 0),
            "peak": _rate(episode.peak, length), "peak_at": local_iso(episode.peak_at),
        })  # fmt: skip
        if transition.state is State.CLEARED:
            episode.end()
            watched.rule = None
        return told

    def _wake(self, number: int) -> None:
        """From here on a meter is judged slot by slot: take over how far it has come."""
        if self._next[number] >= 0:
            for watched in self._of[number]:
                watched.slots.at = int(self._next[number])
                watched.slots.newest = max(watched.slots.newest, watched.slots.at)
            self._next[number] = -1

    def _settle(self, number: int) -> None:
        """Let a meter be passed over by column where nothing of it is under way."""
        several = self._of[number]
        first = several[0].slots
        is_idle = all(
            w.episode.is_idle
            and not w.slots.pieces
            and w.slots.at == first.at
            and w.slots.length == first.length
            for w in several
        )
        if not is_idle or first.at is None:
            self._next[number] = -1
            return
        self._under[number] = min(watched.under for watched in several)
        self._length[number], self._next[number] = first.length, first.at

    def _rest(self) -> None:
        for number in self._of:
            self._wake(number)

    def pack(self) -> list[dict[str, Any]]:
        """For a checkpoint."""
        self._rest()
        packed = [
            {
                "meter": number,
                "kind": kind.value,
                "source": watched.source,
                "slots": watched.slots.pack(),
                "episode": watched.episode.pack(),
                "rule": None if watched.rule is None else watched.rule.reference,
            }
            for (number, kind), watched in self._watched.items()
            if watched.slots.at is not None
        ]
        for number in self._of:
            self._settle(number)
        return packed

    def unpack(self, packed: Iterable[Mapping[str, Any]]) -> None:
        """From a checkpoint; after `begin`. What is no longer watched is left out."""
        for entry in packed:
            watched = self._watched.get((entry["meter"], RuleKind(entry["kind"])))
            if watched is None:
                continue
            length, slots = watched.slots.length, Slots.unpack(entry["slots"])
            watched.slots = slots if slots.length == length else slots.recut(length)
            watched.source = entry.get("source")  # checkpoints of before name none
            watched.rule, watched.episode = resumed(self._book, entry["rule"], entry["episode"])
            self._due = 0
        for number in self._of:
            self._settle(number)


def _rate(quantity: int, length: int) -> str | None:
    """Base units an hour, rounded half-even to 3 decimals: for people, never to decide."""
    rate = EXACT.divide(Decimal(quantity * (HOUR_MS // 1_000)), Decimal(length))
    return text(EXACT.quantize(rate, Decimal("0.001")))


def _facts(watched: _Watched, rule: Definition, slot: int, quantity: int) -> dict[str, Any]:
    length = watched.slots.length
    unit = CARRIER_BY_NUMBER[watched.meter.carrier].base_unit.value
    return {
        "meter": watched.meter.meter_id,
        "source": watched.source,
        "from": local_iso(slot),
        "until": local_iso(slot + length),
        "quantity": text(EXACT.scaleb(Decimal(quantity), -3)),
        "unit": unit,
        "rate": _rate(quantity, length),
        "rate_unit": "kW" if unit == "kWh" else f"{unit}/h",
        "threshold": text(limit_of(rule)),
    }
