"""What convert should decide, written the long way: one reading at a time, exact numbers, no arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from carbonstream.processors.judged import Limits
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
    points: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # (end, index), the last five
    first: dict[str, tuple[int, int]] = field(default_factory=dict)
    cuts: list[tuple[int, int, int, int]] = field(default_factory=list)  # row, start, end, quantity

    def judge(self, document: dict[str, Any], now: int | None) -> list[Verdict]:
        n = len(document["end"])
        starts, units = document.get("start") or [None] * n, document.get("unit")
        quality = document.get("quality")
        qualities = quality if isinstance(quality, list) else [quality] * n
        estimates = document["mode"] == "estimate"
        is_odd = (document["source"] == "estimator") != estimates or (quality is not None) != estimates
        said = [q if estimates and not is_odd and q in (8, 9) else None for q in qualities]
        odd = [is_odd or (estimates and q is None) for q in said]
        meters = self.meters
        if estimates:  # nothing is left to multiply
            meters = {i: replace(m, multiplier_milli=1000) for i, m in meters.items()}
        said_of = [None if q is None else Quality(q) for q in said]
        verdicts: list[Verdict] = []
        sound: list[tuple[str, int, int, int, int]] = []
        for i in range(n):
            id_ = document["meters"][document["meter"][i]]
            unit = units[i] if isinstance(units, list) else units
            given = Given(id_, starts[i], document["end"][i], document["value"][i], unit)
            is_refused = odd[i] or (estimates and (id_ not in meters or meters[id_].register))
            verdict, raw = self._first(given, document["shard"], document["mode"], now, meters, is_refused)
            verdicts.append(verdict)
            if verdict.code is Outcome.STORED:
                sound.append((id_, verdict.end, i, verdict.start, raw))
        for id_ in dict.fromkeys(entry[0] for entry in sound):
            mine = sorted(entry[1:] for entry in sound if entry[0] == id_)
            if estimates:
                self._estimates(id_, mine, verdicts, said_of)
                continue
            place = self._register if self.meters[id_].register else self._interval
            place(id_, mine, verdicts)
        return verdicts

    def _estimates(
        self,
        id_: str,
        mine: list[tuple[int, int, int, int]],
        verdicts: list[Verdict],
        said: list[Quality | None],
    ) -> None:
        """Judged like an interval meter's readings, but remembered nowhere."""
        kept = self.newest.get(id_)
        self._interval(id_, mine, verdicts)
        self.newest.pop(id_, None)
        if kept is not None:
            self.newest[id_] = kept
        for _, i, _, raw in mine:
            verdict, quality = verdicts[i], said[i]
            verdict.quantity = raw
            if verdict.code is Outcome.STORED and quality is not None:
                verdict.quality = quality

    def _first(
        self, given: Given, shard: int, mode: str, now: int | None, meters: dict[str, Meter], is_refused: bool
    ) -> tuple[Verdict, int]:
        """What a reading is by itself: STORED stands for sound."""
        end = given.end if is_time(given.end) else None
        start = given.start if is_time(given.start) else None
        told_end = 0 if end is None else end
        meter = meters.get(given.meter)
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
            ahead = self.limits.live_max_ahead_ms if mode != "backfill" else self.limits.backfill_max_ahead_ms
            if end > now + ahead:
                return verdict(Outcome.FUTURE)
        if first < YEAR_2000_MS:
            return verdict(Outcome.ANCIENT)
        if now is not None and mode != "backfill" and first < now - self.limits.live_max_age_ms:
            return verdict(Outcome.ANCIENT)
        if given.unit is not None and (type(given.unit) is not str or given.unit not in THOUSANDTHS):
            return verdict(Outcome.UNIT)
        if is_refused:
            return verdict(Outcome.ESTIMATE)
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
        elif mode in ("live", "backfill") and end - start > meter.interval_ms and meter.interval_ms < DAY_MS:
            return verdict(Outcome.INTERVAL)
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
        for end, i, _, raw in mine:
            verdict = verdicts[i]
            verdict.code, start, quantity = self._place(id_, i, (end, raw))
            if verdict.code in (Outcome.STORED, Outcome.BASELINE):
                verdict.quality, verdict.raw_index = Quality.VALID, raw
                verdict.start, verdict.quantity = start, quantity
                if end == self.points[id_][-1][0]:
                    self.newest[id_] = Newest(end, start, raw)
            elif verdict.code in (Outcome.REGISTER_BACKWARDS, Outcome.REGISTER_JUMP):
                verdict.raw_index = raw

    def _place(self, id_: str, row: int, this: tuple[int, int]) -> tuple[Outcome, int, int]:
        points, end = self.points.setdefault(id_, []), this[0]
        if not points:
            self.first[id_] = this
            points.append(this)
            return Outcome.BASELINE, end, 0
        known = [*points, self.first[id_]]
        if end in [at for at, _ in known]:
            return Outcome.DUPLICATE if this in known else Outcome.LATE_INDEX, end, 0
        before, after = [p for p in points if p[0] < end], [p for p in points if p[0] > end]
        if end < self.first[id_][0]:
            first = self.first[id_]
            if first[0] - end > 32 * DAY_MS:
                return Outcome.LATE_INDEX, end, 0
            rest = self._energy(id_, this, first)
            if rest is None:
                return Outcome.LATE_INDEX, end, 0
            self.first[id_] = this
            self.cuts.append((row, end, first[0], rest))
            if points[0] == first and len(points) < 5:
                points.insert(0, this)
            return Outcome.BASELINE, end, 0
        if not before:
            return Outcome.LATE_INDEX, end, 0
        quantity = self._energy(id_, before[-1], this)
        rest = self._energy(id_, this, after[0]) if after else 0
        if quantity is None or rest is None:
            falls = Outcome.REGISTER_BACKWARDS if this[1] < before[-1][1] else Outcome.REGISTER_JUMP
            return Outcome.LATE_INDEX if after else falls, end, 0
        if after:
            if quantity + rest != self._energy(id_, before[-1], after[0]):
                return Outcome.LATE_INDEX, end, 0
            self.cuts.append((row, end, after[0][0], rest))
        self.points[id_] = sorted([*points, this])[-5:]
        return Outcome.STORED, before[-1][0], quantity

    def _energy(self, id_: str, a: tuple[int, int], b: tuple[int, int]) -> int | None:
        meter = self.meters[id_]
        milli, modulus = meter.multiplier_milli, meter.modulus
        energy, step = b[1] * milli // 1000 - a[1] * milli // 1000, b[1] - a[1]
        if b[1] < a[1]:
            if modulus is None or modulus <= a[1] or 2 * (b[1] + modulus - a[1]) >= modulus:
                return None
            energy, step = energy + modulus * milli // 1000, step + modulus
        hours, turn = (b[0] - a[0]) / 3_600_000, modulus or 10**12
        within = max(turn / (1_000 if b[1] == 0 else 10), turn * hours / 1_500)
        return energy if step <= within else None


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
    if not 0 <= scaled * max(meter.multiplier_milli, 1000) <= 10**16:
        return None
    return round(scaled)
