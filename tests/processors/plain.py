"""What convert should decide, written the long way: one reading at a time, exact numbers, no arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from carbonstream.processors.checks import Limits
from carbonstream.processors.meters import Meter
from carbonstream.schemas.carriers import CARRIER_BY_NUMBER, THOUSANDTHS, thousandths_in
from carbonstream.schemas.codes import Outcome, Quality
from carbonstream.schemas.errors import InvalidReading
from carbonstream.schemas.periods import DAY_MS, YEAR_2000_MS
from carbonstream.schemas.shards import shard_of, site_of

LATEST_MS = 4_102_444_800_000


@dataclass
class Verdict:
    code: Outcome
    start: int
    end: int
    quantity: int = 0
    raw_index: int = -1
    quality: Quality = Quality.RAW


@dataclass
class Newest:
    end: int
    start: int
    raw: int


@dataclass
class PlainConvert:
    """Meters of one shard by id, and the newest reading of each."""

    meters: dict[str, Meter]
    limits: Limits
    newest: dict[str, Newest] = field(default_factory=dict)

    def judge(self, document: dict[str, Any], now: int | None) -> list[Verdict]:
        n = len(document["end"])
        starts, units = document.get("start") or [None] * n, document.get("unit")
        verdicts: list[Verdict] = []
        sound: list[tuple[str, int, int, int, int]] = []
        for i in range(n):
            id_ = document["meters"][document["meter"][i]]
            unit = units[i] if isinstance(units, list) else units
            given = Given(id_, starts[i], document["end"][i], document["value"][i], unit)
            verdict, raw = self._first(given, document["shard"], document["mode"], now)
            verdicts.append(verdict)
            if verdict.code is Outcome.STORED:
                sound.append((id_, verdict.end, i, verdict.start, raw))
        for id_ in dict.fromkeys(entry[0] for entry in sound):
            mine = sorted(entry[1:] for entry in sound if entry[0] == id_)
            place = self._register if self.meters[id_].register else self._interval
            place(id_, mine, verdicts)
        return verdicts

    def _first(self, given: Given, shard: int, mode: str, now: int | None) -> tuple[Verdict, int]:
        """What a reading is by itself: STORED stands for sound."""
        end = given.end if is_time(given.end) else None
        start = given.start if is_time(given.start) else None
        told_end = 0 if end is None else end
        meter = self.meters.get(given.meter)
        raw = None if meter is None else amount(given, meter)
        claim = 0 if meter is None or meter.register or raw is None else raw * meter.multiplier_milli // 1000

        def verdict(code: Outcome) -> tuple[Verdict, int]:
            return Verdict(code, told_end if start is None else start, told_end, claim), raw or 0

        if type(given.value) not in (int, float):
            return verdict(Outcome.NOT_A_NUMBER)
        if end is None or (given.start is not None and start is None):
            return verdict(Outcome.INTERVAL)
        if start is not None and not 0 < end - start <= 32 * DAY_MS:
            return verdict(Outcome.INTERVAL)
        first = end if start is None else start
        if now is not None:
            ahead = self.limits.live_max_ahead_ms if mode == "live" else self.limits.backfill_max_ahead_ms
            if end > now + ahead:
                return verdict(Outcome.FUTURE)
        if first < YEAR_2000_MS:
            return verdict(Outcome.ANCIENT)
        if now is not None and mode == "live" and first < now - self.limits.live_max_age_ms:
            return verdict(Outcome.ANCIENT)
        if given.unit is not None and (type(given.unit) is not str or given.unit not in THOUSANDTHS):
            return verdict(Outcome.UNIT)
        if meter is None:
            return verdict(Outcome.UNKNOWN_METER if is_here(given.meter, shard) else Outcome.WRONG_PARTITION)
        if thousandths_in(given.unit or meter.unit, CARRIER_BY_NUMBER[meter.carrier].base_unit) is None:
            return verdict(Outcome.UNIT)
        if given.value < 0:
            return verdict(Outcome.NEGATIVE)
        if raw is None:
            return verdict(Outcome.RANGE)
        if meter.register:
            first = end
        elif start is None:
            first = end - meter.interval_ms
        if first < meter.valid_from or (meter.valid_to is not None and end > meter.valid_to):
            return verdict(Outcome.OUTSIDE_VALIDITY)
        return verdict(Outcome.STORED)

    def _interval(self, id_: str, mine: list[tuple[int, int, int, int]], verdicts: list[Verdict]) -> None:
        known, before = self.newest.get(id_), self.newest.get(id_)
        for end, i, given, raw in mine:
            start = end - self.meters[id_].interval_ms if given == end else given  # none was given
            this = Newest(end, start, raw)
            if this in (known, before):
                verdicts[i].code = Outcome.DUPLICATE
            else:
                verdicts[i].start, verdicts[i].quality = start, Quality.VALID
                if known is None or end >= known.end:
                    self.newest[id_] = this
            before = this

    def _register(self, id_: str, mine: list[tuple[int, int, int, int]], verdicts: list[Verdict]) -> None:
        meter = self.meters[id_]
        for end, i, _, raw in mine:
            verdict, last = verdicts[i], self.newest.get(id_)
            step = None if last is None else self._step(meter, last, end, raw)
            if isinstance(step, Outcome):
                verdict.code = step
                continue
            verdict.quality, verdict.raw_index = Quality.VALID, raw
            if last is None or step is None:
                verdict.code, verdict.start = Outcome.BASELINE, end
            else:
                verdict.start, verdict.quantity = last.end, step
            self.newest[id_] = Newest(end, verdict.start, raw)

    def _step(self, meter: Meter, last: Newest, end: int, raw: int) -> int | Outcome:
        milli = meter.multiplier_milli
        if end <= last.end:
            same = end == last.end and raw == last.raw
            return Outcome.DUPLICATE if same else Outcome.LATE_INDEX
        if raw >= last.raw:
            return raw * milli // 1000 - last.raw * milli // 1000
        if meter.modulus is not None and meter.modulus > last.raw:
            turned = meter.modulus + raw
            if 2 * (turned - last.raw) < meter.modulus:
                return turned * milli // 1000 - last.raw * milli // 1000
        return Outcome.REGISTER_BACKWARDS


@dataclass(frozen=True)
class Given:
    meter: str
    start: Any
    end: Any
    value: Any
    unit: Any


def is_time(value: object) -> bool:
    return type(value) is int and -LATEST_MS <= value <= LATEST_MS


def is_here(meter_id: str, shard: int) -> bool:
    try:
        return shard_of(site_of(meter_id)) == shard
    except InvalidReading:
        return False


def amount(given: Given, meter: Meter) -> int | None:
    """Thousandths of the meter's base unit before the multiplier; None where that is no sound amount."""
    unit = meter.unit if given.unit is None else given.unit
    if type(given.value) not in (int, float) or type(unit) is not str or unit not in THOUSANDTHS:
        return None
    scale = thousandths_in(unit, CARRIER_BY_NUMBER[meter.carrier].base_unit)
    if scale is None:
        return None
    scaled = float(given.value) * scale
    if not 0 <= scaled * max(meter.multiplier_milli, 1000) <= 10**18:
        return None
    return round(scaled)
