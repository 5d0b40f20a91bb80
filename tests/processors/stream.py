"""Records of one partition of meter.readings in order, ref.* beside them, and what reads both."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from hypothesis import strategies as st

from carbonstream.processors.accepted import AcceptedCounter
from carbonstream.processors.converter import Block, Converter, Layout
from carbonstream.processors.frames import Tick, parse_record
from carbonstream.processors.meters import Meter
from carbonstream.processors.reference import Reference
from carbonstream.processors.register_history import ALWAYS, Exchange, Multiplier
from carbonstream.processors.vee.parameters import values_of
from carbonstream.schemas.codes import MeterKind
from carbonstream.schemas.frames import TYPE_READINGS, TYPE_TICK
from carbonstream.schemas.periods import month_text
from carbonstream.schemas.topics import REF_COEFFICIENTS, REF_METERS, REF_RULES, REF_SITES
from tests.processors.world import (
    COEFFICIENTS,
    ELSEWHERE,
    LIMITS,
    METERS,
    PARTITION,
    PARTITIONS,
    QUARTER_MS,
    T0,
    Document,
    broken,
    frames,
    rows,
    sound_rows,
)

LAYOUT = Layout("readings-1", "emissions-1", PARTITION, PARTITIONS)
RECEIVED = T0 + 1


def meter_record(meter: Meter) -> bytes:
    return orjson.dumps({
        "meter_id": meter.meter_id, "number": meter.number, "shard": meter.number % 64, "carrier": meter.carrier,
        "kind": MeterKind.REGISTER if meter.register else MeterKind.INTERVAL, "unit": meter.unit,
        "multiplier_milli": meter.multiplier_milli, "modulus": meter.modulus, "interval_ms": meter.interval_ms,
        "boundary": True, "valid_from_ms": meter.valid_from, "valid_to_ms": meter.valid_to, "class": meter.class_,
        "multipliers": [
            {"version": m.version, "valid_from_ms": None if m.valid_from == ALWAYS else m.valid_from, "milli": m.milli}
            for m in meter.multipliers
        ],
        "exchanges": [
            {"at_ms": x.at, "final": x.final, "initial": x.initial, "modulus": x.modulus} for x in meter.exchanges
        ],
    })  # fmt: skip


def coefficient_record(at: int) -> bytes:
    c = COEFFICIENTS[at]
    return orjson.dumps({
        "id": c.id, "carrier": c.carrier, "kind": c.kind, "scope": c.scope, "month": month_text(c.month),
        "value": str(c.value), "published_ms": T0 + at * QUARTER_MS, "document": c.document,
    })  # fmt: skip


CHANGED = T0 + 5 * QUARTER_MS
VERSIONS = (Multiplier(ALWAYS, 1, 500), Multiplier(CHANGED, 2, 2_333))
EXCHANGED = (
    Exchange(CHANGED - 60_000, 30_000, 7, 1_000_000),
    Exchange(CHANGED + 3 * QUARTER_MS, 20_000, 0, None),
)


def parameters_record(name: str, version: int = 1, words: str = "", **values: Any) -> bytes:
    """A set of the checks' parameters, of all meters where no scope is given."""
    given: dict[str, Any] = {
        "record": "parameters", "name": name, "version": version, "carrier": None, "kind": None, "interval_s": None,
        "parameters": values_of(words), "state": "on",
    }  # fmt: skip
    return orjson.dumps(given | values)


# what ref.* holds: all meters one by one, then some again with other multipliers and validity, then with exchanges
LOGS: dict[str, list[bytes | None]] = {
    REF_SITES: [
        orjson.dumps({"record": "class", "class": 7, "scopes": ["330000", "CN"]}),
        orjson.dumps({"record": "site"}),
        orjson.dumps({"record": "class", "class": 8, "scopes": ["CN"]}),
    ],
    REF_COEFFICIENTS: [coefficient_record(at) for at in range(len(COEFFICIENTS))],
    REF_METERS: [
        *(meter_record(meter) for meter in METERS),
        None,
        *(meter_record(replace(m, multiplier_milli=m.multiplier_milli * 2)) for m in METERS),
        *(meter_record(replace(m, valid_to=T0 + 5 * QUARTER_MS)) for m in METERS[:4]),
        *(meter_record(replace(m, multiplier_milli=2_333, multipliers=VERSIONS)) for m in METERS[2:6]),
        *(meter_record(replace(m, exchanges=EXCHANGED)) for m in METERS[:2]),
    ],
    REF_RULES: [
        parameters_record("hourly", 1, "value_days=5;llr_least=30;frozen_floor=6", interval_s=3_600),
        parameters_record("hourly", 2, "unit_tenfold=accept;missing_wait=1", interval_s=3_600),
        parameters_record("hourly", 3, interval_s=3_600, state="off"),
    ],
}


