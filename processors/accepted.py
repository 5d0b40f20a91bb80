"""What was accepted, counted from meter.readings alone: the ledger's first hop.

Deliberately its own plain code, one reading at a time, sharing nothing with convert's judgement: only so does
the ledger prove anything. An interval meter's reading counts what it claims; a register's what its index moved
since the newest one before it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import orjson

from carbonstream.processors.checks import Limits
from carbonstream.processors.ledger import ELECTRICITY, NO_DAY, Count, site_text
from carbonstream.processors.meters import NO_MODULUS, ShardMeters
from carbonstream.processors.reference import Reference
from carbonstream.schemas.carriers import THOUSANDTHS, UNITS, BaseUnit
from carbonstream.schemas.frames import MAX_READINGS
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS, YEAR_2000_MS
from carbonstream.schemas.shards import SHARDS, meter_number, partition_of

ACCEPTED: Final = 0
LAST_END_MS: Final = 4_102_444_800_000  # 2100
LONGEST_MS: Final = 32 * DAY_MS
MOST_WH: Final = 10**15
LONGEST_NAME: Final = 200

NUMBERS: Final = (int, float)
LISTS_REMEMBERED: Final = 5_000  # of up to 500 meters

Line = tuple[str, str, int]  # source, site, day


@dataclass(frozen=True, slots=True)
class _Meter:
    """One meter; only its site where the shard has no such meter."""

    site: str
    number: int = -1
    electric: bool = False
    register: bool = False
    scale: float | None = None  # Wh in its unit
    multiplier_milli: int = 0
    least_milli: int = 0  # the multiplier, or 1
    modulus: int = 0  # Wh before the multiplier, NO_MODULUS
    valid_from: int = 0  # UTC ms
    valid_to: int = 0


class AcceptedCounter:
    """Counts one partition. `registers`: dense number -> (end, index) of the newest one counted; `sequences`:
    (source, mode, shard) -> number of the newest frame.
    """

    def __init__(self, partition: int, partitions: int, limits: Limits, reference: Reference) -> None:
        self.partition, self.partitions = partition, partitions
        self.limits = limits
        self.reference = reference
        self.tick: int | None = None
        self.registers: dict[int, tuple[int, int]] = {}
        self.moved: set[int] = set()
        self.sequences: dict[tuple[str, str, int], int] = {}
        self._lines: defaultdict[Line, list[int]] = defaultdict(lambda: [0, 0])
        self._seen: dict[tuple[Any, ...], tuple[list[str], list[_Meter]]] = {}
        self._read: dict[str, int] = {}  # reference offsets that _seen was read at

    def take(self) -> tuple[list[Count], dict[int, tuple[int, int]]]:
        """What was counted since the last call: ledger lines, and registers that moved."""
        counts = [Count(*line, ACCEPTED, n, wh) for line, (n, wh) in self._lines.items()]
        moved = {number: self.registers[number] for number in self.moved}
        self._lines.clear()
        self.moved.clear()
        return counts, moved

    def advance(self, tick_ms: int) -> None:
        """A tick passed; its reference offsets must have been applied before."""
        self.tick = max(tick_ms, self.tick or 0)

    def count(self, value: bytes | None) -> None:
        """Count one record that is not a tick."""
        try:
            frame = orjson.loads(value or b"")
        except orjson.JSONDecodeError:
            return
        if not isinstance(frame, dict) or "tick" in frame:
            return
        ends: Any = frame.get("end")
        source: Any = frame.get("source")
        n = len(ends) if isinstance(ends, list) else 0
        if not self._is_sound(frame, n):
            self._lines[source if self._is_name(source) else "", "", NO_DAY][0] += n
            return
        shard = frame["shard"]
        here = partition_of(shard, self.partitions) == self.partition
        again = here and self._is_known(frame)
        units: Any = frame.get("unit")
        starts: Any = frame.get("start")
        oldest, newest = self._window(frame.get("mode", "live"))
        values, at = frame["value"], frame["meter"]
        meters = self._meters(shard, frame["meters"], here)
        times = _times(ends)
        site, then, line = "", -1, [0, 0]
        for i in sorted(range(n), key=times.__getitem__):
            meter, end, value = meters[at[i]], times[i], values[i]
            if end != then or meter.site != site:
                site, then = meter.site, end
                line = self._lines[source, site, (end - 1 + OFFSET_MS) // DAY_MS if end > 0 else NO_DAY]
            line[0] += 1
            unit = units[i] if type(units) is list else units
            scale = meter.scale if unit is None else _scale(unit)
            if not meter.electric or scale is None or type(value) not in NUMBERS:
                continue
            amount = value * scale
            if not 0 <= amount * meter.least_milli <= MOST_WH * 1_000:
                continue
            if not meter.register:
                line[1] += round(amount) * meter.multiplier_milli // 1_000
                continue
            first = end
            if starts and (first := starts[i]) is None:
                first = end
            elif starts and not (type(first) is int and first < end and end - first <= LONGEST_MS):
                continue
            if oldest <= first and end <= newest and meter.valid_from <= end <= meter.valid_to and not again:
                line[1] += self._move(meter, end, round(amount))

    def _window(self, mode: str) -> tuple[int, int]:
        """(oldest, newest) UTC ms that a register's index may reach to be taken."""
        if self.tick is None:
            return YEAR_2000_MS, LAST_END_MS
        if mode == "live":
            oldest = max(YEAR_2000_MS, self.tick - self.limits.live_max_age_ms)
            return oldest, self.tick + self.limits.live_max_ahead_ms
        return YEAR_2000_MS, self.tick + self.limits.backfill_max_ahead_ms

    def _meters(self, shard: int, ids: list[str], here: bool) -> list[_Meter]:
        """What is known of a list of meters, remembered as long as the reference data are the same."""
        if self._read != self.reference.offsets or len(self._seen) >= LISTS_REMEMBERED:
            self._read = dict(self.reference.offsets)
            self._seen.clear()
        key = (shard, here, len(ids), ids[0] if ids else "", ids[-1] if ids else "")
        seen = self._seen.get(key)
        if seen is None or seen[0] != ids:
            meters = self.reference.shard(shard) if here else ShardMeters(shard)
            seen = self._seen[key] = ids, [_known(meters, shard, meter_id) for meter_id in ids]
        return seen[1]

    def _is_known(self, frame: Any) -> bool:
        """Whether a frame of this or a higher number was counted before: then it is not taken again."""
        key = frame["source"], frame.get("mode", "live"), frame["shard"]
        if frame["seq"] <= self.sequences.get(key, -1):
            return True
        self.sequences[key] = frame["seq"]
        return False

    def _move(self, meter: _Meter, end: int, index: int) -> int:
        """Wh a register's index (Wh before the multiplier) moved since the newest before it."""
        milli, modulus = meter.multiplier_milli, meter.modulus
        before = self.registers.get(meter.number)
        moved = 0
        if before is not None:
            if end <= before[0]:
                return 0
            turned = 0
            if index < before[1]:
                turned = modulus
                if modulus == NO_MODULUS or modulus <= before[1]:
                    return 0
                if (index + modulus - before[1]) * 2 >= modulus:
                    return 0
            moved = (turned + index) * milli // 1_000 - before[1] * milli // 1_000
        self.registers[meter.number] = end, index
        self.moved.add(meter.number)
        return moved

    def _is_name(self, text: Any) -> bool:
        return isinstance(text, str) and 0 < len(text) <= LONGEST_NAME and "\0" not in text

    def _is_sound(self, frame: Any, n: int) -> bool:
        """Whether columns fit together, so that single readings can be told apart."""
        meters, meter, unit, start = (frame.get(name) for name in ("meters", "meter", "unit", "start"))
        shard, seq, sent = frame.get("shard"), frame.get("seq"), frame.get("sent")
        return (
            n <= MAX_READINGS
            and self._is_name(frame.get("source"))
            and all(type(x) is int and x >= 0 for x in (shard, seq, sent))
            and shard < SHARDS
            and seq < 2**62
            and sent < LAST_END_MS
            and frame.get("mode", "live") in ("live", "backfill")
            and isinstance(frame.get("end"), list)
            and isinstance(frame.get("value"), list)
            and isinstance(meter, list)
            and isinstance(meters, list)
            and len(frame["value"]) == len(meter) == n
            and (not isinstance(unit, list) or len(unit) == n)
            and (start is None or (isinstance(start, list) and len(start) == n))
            and len(meters) <= MAX_READINGS
            and set(map(type, meters)) <= {str}
            and max(map(len, meters), default=0) <= LONGEST_NAME
            and "\0" not in "".join(meters)
            and set(map(type, meter)) <= {int}
            and min(meter, default=0) >= 0
            and max(meter, default=-1) < len(meters)
        )


