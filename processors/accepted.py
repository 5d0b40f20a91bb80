"""What was accepted, counted from meter.readings alone: the ledger's first hop.

Deliberately its own plain code, one reading at a time, sharing nothing with convert's judgement: only so does
the ledger prove anything. An interval meter's reading counts what it claims; a register's what its index moved
since the newest one before it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import orjson

from carbonstream.processors.checks import Limits
from carbonstream.processors.ledger import ELECTRICITY, NO_DAY, Count, site_text
from carbonstream.processors.meters import NO_END, NO_MODULUS, ShardMeters
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

Line = tuple[str, str, int]  # source, site, day


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
        self._sites: dict[str, str] = {}

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
        meters = self.reference.shard(shard) if here else ShardMeters(shard)
        again = here and self._is_known(frame)
        units: Any = frame.get("unit")
        starts: Any = frame.get("start")
        for i in sorted(range(n), key=lambda j: ends[j] if type(ends[j]) is int else 0):
            meter_id = frame["meters"][frame["meter"][i]]
            end = ends[i] if type(ends[i]) is int and abs(ends[i]) <= LAST_END_MS else 0
            site = self._sites.get(meter_id)
            if site is None:
                site = self._sites[meter_id] = site_text(meter_id)
            line = self._lines[source, site, (end - 1 + OFFSET_MS) // DAY_MS if end > 0 else NO_DAY]
            line[0] += 1
            slot = meters.slots.get(meter_id)
            if slot is None or meters.master[slot]["carrier"] != ELECTRICITY:
                continue
            master = meters.master[slot]
            unit = units[i] if isinstance(units, list) else units
            index = _index_wh(frame["value"][i], UNITS[master["unit"]] if unit is None else unit, master)
            if index is None:
                continue
            if not master["register"]:
                line[1] += index * int(master["multiplier_milli"]) // 1_000
            elif not again and self._is_timely(frame.get("mode", "live"), starts and starts[i], end, master):
                line[1] += self._move(meter_number(shard, slot), end, index, master)

    def _is_known(self, frame: Any) -> bool:
        """Whether a frame of this or a higher number was counted before: then it is not taken again."""
        key = frame["source"], frame.get("mode", "live"), frame["shard"]
        if frame["seq"] <= self.sequences.get(key, -1):
            return True
        self.sequences[key] = frame["seq"]
        return False

    def _move(self, number: int, end: int, index: int, master: Any) -> int:
        """Wh a register's index (Wh before the multiplier) moved since the newest before it."""
        milli, modulus = int(master["multiplier_milli"]), int(master["modulus"])
        before = self.registers.get(number)
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
        self.registers[number] = end, index
        self.moved.add(number)
        return moved

    def _is_timely(self, mode: str, start: Any, end: int, master: Any) -> bool:
        if start is not None and not (type(start) is int and start < end and end - start <= LONGEST_MS):
            return False
        first = end if start is None else start
        if first < YEAR_2000_MS or end <= 0:
            return False
        if end < master["valid_from"] or (master["valid_to"] != NO_END and end > master["valid_to"]):
            return False
        if self.tick is None:
            return True
        if mode == "live":
            ahead = self.limits.live_max_ahead_ms
            return end <= self.tick + ahead and first >= self.tick - self.limits.live_max_age_ms
        return end <= self.tick + self.limits.backfill_max_ahead_ms

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
            and all(isinstance(m, str) and len(m) <= LONGEST_NAME and "\0" not in m for m in meters)
            and all(type(i) is int and 0 <= i < len(meters) for i in meter)
        )


def _index_wh(value: Any, unit: Any, master: Any) -> int | None:
    """A value in Wh before the multiplier; None where it is no sound amount of electricity."""
    if type(value) not in (int, float) or not isinstance(unit, str) or unit not in THOUSANDTHS:
        return None
    base, scale = THOUSANDTHS[unit]
    least_milli = max(int(master["multiplier_milli"]), 1_000)
    sound = base is BaseUnit.KWH and 0 <= value * scale * least_milli <= MOST_WH * 1_000
    return round(value * scale) if sound else None