def apply(reference: Reference, offsets: dict[str, int]) -> None:
    """What streams.reference_log does, from memory."""
    for topic, log in LOGS.items():
        end, done = offsets.get(topic, 0), reference.offsets.get(topic, 0)
        if end <= done:
            continue
        for offset in range(done, min(end, len(log))):
            reference.apply(topic, offset, log[offset])
        reference.offsets[topic] = end
    for topic, end in offsets.items():
        if topic not in LOGS:
            reference.offsets[topic] = max(end, reference.offsets.get(topic, 0))


FIRST = {topic: len(log) for topic, log in LOGS.items()} | {REF_METERS: len(METERS), REF_RULES: 0}


@dataclass
class Worker:
    """A convert of one partition, and what it has written."""

    converter: Converter
    answers: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def start(cls, state: dict[bytes, bytes]) -> Worker:
        """Take up what meter.state holds."""
        converter = Converter(LAYOUT, LIMITS, Reference(PARTITION, PARTITIONS))
        in_force: dict[str, int] = {}
        for key, value in state.items():
            in_force |= converter.restore(key, value)
        converter.restored()
        apply(converter.reference, in_force)
        if converter.tick is not None:
            converter.reference.advance_clock(converter.tick)
        return cls(converter)

    def take(self, offset: int, record: Record, *, answer: bool = True) -> None:
        if offset <= self.converter.at:
            return
        parsed = parse_record(record.value, record.type)
        if isinstance(parsed, Tick):
            apply(self.converter.reference, parsed.reference)
            self.converter.reference.advance_clock(max(parsed.time, self.converter.tick or 0))
        out = self.converter.handle(offset, parsed, record.value, RECEIVED, answer=answer)
        assert (out is not None) is answer
        if out is not None:
            self.answers[offset] = out.value

    def checkpoint(self) -> list[Block]:
        return list(self.converter.blocks())


def counted(
    records: list[Record], before: AcceptedCounter | None = None, *, one_by_one: bool = False
) -> AcceptedCounter:
    """What the ledger's own reader makes of them; `before` counted the records before."""
    counter = AcceptedCounter(PARTITION, PARTITIONS, LIMITS, Reference(PARTITION, PARTITIONS))
    if before is not None:
        counter.tick, counter.registers = before.tick, before.registers.copy()
        counter.sequences, counter.released = deepcopy(before.sequences), set(before.released)
        apply(counter.reference, before.reference.offsets)
    for record in records:
        parsed = parse_record(record.value, record.type)
        if isinstance(parsed, Tick):
            apply(counter.reference, parsed.reference)
            counter.advance(parsed.time)
        elif record.type != TYPE_TICK:
            counter.count(record.value, one_by_one=one_by_one)
    return counter


@dataclass(frozen=True)
class Record:
    value: bytes
    type: str = TYPE_READINGS


# everything is registered, and late enough for what the tests send
TICK_OF_ALL = Record(
    orjson.dumps(
        {
            "tick": PARTITION,
            "time": T0 + 12 * QUARTER_MS,
            "reference": FIRST,
        }
    ),
    TYPE_TICK,
)


@st.composite
def ticks(draw: st.DrawFn) -> Document:
    ends = {topic: draw(st.integers(0, len(log))) for topic, log in LOGS.items() if draw(st.booleans())}
    if not draw(st.integers(0, 3)):
        ends["ref.targets"] = draw(st.integers(0, 3))
    return {"tick": PARTITION, "time": T0 + draw(st.integers(-2, 20)) * QUARTER_MS, "reference": ends}


@st.composite
def streams(draw: st.DrawFn, most: int = 14) -> list[Record]:
    """Registered from the first tick on, mostly; sequence numbers mostly grow."""
    records: list[Record] = []
    if draw(st.integers(0, 4)):
        time = T0 + draw(st.sampled_from([0, 12, 12])) * QUARTER_MS
        records.append(Record(orjson.dumps({"tick": PARTITION, "time": time, "reference": FIRST}), TYPE_TICK))
    sequences: dict[Any, int] = {}
    for _ in range(draw(st.integers(1, most))):
        kind = draw(st.integers(0, 11))
        if kind == 0:
            records.append(draw(st.binary(max_size=20).map(Record)))
        elif kind == 1:
            records.append(Record(orjson.dumps(draw(broken()))))
        elif kind == 2 and records:
            records.append(draw(st.sampled_from(records)))
        elif kind in (3, 4):
            tick = orjson.dumps(draw(ticks()))
            records.append(Record(tick, draw(st.sampled_from([TYPE_TICK, TYPE_READINGS]))))
        else:
            document = draw(frames(sound_rows() | sound_rows() | rows()))
            if "quality" not in document:
                document["source"] = draw(st.sampled_from(["http/gw-7", "replay/plant"]))
            if not draw(st.integers(0, 19)):
                document["shard"] = ELSEWHERE
            key = document["source"], document["mode"], document["shard"]
            sequences[key] = sequences.get(key, -1) + draw(st.sampled_from([1, 1, 1, 1, 0, -1, 5]))
            document["seq"] = max(sequences[key], 0)
            records.append(Record(orjson.dumps(document)))
    return records
