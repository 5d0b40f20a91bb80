"""One partition of convert, without Kafka: records in, one emissions record out for each, and state that can be
written down in blocks and taken up again.

Recovery: a block written at source offset X already holds every frame up to X, so frames up to X do not touch it
again; frames up to the last answered offset S change state but are not answered twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from carbonstream.processors.checks import judge
from carbonstream.processors.editing import judge_edits
from carbonstream.processors.emissions import (
    Standing,
    answer_frame,
    answer_refusal,
    answer_tick,
    refuse_frame,
)
from carbonstream.processors.frames import Frame, Refusal, Tick
from carbonstream.processors.judged import Judged, Limits
from carbonstream.processors.meters import BLOCK, NEVER, PAST, STATE, ShardState
from carbonstream.processors.reference import Reference
from carbonstream.processors.sequences import Runs, runs_of, take
from carbonstream.processors.vee import keeping
from carbonstream.processors.vee.findings import NOTHING, Readings, records
from carbonstream.processors.vee.parameter_sets import Chosen
from carbonstream.processors.vee.profile import Habits
from carbonstream.processors.vee.registers import HELD, examine_registers
from carbonstream.processors.vee.rules import apply_rules
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER
from carbonstream.schemas.codes import SENT_MODES, Check, Decision, Mode, Outcome, Quality
from carbonstream.schemas.errors import LayoutChanged
from carbonstream.schemas.shards import partition_of

CARRIER_IDS: Final = {number: carrier.id for number, carrier in CARRIER_BY_NUMBER.items()}
STATE_VERSION: Final = 2
BLOCK_BYTES: Final = BLOCK * (STATE.itemsize + PAST * 8)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a partition's state belongs to; a recreated or re-partitioned topic has another."""

    readings_topic: str
    emissions_topic: str
    partition: int
    partitions: int


@dataclass(frozen=True, slots=True)
class Block:
    """One record of meter.state. The partition's own record (`is_partition`) is written after all others."""

    key: bytes
    value: bytes
    is_partition: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """One record of carbon.emissions. tick: its time where it answers a tick; rejects: how many it holds."""

    value: bytes
    tick: int | None = None
    rejects: int = 0


