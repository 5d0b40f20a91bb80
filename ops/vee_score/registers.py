"""What convert itself says of registers: readings in, the answers it writes to carbon.emissions out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from carbonstream.ops.vee_score.judging import CARRIER, LIMITS, OUTCOME_CHECKS, READINGS, TOLD, Plant
from carbonstream.ops.vee_score.register_faults import Register
from carbonstream.processors.converter import Converter, Layout
from carbonstream.processors.frames import MISSING, UNIT_OF_METER, Frame
from carbonstream.processors.meters import Meter
from carbonstream.processors.reference import Reference
from carbonstream.processors.vee.profile import Habits
from carbonstream.schemas.codes import Decision, Mode, Outcome
from carbonstream.schemas.shards import meter_number

Array = NDArray[Any]
Ints = NDArray[np.int64]
SHARD: Final = 0
LAYOUT: Final = Layout("score", "score", 0, 1)


def convert(registers: list[Register], before: list[int], school: Plant, series: Ints) -> Array:
    """TOLD entries: which reading of which register told what.

    before: of each register when it stood where it starts, UTC ms; series: whose habit in `school` it has.
    An index that convert rejects stays so until the exchange is recorded, as an operator would.
    """
    reference = Reference(LAYOUT.partition, LAYOUT.partitions)
    meters = [
        Meter(
            f"score/{i}", meter_number(SHARD, i), CARRIER, True, "kWh", 1_000, r.modulus, school.interval_ms,
            0, None, 0,
        )
        for i, r in enumerate(registers)
    ]  # fmt: skip
    for meter in meters:
        reference.shard(SHARD).put(meter)
    converter = Converter(LAYOUT, LIMITS, reference)
    habits = converter.habits[SHARD] = Habits()
    habits.reserve(len(registers))
    for name in ("profile", "recent", "habit"):
        getattr(habits, name)[: len(registers)] = getattr(school.habits, name)[series]
    recorded: defaultdict[int, list[int]] = defaultdict(list)
    for i, register in enumerate(registers):
        for reading, _ in register.exchanges:
            recorded[reading].append(i)
    start = np.array([r.start / 1_000 for r in registers])
    _say(converter, 0, meters, np.arange(len(meters)), np.array(before), start)
    told: list[tuple[int, int, int, int]] = []
    last = max(len(r.delivery.end) for r in registers)
    for first, until in pairwise(sorted({*range(0, last, READINGS), *recorded, last})):
        for i in recorded[first]:
            known = tuple(x for reading, x in registers[i].exchanges if reading <= first)
            meters[i] = replace(meters[i], exchanges=known)
            reference.shard(SHARD).put(meters[i])
        ends = [r.delivery.end[first:until] for r in registers]
        of = np.repeat(np.arange(len(registers)), [len(part) for part in ends])
        reading = first + np.concatenate([np.arange(len(part)) for part in ends])
        index = np.concatenate([r.delivery.value[first:until] for r in registers])
        answer = _say(converter, first + 1, meters, of, np.concatenate(ends), index)
        told += [(of[row], reading[row], check, decision) for row, check, decision in answer]
    return np.array(told, TOLD)


def _say(
    converter: Converter, at: int, meters: list[Meter], of: Ints, end: Ints, index: NDArray[np.float64]
) -> list[tuple[int, int, int]]:
    """(row, check, decision) of one frame's answer. of: each reading's meter."""
    n = len(end)
    frame = Frame(
        "score", SHARD, at, 0, Mode.BACKFILL, [m.meter_id for m in meters], of, np.full(n, MISSING),
        end, index, np.full(n, UNIT_OF_METER), {"end": end.tolist(), "value": index.tolist()},
    )  # fmt: skip
    answer = converter.handle(at, frame, None, 0)
    if answer is None:
        return []
    document: dict[str, Any] = orjson.loads(answer.value)
    found = [(f["row"], f["check"], f["decision"]) for f in document["findings"]]
    code = document["code"]
    codes = [code] * n if isinstance(code, int) else code
    return found + [
        (row, code + OUTCOME_CHECKS, Decision.REJECT)
        for row, code in enumerate(codes)
        if code > Outcome.BASELINE
    ]
