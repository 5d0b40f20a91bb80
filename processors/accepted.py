"""What was accepted, counted from meter.readings alone: the ledger's first hop.

Deliberately its own plain code, sharing nothing with convert's judgement: only so does the ledger prove anything. An
interval meter's reading counts what it claims; a register's what its index moved since the newest one before it, or up
to the first one where it lies before that. An index between two known ones moves nothing.
A frame is counted one reading at a time, or, where each meter stands in it once and nothing is odd, by columns; both
ways give the same (a property test holds them together).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from carbonstream.processors.accepted_edits import Edited, behind, edited_wh
from carbonstream.processors.accepted_frames import LAST_END_MS, Gap, is_name, is_sound, newest_day
from carbonstream.processors.accepted_meters import ListedMeter, ListedMeters, listed, listed_meter, wh_in
from carbonstream.processors.accepted_registers import Registers, between, milli_at
from carbonstream.processors.grouping import grouped
from carbonstream.processors.judged import MAX_QUANTITY, Limits
from carbonstream.processors.ledger import NO_DAY, Count
from carbonstream.processors.meters import NEVER, ShardMeters
from carbonstream.processors.reference import Reference
from carbonstream.processors.release import Origin, Release, release_of
from carbonstream.processors.sequences import Runs, skipped, take
from carbonstream.schemas import topics
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.frames import SOURCE_ESTIMATOR
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS, YEAR_2000_MS
from carbonstream.schemas.shards import SHARDS, partition_of

ACCEPTED: Final = 0
LONGEST_MS: Final = 32 * DAY_MS

NUMBERS: Final = (int, float)
NEVER_TIMELY: Final = (LAST_END_MS + 1, LAST_END_MS + 1)
LISTS_REMEMBERED: Final = 5_000  # of up to 500 meters

Line = tuple[str, str, int]  # source, site, day
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class AcceptedCounter:
    """Counts one partition. `registers`: the newest index counted of each; `sequences`: (source, mode, shard) ->
    numbers of the frames seen; `released`: held readings that were counted before, when they were sent again.
    """

    def __init__(self, partition: int, partitions: int, limits: Limits, reference: Reference) -> None:
        self.partition, self.partitions = partition, partitions
        self.limits = limits
        self.reference = reference
        self.tick: int | None = None
        self.registers = Registers()
        self.sequences: dict[tuple[str, str, int], Runs] = {}
        self.released: set[Origin] = set()
        self._gaps: list[Gap] = []
        self._lines: defaultdict[Line, list[int]] = defaultdict(lambda: [0, 0])
        self._seen: dict[tuple[Any, ...], ListedMeters] = {}
        self._read = 0  # offset of ref.meters that _seen was read at

    def take(self) -> tuple[list[Count], Ints]:
        """What was counted since the last call: ledger lines, and registers that moved, as take_moved."""
        counts = [Count(*line, ACCEPTED, n, wh) for line, (n, wh) in self._lines.items() if n or wh]
        self._lines.clear()
        return counts, self.registers.take_moved()

    def take_gaps(self) -> list[Gap]:
        """Gaps in the sources' numbers found since the last call."""
        gaps, self._gaps = self._gaps, []
        return gaps

    def advance(self, tick_ms: int) -> None:
        """A tick passed; its reference offsets must have been applied before."""
        self.tick = max(tick_ms, self.tick or 0)

    def count(self, value: bytes | None, *, one_by_one: bool = False) -> None:
        """Count one record that is not a tick. one_by_one: do not take the way by columns."""
        try:
            frame = orjson.loads(value or b"")
        except orjson.JSONDecodeError:
            return
        if not isinstance(frame, dict) or "tick" in frame:
            return
        ends: Any = frame.get("end")
        n = len(ends) if isinstance(ends, list) else 0
        if not is_sound(frame, n):
            source: Any = frame.get("source")
            self._lines[source if is_name(source) else "", "", NO_DAY][0] += n
            return
        shard, at = frame["shard"], frame["meter"]
        here = partition_of(shard, self.partitions) == self.partition
        again = here and self._is_known(frame)
        mode = frame.get("mode", Mode.LIVE)
        estimates = mode == Mode.ESTIMATE
        meters = self._meters(shard, frame["meters"], here, estimates)
        refused = frame["source"] == SOURCE_ESTIMATOR or frame.get("quality") is not None
        times = _times(ends)
        window = NEVER_TIMELY if again or (refused and not estimates) else self._window(mode)
        if mode == Mode.EDIT:
            self._count_edits(frame, meters, times, NEVER_TIMELY if again else self._window(mode))
        elif (release := release_of(frame, n)) is not None:
            if here and not again:
                self._count_release(frame, meters, times, window, release)
        elif (
            times is ends
            and frame.get("start") is None
            and not isinstance(frame.get("unit"), list)
            and meters.are_distinct
            and len(set(at)) == n > 0
            and set(map(type, frame["value"])) <= set(NUMBERS)
            and min(ends) > meters.steady_from
            and not one_by_one
        ):
            self._count_columns(frame, meters, window)
        else:
            self._count_each(frame, meters, times, window)

    def _count_release(
        self,
        frame: dict[str, Any],
        meters: ListedMeters,
        times: list[int],
        window: tuple[int, int],
        release: Release,
    ) -> None:
        """Readings sent again once their meters were registered: accepted before, only their energy is new."""
        first: list[int] = []
        for i, origin in enumerate(release.origins):
            if meters.each[frame["meter"][i]].number >= 0 and origin not in self.released:
                self.released.add(origin)
                first.append(i)
        part = frame | {"source": release.source}
        for name in ("meter", "end", "value", "start", "unit"):
            if isinstance(column := frame.get(name), list):
                part[name] = [column[i] for i in first]
        lines, self._lines = self._lines, defaultdict(lambda: [0, 0])
        self._count_each(part, meters, [times[i] for i in first], window)
        counted, self._lines = self._lines, lines
        for line, (_, wh) in counted.items():
            self._lines[line][1] += wh

    def _count_edits(
        self, frame: dict[str, Any], meters: ListedMeters, times: list[int], window: tuple[int, int]
    ) -> None:
        """Count a sound frame of mode edit."""
        left: set[int] = set()  # entries that go with a strike that is not taken
        struck_here: set[int] = set()  # numbers of meters
        for i, (at, end) in enumerate(zip(frame["meter"], times, strict=True)):
            meter = meters.each[at]
            day = (end - 1 + OFFSET_MS) // DAY_MS if end > 0 else NO_DAY
            line = self._lines[frame["source"], meter.site, day]
            line[0] += 1
            if meter.electric:
                wh = None if i in left else _edited_wh(frame, i, end, meter, window)
                if meter.register and frame["value"][i] is None:
                    merged = behind(frame, i)
                    is_whole = merged is None or _edited_wh(frame, i + 1, merged, meter, window) is not None
                    is_new = meter.number not in struck_here
                    if wh is not None and is_whole and is_new and self._strike(meter, frame, i, end):
                        struck_here.add(meter.number)
                    else:
                        wh = None
                        left |= {i + 1} if merged is not None else set()
                line[1] += wh or 0

    def _count_each(
        self, frame: dict[str, Any], meters: ListedMeters, times: list[int], window: tuple[int, int]
    ) -> None:
        """Count a sound frame one reading at a time, in time order. times: ends as UTC ms, 0 where none.

        window: (oldest, newest) UTC ms an index may reach to be taken.
        """
        source, values, at = frame["source"], frame["value"], frame["meter"]
        units: Any = frame.get("unit")
        starts: Any = frame.get("start")
        oldest, newest = window
        site, then, line = "", -1, [0, 0]
        for i in sorted(range(len(times)), key=times.__getitem__):
            meter, end, value = meters.each[at[i]], times[i], values[i]
            if end != then or meter.site != site:
                site, then = meter.site, end
                line = self._lines[source, site, (end - 1 + OFFSET_MS) // DAY_MS if end > 0 else NO_DAY]
            line[0] += 1
            unit = units[i] if isinstance(units, list) else units
            scale = meter.scale if unit is None else wh_in(unit)
            if not meter.electric or scale is None or type(value) not in NUMBERS:
                continue
            amount = value * scale
            milli = milli_at(meter.history, meter.multiplier_milli, end)
            if not 0 <= amount * max(milli, 1_000) <= MAX_QUANTITY * 1_000:
                continue
            if not meter.register:
                line[1] += round(amount) * milli // 1_000
                continue
            first = end
            if starts and (first := starts[i]) is None:
                first = end
            elif starts and not (type(first) is int and first < end and end - first <= LONGEST_MS):
                continue
            if oldest <= first and end <= newest and meter.valid_from <= end <= meter.valid_to:
                line[1] += self._move(meter, end, round(amount))

    def _count_columns(self, frame: dict[str, Any], meters: ListedMeters, window: tuple[int, int]) -> None:
        """Count a sound frame of distinct meters, one unit and no starts, all at once."""
        position, end = frame["meter"], np.array(frame["end"], np.int64)
        in_order = position == meters.in_order  # as nearly always: then no column is gathered anew
        which = slice(None) if in_order else np.array(position, np.int64)
        unit = frame.get("unit")
        scale = meters.scale[which] if unit is None else np.array(wh_in(unit), np.float64)  # None becomes NaN
        with np.errstate(invalid="ignore", over="ignore"):
            amount = np.array(frame["value"], np.float64) * scale
        timely = (end >= window[0]) & (end <= window[1])
        milli = meters.multiplier_milli[which]
        with np.errstate(invalid="ignore", over="ignore"):
            claimed = amount * meters.least_milli[which]
            sound = meters.electric[which] & (claimed >= 0) & (claimed <= MAX_QUANTITY * 1_000)
        index = np.rint(np.where(sound, amount, 0)).astype(np.int64)
        register = meters.register[which]
        wh = np.where(sound & ~register, index * milli // 1_000, 0)
        moving = (
            sound & register & timely & (meters.valid_from[which] <= end) & (end <= meters.valid_to[which])
        )
        rows = np.flatnonzero(moving)
        if len(rows):
            slot, at, now, factor = meters.slot[which][rows], end[rows], index[rows], milli[rows]
            known = self.registers.shard(frame["shard"], int(slot.max()) + 1)
            before_end, before = known["end"][slot], known["index"][slot]
            first, later = before_end == NEVER, at > before_end
            onward = ~first & later & (now >= before) & (before_end > meters.steady_from)
            onward &= (now - before) * 10 <= meters.turn[which][rows]
            wh[rows[onward]] = (
                now[onward] * factor[onward] // 1_000 - before[onward] * factor[onward] // 1_000
            )
            taken = first | onward
            known["end"][slot[taken]], known["index"][slot[taken]] = at[taken], now[taken]
            known["moved"][slot[taken]] = True
            known["first_end"][slot[first]], known["first_index"][slot[first]] = at[first], now[first]
            earlier = ~first & (at < known["first_end"][slot])
            for row in rows[(later & ~taken) | earlier].tolist():
                wh[row] = self._move(meters.each[position[row]], int(end[row]), int(index[row]))
        if in_order and frame["end"].count(frame["end"][0]) == len(end) and end[0] > 0:
            on = int(end[0] - 1 + OFFSET_MS) // DAY_MS
            sums = np.add.reduceat(wh[meters.by_site], meters.site_begins)
            for site, readings, energy in zip(meters.sites, meters.site_counts, sums.tolist(), strict=True):
                line = self._lines[frame["source"], site, on]
                line[0] += readings
                line[1] += energy
            return
        day = np.where(end > 0, (end - 1 + OFFSET_MS) // DAY_MS, NO_DAY)
        (sites, days), (counts, sums) = grouped([meters.site[which], day], [np.ones(len(day), np.int64), wh])
        columns = (column.tolist() for column in (sites, days, counts, sums))
        for site, on, readings, energy in zip(*columns, strict=True):
            line = self._lines[frame["source"], meters.sites[site], on]
            line[0] += readings
            line[1] += energy

    def _strike(self, meter: ListedMeter, frame: dict[str, Any], i: int, end: int) -> bool:
        """Forget a register's index that is struck; False where another came last than the frame's sender knew."""
        slot, shard = divmod(meter.number, SHARDS)
        known = self.registers.shard(shard, slot + 1)[slot]
        newest, first = int(known["end"]), (int(known["first_end"]), int(known["first_index"]))
        following = behind(frame, i)
        if following is not None:
            return newest >= following
        if newest != end:
            return False
        before = frame["start"][i], round(frame["first_index"][i] * (_scale(frame, i, meter) or 0))
        self.registers.put(meter.number, before, first, moved=True)
        return True

    def _window(self, mode: str) -> tuple[int, int]:
        """(oldest, newest) UTC ms that a register's index may reach to be taken."""
        if self.tick is None:
            return YEAR_2000_MS, LAST_END_MS
        if mode == "live":
            oldest = max(YEAR_2000_MS, self.tick - self.limits.live_max_age_ms)
            return oldest, self.tick + self.limits.live_max_ahead_ms
        return YEAR_2000_MS, self.tick + self.limits.backfill_max_ahead_ms

    def _meters(self, shard: int, ids: list[str], here: bool, estimates: bool) -> ListedMeters:
        """What is known of a list of meters, remembered as long as the reference data are the same."""
        read = self.reference.offsets.get(topics.REF_METERS, 0)
        if self._read != read or len(self._seen) >= LISTS_REMEMBERED:
            self._read = read
            self._seen.clear()
        key = (shard, here, estimates, len(ids), ids[0] if ids else "", ids[-1] if ids else "")
        seen = self._seen.get(key)
        if seen is None or seen.ids != ids:
            meters = self.reference.shard(shard) if here else ShardMeters(shard)
            seen = listed(ids, [listed_meter(meters, shard, i, estimates) for i in ids])
            if all(meter.number >= 0 for meter in seen.each):  # senders could name unknown meters without end
                self._seen[key] = seen
        return seen

    def _is_known(self, frame: Any) -> bool:
        """Whether a frame of this number was counted before: then it is not taken again."""
        key = frame["source"], frame.get("mode", "live"), frame["shard"]
        runs, seq = self.sequences.setdefault(key, []), frame["seq"]
        if gap := skipped(runs, seq):
            self._gaps.append(Gap(*key, *gap, newest_day(_times(frame["end"]))))
        return not take(runs, seq)

    def _move(self, meter: ListedMeter, end: int, index: int) -> int:
        """Wh a register's index (Wh before the multiplier) moved since the newest before it, or up to the first."""
        slot, shard = divmod(meter.number, SHARDS)
        known = self.registers.shard(shard, slot + 1)[slot]
        newest, first, this = (
            (int(known["end"]), int(known["index"])),
            (int(known["first_end"]), int(known["first_index"])),
            (end, index),
        )
        if newest[0] == NEVER:
            self.registers.put(meter.number, this, this, moved=True)
            return 0
        now = meter.history, meter.multiplier_milli, meter.modulus
        if end > newest[0]:
            wh, newest = between(*now, newest, this), this
        elif first[0] - LONGEST_MS <= end < first[0]:
            wh, first = between(*now, this, first), this
        else:
            return 0
        if wh is None:
            return 0
        self.registers.put(meter.number, newest, first, moved=True)
        return wh


def _scale(frame: dict[str, Any], i: int, meter: ListedMeter) -> float | None:
    """Wh in the unit of the i-th entry; None where it is none of electricity."""
    unit: Any = frame.get("unit")
    named = unit[i] if isinstance(unit, list) else unit
    return meter.scale if named is None else wh_in(named)


def _edited_wh(
    frame: dict[str, Any], i: int, end: int, meter: ListedMeter, window: tuple[int, int]
) -> int | None:
    of = Edited(meter.register, meter.multiplier_milli, meter.modulus, meter.history)
    return edited_wh(frame, i, end, of, _scale(frame, i, meter), window)


def _times(ends: list[Any]) -> list[int]:
    """Ends as UTC ms, 0 for what is no time."""
    if (
        set(map(type, ends)) <= {int}
        and -LAST_END_MS <= min(ends, default=0) <= max(ends, default=0) <= LAST_END_MS
    ):
        return ends
    return [end if type(end) is int and abs(end) <= LAST_END_MS else 0 for end in ends]