def _known(meters: ShardMeters, shard: int, meter_id: str) -> _Meter:
    """One meter as plain values: an array's entry costs ten times as much to look at."""
    site, slot = site_text(meter_id), meters.slots.get(meter_id)
    if slot is None:
        return _Meter(site)
    master = meters.master[slot]
    return _Meter(
        site,
        meter_number(shard, slot),
        bool(master["carrier"] == ELECTRICITY),
        bool(master["register"]),
        _scale(UNITS[master["unit"]]),
        int(master["multiplier_milli"]),
        max(int(master["multiplier_milli"]), 1_000),
        int(master["modulus"]),
        int(master["valid_from"]),
        int(master["valid_to"]),
    )


def _times(ends: list[Any]) -> list[int]:
    """Ends as UTC ms, 0 for what is no time."""
    if set(map(type, ends)) <= {int} and -LAST_END_MS <= min(ends, default=0) <= max(ends, default=0) <= LAST_END_MS:
        return ends
    return [end if type(end) is int and abs(end) <= LAST_END_MS else 0 for end in ends]


def _scale(unit: Any) -> float | None:
    """Wh in a unit of electricity; None where it is none."""
    if not isinstance(unit, str) or unit not in THOUSANDTHS:
        return None
    base, scale = THOUSANDTHS[unit]
    return scale if base is BaseUnit.KWH else None
