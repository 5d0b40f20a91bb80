"""What was accepted, counted from meter.readings alone: the ledger's first hop.

Deliberately its own plain code, one reading at a time, sharing nothing with convert's judgement: only so does the
ledger prove anything. An interval meter's reading counts what it claims; a register's what its index moved since
the newest one before it.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import orjson

from carbonstream.processors.checks import Limits
from carbonstream.processors.ledger import ELECTRICITY, NO_DAY, Count, metered_wh, site_text
from carbonstream.processors.meters import NO_END, NO_MODULUS, ShardMeters
from carbonstream.processors.reference import Reference
from carbonstream.schemas.carriers import THOUSANDTHS, UNITS, BaseUnit
from carbonstream.schemas.frames import MAX_READINGS
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS, YEAR_2000_MS
from carbonstream.schemas.shards import SHARDS, meter_number, partition_of

ACCEPTED: Final = 0
LAST_END_MS: Final = 4_102_444_800_000  # 2100
LONGEST_MS: Final = 32 * DAY_MS

Line = tuple[str, str, int]  # source, site, day


class AcceptedCounter:
    """Counts one partition. `registers`: dense number -> (end, index) of the newest one counted."""

    def __init__(self, partition: int, partitions: int, limits: Limits, reference: Reference) -> None:
        self.partition, self.partitions = partition, partitions
        self.limits = limits
        self.reference = reference
        self.tick: int | None = None
        self.registers: dict[int, tuple[int, int]] = {}
        self.moved: set[int] = set()
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
            ends = frame["end"]
            n = len(ends) if isinstance(ends, list) else 0
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return
        source = frame.get("source")
        if n > MAX_READINGS or not self._is_sound(frame, n):
            self._lines[source if isinstance(source, str) else "", "", NO_DAY][0] += n
            return
        shard = frame["shard"]
        here = partition_of(shard, self.partitions) == self.partition
        meters = self.reference.shard(shard) if here else ShardMeters(shard)
        units, starts = frame.get("unit"), frame.get("start")
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
            unit = units[i] if isinstance(units, list) else units
            start = starts[i] if starts is not None else None
            line[1] += self._wh(
                frame, meters.master[slot], meter_number(shard, slot), start, end, unit, frame["value"][i]
            )

    def _wh(self, frame: Any, master: Any, number: int, start: Any, end: int, unit: Any, value: Any) -> int:
        unit = UNITS[master["unit"]] if unit is None else unit
        milli = int(master["multiplier_milli"])
        if not isinstance(unit, str):
            return 0
        if not master["register"]:
            return metered_wh(value, unit, milli)
        if (
            metered_wh(value, unit, milli) == 0
            and value != 0
            or THOUSANDTHS.get(unit, (None,))[0] is not BaseUnit.KWH
        ):
            return 0
        if not self._is_timely(frame["mode"] if "mode" in frame else "live", start, end):
            return 0
        if end < master["valid_from"] or (master["valid_to"] != NO_END and end > master["valid_to"]):
            return 0
        index = round(value * THOUSANDTHS[unit][1])
        before = self.registers.get(number)
        if before is None:
            moved = 0
        elif end <= before[0]:
            return 0
        elif index >= before[1]:
            moved = index * milli // 1_000 - before[1] * milli // 1_000
        else:
            modulus = int(master["modulus"])
            turned = (
                modulus != NO_MODULUS and modulus > before[1] and (index + modulus - before[1]) * 2 < modulus
            )
            if not turned:
                return 0
            moved = (modulus + index) * milli // 1_000 - before[1] * milli // 1_000
        self.registers[number] = end, index
        self.moved.add(number)
        return moved

    def _is_timely(self, mode: str, start: Any, end: int) -> bool:
        if start is not None and not (type(start) is int and start < end and end - start <= LONGEST_MS):
            return False
        first = end if start is None else start
        if first < YEAR_2000_MS or end <= 0:
            return False
        if self.tick is None:
            return True
        if mode == "live":
            ahead = self.limits.live_max_ahead_ms
            return end <= self.tick + ahead and first >= self.tick - self.limits.live_max_age_ms
        return end <= self.tick + self.limits.backfill_max_ahead_ms

    def _is_sound(self, frame: Any, n: int) -> bool:
        """Whether columns fit together, so that single readings can be told apart."""
        meters, meter, unit, start = (frame.get(name) for name in ("meters", "meter", "unit", "start"))
        shard, seq, sent = frame.get("shard"), frame.get("seq"), frame.get("sent")
        return (
            isinstance(frame.get("source"), str)
            and frame["source"] != ""
            and all(type(x) is int and x >= 0 for x in (shard, seq, sent))
            and shard < SHARDS
            and seq < 2**62
            and sent < LAST_END_MS
            and frame.get("mode", "live") in ("live", "backfill")
            and isinstance(frame["end"], list)
            and isinstance(frame.get("value"), list)
            and isinstance(meter, list)
            and isinstance(meters, list)
            and len(frame["value"]) == len(meter) == n
            and (not isinstance(unit, list) or len(unit) == n)
            and (start is None or (isinstance(start, list) and len(start) == n))
            and all(isinstance(m, str) for m in meters)
            and all(type(i) is int and 0 <= i < len(meters) for i in meter)
        )