class Converter:
    """State and logic of one partition. Not thread-safe; no I/O; the clock is the last tick."""

    def __init__(self, layout: Layout, limits: Limits, reference: Reference) -> None:
        self.layout = layout
        self.limits = limits
        self.reference = reference
        self.shards: dict[int, ShardState] = {}
        self.habits: dict[int, Habits] = {}
        self.seqs: dict[str, Runs] = {}
        self.tick: int | None = None
        self.at = -1  # source offset of the last handled record
        self.outcomes: np.ndarray[Any, np.dtype[np.int64]] = np.zeros(64, np.int64)  # readings by Outcome
        self._block_at: dict[tuple[int, int], int] = {}  # only while recovering
        self._profiles: list[
            tuple[int, int, int, bytes]
        ] = []  # (shard, slot, at, packed), only while recovering
        self._recovered_to = -1

    def handle(
        self,
        offset: int,
        record: Frame | Tick | Refusal,
        payload: bytes | None,
        received: int,
        *,
        answer: bool = True,
    ) -> Answer | None:
        """Take one record of meter.readings in; return its emissions record (None where answer is False).

        A tick's reference offsets must have been applied to `self.reference` before.
        """
        at = Standing(
            self.layout.readings_topic, self.layout.partition, offset, self.at, received, self.tick or 0
        )
        if isinstance(record, Frame):
            out = self._frame(offset, record, at, answer)
        elif isinstance(record, Tick):
            out = self._tick(record, at)
        else:
            if answer:
                self.outcomes[record.code] += max(record.readings, 1)
            out = Answer(answer_refusal(record, payload, at), rejects=1)
        self.at = offset
        return out if answer else None

    def _tick(self, tick: Tick, at: Standing) -> Answer:
        if self.tick is None or tick.time > self.tick:
            self.tick = tick.time
        now = Standing(at.topic_id, at.partition, at.offset, at.previous, at.received, self.tick)
        return Answer(answer_tick(now, self.reference.offsets), tick=self.tick)

    def _frame(self, offset: int, frame: Frame, at: Standing, answer: bool) -> Answer | None:
        known = self.reference.shard(frame.shard).lookup(frame.meters)
        refused = self._refused(frame)
        if refused is not None:
            if not answer:
                return None
            self.outcomes[refused] += len(frame)
            return Answer(refuse_frame(frame, refused, known, at), rejects=len(frame))
        state = self.shards.get(frame.shard)
        if state is None:
            state = self.shards[frame.shard] = ShardState()
        step = judge_edits if frame.mode is Mode.EDIT else judge
        judged = step(frame, known, state, self.tick, self.limits)
        found = NOTHING
        if self.reference.rules and frame.mode in SENT_MODES:
            found = apply_rules(
                self.reference.rules, self.reference.rules_generation, frame, known, judged, state.newest
            )
        chosen = self.reference.checks.of_meters(known)
        told = self._examine(offset, frame, judged, chosen), self._turned(offset, frame, judged, state)
        if sum(map(len, told)):
            told_here = chosen.decide(np.concatenate(told), frame.meter)
            _question(judged, told_here)
            found = np.concatenate([found, told_here])
        self._remember(offset, frame.shard, state, judged)
        if not answer:
            return None
        if judged.is_usual:
            self.outcomes[Outcome.STORED] += len(frame)
            rejects = 0
        else:
            counts = np.bincount(judged.code, minlength=64)
            self.outcomes += counts
            rejects = int(counts[Outcome.DUPLICATE :].sum())
        return Answer(
            answer_frame(
                frame,
                judged,
                known,
                self.reference.resolve,
                CARRIER_IDS,
                at,
                findings=self._records(found, chosen) if len(found) else (),
                generation=self.reference.generation,
            ),
            rejects=rejects,
        )

    def _refused(self, frame: Frame) -> Outcome | None:
        """Why the whole frame is not taken; its number counts as seen from now on."""
        if partition_of(frame.shard, self.layout.partitions) != self.layout.partition:
            return Outcome.WRONG_PARTITION
        if not take(self.seqs.setdefault(sequence_key(frame), []), frame.seq):
            return Outcome.DUPLICATE
        return None

    def _remember(self, offset: int, shard: int, state: ShardState, judged: Judged) -> None:
        slots, newest, past = judged.updates, judged.newest, judged.past
        if not len(slots):
            return
        if offset <= self._recovered_to:
            late = self._is_late(offset, shard, slots)
            slots, newest, past = slots[late], newest[late], past[late]
            if not len(slots):
                return
        state.put(slots, newest, past)

    def _examine(self, offset: int, frame: Frame, judged: Judged, chosen: Chosen) -> np.ndarray[Any, Any]:
        """FINDING entries of the frame's readings that were taken."""
        if frame.mode not in SENT_MODES:  # made from habit, or judged before: it says nothing of it
            return NOTHING
        rows = np.arange(len(frame)) if judged.is_usual else np.flatnonzero(judged.code == Outcome.STORED)
        if offset <= self._recovered_to:
            rows = rows[self._is_late(offset, frame.shard, judged.slot[rows])]
        if not len(rows):
            return NOTHING
        habits = self.habits.get(frame.shard)
        if habits is None:
            habits = self.habits[frame.shard] = Habits(keeps_before=True)
        register, interval = judged.master["register"], judged.master["interval_ms"]
        if not judged.is_usual:  # of which an interval meter's reading covers its interval
            interval = np.where(register, interval, judged.end - judged.start)
        readings = Readings(
            slot=judged.slot,
            start=judged.start,
            end=judged.end,
            quantity=judged.quantity,
            interval=interval,  # an interval meter's reading covers what it says; an index stands for a moment
            register=register,
        )
        meter = frame.meter
        if len(rows) < len(frame):
            readings, meter = readings.take(rows), meter[rows]
        found: np.ndarray[Any, Any] = chosen.examine(readings, meter, habits)
        # whether an interval is told again the sink sees in the rows; here only a hash of them is known
        found = found[found["check"] != Check.DUPLICATE]
        if len(found):
            found["row"] = rows[found["row"]]
        return found

    def _turned(self, offset: int, frame: Frame, judged: Judged, state: ShardState) -> np.ndarray[Any, Any]:
        """FINDING entries of registers that rolled over, began anew, or told a zero in between."""
        habits = self.habits.get(frame.shard)
        if frame.mode is Mode.EDIT:
            self._release_held(offset, frame.shard, judged)
            return NOTHING
        slot, register = judged.slot, judged.master["register"]
        if judged.is_usual and habits is not None:
            habits.reserve(int(slot[-1]) + 1)
            if np.count_nonzero(habits.held[slot, 0] == NEVER) == len(slot):
                return NOTHING
        told = register & ((judged.code == Outcome.REGISTER_BACKWARDS) | (judged.code == Outcome.STORED))
        rows = np.flatnonzero(told)
        if offset <= self._recovered_to:
            rows = rows[self._is_late(offset, frame.shard, slot[rows])]
        if habits is None or not len(rows):
            return NOTHING
        habits.reserve(int(slot[rows].max()) + 1)
        newest, held = state.newest, habits.held
        rows = rows[
            judged.end[rows] > newest["end"][slot[rows]]
        ]  # a late index lies between two that are known
        # across an exchange an index says nothing of the one before it, nor of one that waits
        across = newest["end"][slot[rows]] <= judged.master["steady_from"][rows]
        across &= judged.code[rows] == Outcome.STORED
        held[slot[rows[across]]] = NEVER
        rows = rows[~across]
        odd = (judged.raw_index[rows] < newest["raw"][slot[rows]]) | (held[slot[rows], 0] != NEVER)
        if not odd.any():
            return NOTHING
        found: list[np.ndarray[Any, Any]] = []
        before: dict[int, int] = {}  # by slot: the newest index of this frame
        waiting = held.view(HELD).reshape(-1)
        for row in rows[np.argsort(judged.end[rows], kind="stable")].tolist():  # rare, so one by one
            s, raw, code = int(slot[row]), judged.raw_index[[row]], judged.code[[row]]
            last = before.get(s, int(newest["raw"][s]))
            at = np.array([s])
            part = examine_registers(at, judged.end[[row]], raw, code, np.array([last]), waiting).findings
            part["row"] = row
            found.append(part)
            if code[0] == Outcome.STORED:
                before[s] = int(raw[0])
        return np.concatenate(found)

    def _records(self, found: np.ndarray[Any, Any], chosen: Chosen) -> list[dict[str, Any]]:
        """FINDING entries as carbon.emissions has them, each with what judged it."""
        by_rule = (found["check"] == Check.RULE).tolist()
        return records(
            found,
            [
                (self.reference.rules[int(size)] if is_rule else chosen.sets[which]).reference
                for is_rule, size, which in zip(
                    by_rule, found["size"].tolist(), found["set"].tolist(), strict=True
                )
            ],
        )

    def _release_held(self, offset: int, shard: int, judged: Judged) -> None:
        """An index that waits for the next was below one that is struck: nothing is odd about it any more."""
        habits, rows = self.habits.get(shard), judged.void
        if habits is None or not len(rows):
            return
        slots = judged.slot[rows[judged.master["register"][rows]]]
        if offset <= self._recovered_to:
            slots = slots[self._is_late(offset, shard, slots)]
        if len(slots):
            habits.reserve(int(slots.max()) + 1)
            habits.held[slots] = NEVER

    def _is_late(self, offset: int, shard: int, slots: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Whether the blocks of these slots were written before this frame."""
        return np.array(
            [self._block_at.get((shard, b), -1) < offset for b in (slots // BLOCK).tolist()], np.bool_
        )

    def blocks(self) -> Iterator[Block]:
        """The changed profiles and blocks as they stand, then the partition's own record. Marks all as written."""
        dirty = [(shard, n) for shard in sorted(self.shards) for n in self.shards[shard].take_dirty()]
        prefix = b"convert/%d" % self.layout.partition
        for shard, habits in sorted(self.habits.items()):
            for slot, packed in keeping.take_profiles(habits):
                head = {"version": STATE_VERSION, "shard": shard, "slot": slot, "at": self.at}
                key = b"%b/%d/profile/%d" % (prefix, shard, slot)
                yield Block(key, orjson.dumps(head) + b"\n" + packed, False)
        for shard, number in dirty:
            head = {"version": STATE_VERSION, "shard": shard, "block": number, "at": self.at}
            packed = self.shards[shard].block(number)
            if shard in self.habits:
                packed += keeping.recent_block(self.habits[shard], number)
            yield Block(b"%b/%d/%d" % (prefix, shard, number), orjson.dumps(head) + b"\n" + packed, False)
        own = {
            "version": STATE_VERSION,
            "at": self.at,
            "tick": self.tick,
            "seqs": self.seqs,
            "reference": dict(sorted(self.reference.offsets.items())),
            "readings_topic": self.layout.readings_topic,
            "emissions_topic": self.layout.emissions_topic,
            "partitions": self.layout.partitions,
        }
        yield Block(prefix, orjson.dumps(own), True)

    def restore(self, key: bytes, value: bytes) -> dict[str, int]:
        """Take one record of meter.state up; later records of a key replace earlier ones.

        `restored` must follow the last one. Returns the reference offsets that were in force (of the partition's own
        record, else {}).
        Raises LayoutChanged when the state belongs to another topic or partition count.
        """
        head, _, packed = value.partition(b"\n")
        document = orjson.loads(head)
        if document["version"] != STATE_VERSION:
            raise LayoutChanged(
                f"meter.state {key!r} was written in layout {document['version']}, this convert reads {STATE_VERSION}: "
                "start with new topics, or with the convert that wrote it"
            )
        if "slot" in document:
            self._profiles.append((document["shard"], document["slot"], document["at"], packed))
            return {}
        if "shard" in document:
            shard, number, at = document["shard"], document["block"], document["at"]
            recent = packed[BLOCK_BYTES:]
            self.shards.setdefault(shard, ShardState()).restore(number, packed[:BLOCK_BYTES])
            if recent:
                keeping.restore_recent(
                    self.habits.setdefault(shard, Habits(keeps_before=True)), number, recent
                )
            self._block_at[shard, number] = at
            self._recovered_to = max(self._recovered_to, at)
            return {}
        for name, ours in (
            ("readings_topic", self.layout.readings_topic),
            ("emissions_topic", self.layout.emissions_topic),
            ("partitions", self.layout.partitions),
        ):
            if document[name] != ours:
                raise LayoutChanged(
                    f"meter.state of partition {self.layout.partition} was written for {name} {document[name]}, "
                    f"now it is {ours}; `carbonstream repair` opens a new epoch"
                )
        self.at, self.tick = document["at"], document["tick"]
        self.seqs = {key: runs_of(kept) for key, kept in document["seqs"].items()}
        return dict(document["reference"])

    def restored(self) -> None:
        """All records are taken up: profiles can now be told apart from their blocks' state."""
        for shard, slot, at, packed in self._profiles:
            habits = self.habits.setdefault(shard, Habits(keeps_before=True))
            is_met = at <= self._block_at.get((shard, slot // BLOCK), -1)
            keeping.restore_profile(habits, slot, packed, is_met=is_met)
        self._profiles.clear()


def _question(judged: Judged, found: np.ndarray[Any, Any]) -> None:
    """Mark what is taken and questionable."""
    row = found["row"][found["decision"] == Decision.QUESTION]
    judged.quality[row[judged.code[row] == Outcome.STORED]] = Quality.QUESTIONABLE


def sequence_key(frame: Frame) -> str:
    """A source counts its frames by mode and shard."""
    return f"{frame.source}|{frame.mode.value}|{frame.shard}"


def rebased(value: bytes, readings_topic: str, emissions_topic: str) -> bytes:
    """A record of meter.state for recreated topics: what was remembered of meters and sources, at no offset yet."""
    head, newline, packed = value.partition(b"\n")
    document = orjson.loads(head) | {"at": -1}
    if "shard" not in document:
        document |= {"readings_topic": readings_topic, "emissions_topic": emissions_topic, "reference": {}}
    return orjson.dumps(document) + newline + packed
