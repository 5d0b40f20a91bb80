"""Recall, precision and false alarms of the checks, by fault, over faults put into the second half of each series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from carbonstream.ops.vee_score.faults import (
    GRACE_INTERVALS,
    LONG,
    LONG_GRACE_MS,
    Delivery,
    Episode,
    interval_faults,
)
from carbonstream.ops.vee_score.judging import OUTCOME_CHECKS, Plant, Stream
from carbonstream.ops.vee_score.register_faults import Register, beginning_anew, modulus_of, rolling_over
from carbonstream.ops.vee_score.registers import convert
from carbonstream.ops.vee_score.series import Series
from carbonstream.schemas.codes import Check, Decision, Outcome
from carbonstream.schemas.periods import HOUR_MS, OFFSET_MS

Array = NDArray[Any]
Ints = NDArray[np.int64]

FAULTS: Final = (
    "missing", "frozen", "spike", "negative", "x10", "x1000", "clock_shift", "ct_swap", "register_reset",
    "register_rollover", "duplicate", "shuffle",
)  # fmt: skip
ROUNDS: Final = 10  # each with faults and places of its own
OF_REGISTERS: Final = ("register_reset", "register_rollover")
RIGHT: Final[dict[str, frozenset[int]]] = {
    "missing": frozenset({Check.MISSING}),
    "frozen": frozenset({Check.FROZEN}),
    "spike": frozenset({Check.SPIKE}),
    "negative": frozenset({OUTCOME_CHECKS + Outcome.NEGATIVE}),
    "x10": frozenset({Check.UNIT_TENFOLD}),
    "x1000": frozenset({Check.UNIT_THOUSANDFOLD}),
    "clock_shift": frozenset({Check.CLOCK}),
    "ct_swap": frozenset({Check.MULTIPLIER}),
    "register_reset": frozenset({Check.REGISTER_RESET}),
    "register_rollover": frozenset({Check.REGISTER_ROLLOVER}),
    "duplicate": frozenset({Check.DUPLICATE, OUTCOME_CHECKS + Outcome.DUPLICATE}),
    "shuffle": frozenset({Check.SEQUENCE}),
}
FAULT_OF: Final = {check: fault for fault, checks in RIGHT.items() for check in checks}
# True of the readings that a fault delivers, though it is not the fault: no mistake, and no success either. A clock
# that leaps leaves a hole and tells zeros twice.
ALSO_TRUE: Final = {
    "clock_shift": frozenset({"missing", "duplicate", "shuffle"}),
    "shuffle": frozenset({"missing"}),
    "negative": frozenset({"missing"}),
}


@dataclass(slots=True)
class Tally:
    """Counts of one fault over all series and rounds."""

    injected: int = 0
    found: int = 0
    raised: int = 0  # episodes of its codes,
    right: int = 0  # of them inside an injected one


@dataclass(slots=True)
class Score:
    """All counts."""

    faults: dict[str, Tally] = field(default_factory=lambda: {fault: Tally() for fault in FAULTS})
    clean: int = 0  # readings outside every episode and its grace
    alarms: int = 0  # of them not accepted
    alarms_by: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    # (what was told, what it was): episodes; "" where nothing was wrong
    confused: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    missed: list[tuple[str, str, Episode]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As `carbonstream vee-score --json` prints it."""
        return {
            "faults": {
                fault: {
                    "injected": t.injected,
                    "recall": round(t.found / t.injected, 4) if t.injected else None,
                    "precision": round(t.right / t.raised, 4) if t.raised else None,
                }
                for fault, t in self.faults.items()
            },
            "false_alarms_per_1000": round(1_000 * self.alarms / self.clean, 4) if self.clean else None,
        }


@dataclass(frozen=True, slots=True)
class _Trial:
    """One round of one series."""

    series: int
    delivery: Delivery
    episodes: list[Episode]


def score(series: Iterable[Series], seed: int, rounds: int = ROUNDS) -> Score:
    """Learn from the first half by time of each series, judge the second with faults in it."""
    result = Score()
    groups: defaultdict[int, list[Series]] = defaultdict(list)
    for one in map(Series.on_our_clock, series):
        groups[one.interval_ms].append(one)
    for number, (interval_ms, members) in enumerate(sorted(groups.items())):
        chance = default_rng([seed, number])
        school = _intervals(members, interval_ms, chance, rounds, result)
        _registers(school, members, chance, rounds, result)
    return result


def halves(series: Series) -> int:
    """How many readings lie in the first half by time."""
    return int(np.searchsorted(series.end, (int(series.end[0]) + int(series.end[-1])) // 2, "right"))


def _intervals(
    members: list[Series], interval_ms: int, chance: Generator, rounds: int, result: Score
) -> Plant:
    """Faults of interval meters; returns what the first halves taught."""
    school = Plant(len(members), interval_ms)
    cuts = [halves(s) for s in members]
    school.run([Stream(s.end[:c], s.value[:c]) for s, c in zip(members, cuts, strict=True)], learning=True)
    trials = []
    for number, (s, cut) in enumerate(zip(members, cuts, strict=True)):
        hour = (s.end - interval_ms + OFFSET_MS) // HOUR_MS % 24
        p99 = np.array(
            [np.percentile(s.value[hour == h], 99) if (hour == h).any() else 0.0 for h in range(24)]
        )
        late = (s.end[cut:], s.value[cut:], interval_ms, p99, hour[cut:])
        trials += [_Trial(number, *interval_faults(*late, chance)) for _ in range(rounds)]
    plant = Plant(len(trials), interval_ms)
    plant.place(school, np.array([t.series for t in trials]))
    _count(plant.run([Stream(t.delivery.end, t.delivery.value) for t in trials]), trials, members, result)
    return school


def _registers(school: Plant, members: list[Series], chance: Generator, rounds: int, result: Score) -> None:
    """Each series summed into registers: some begin anew, half of them with a modulus; some pass their modulus.

    A register's intervals are the series' own, so its habit is the one the series has taught.
    """
    trials: list[_Trial] = []
    registers: list[Register] = []
    before: list[int] = []
    for number, one in enumerate(members):
        cut = halves(one)
        end, value, interval_ms = one.end[cut:], one.value[cut:], one.interval_ms
        if not value.any():
            continue
        modulus = modulus_of(value, interval_ms)
        mine = [rolling_over(end, value, interval_ms, chance) for _ in range(rounds)]
        mine += [beginning_anew(end, value, interval_ms, m, chance) for m in (None, modulus)]
        registers += mine
        trials += [_Trial(number, one.delivery, one.episodes) for one in mine]
        before += [int(one.end[cut - 1])] * len(mine)
    if registers:
        told = convert(registers, before, school, np.array([t.series for t in trials]))
        _count(told, trials, members, result, OF_REGISTERS)


def _count(
    told: Array, trials: list[_Trial], members: list[Series], result: Score, faults: Iterable[str] = FAULTS
) -> None:
    for meter, trial in enumerate(trials):
        of, mine = members[trial.series], told[told["meter"] == meter]
        count(trial.delivery.true_end, trial.episodes, mine, of.interval_ms, of.meter, result, faults)


def count(
    true_end: Ints,
    episodes: list[Episode],
    told: Array,
    interval_ms: int,
    name: str,
    result: Score,
    faults: Iterable[str] = FAULTS,
) -> None:
    """Add one trial. true_end: of each delivered reading; told: TOLD entries of it.

    faults: whose alarms count. What a register's values tell, the same series has told as an interval meter.
    """
    final = told[told["decision"] != Decision.HOLD]
    at = true_end[final["reading"]]
    fault_of = np.array([FAULT_OF.get(int(c), "") for c in final["check"]], object)
    first = np.array([e.first for e in episodes], np.int64)
    inside = np.searchsorted(first, at, "right") - 1
    until = np.array([e.until for e in episodes], np.int64)
    within = (inside >= 0) & (at <= until[inside]) if len(episodes) else np.zeros(len(at), np.bool_)
    # a hole is told readings later, which may be days behind a clock that is right again
    late = np.array([e.last for e in episodes], np.int64) + GRACE_INTERVALS * interval_ms
    behind = (inside >= 0) & (at <= late[inside]) if len(episodes) else within
    behind &= final["check"] == Check.MISSING
    real_hole = _behind_real_hole(true_end, episodes, final, interval_ms)
    for number, episode in enumerate(episodes):
        tally = result.faults[episode.fault]
        tally.injected += 1
        hit = bool((within & (inside == number) & (fault_of == episode.fault)).any())
        tally.found += hit
        if not hit:
            result.missed.append((episode.fault, name, episode))
    for fault in faults:
        mine = np.flatnonzero((fault_of == fault) & ~(real_hole & (fault == "missing")))
        gap = LONG_GRACE_MS if fault in LONG else GRACE_INTERVALS * interval_ms
        begins = np.flatnonzero(np.diff(at[mine], prepend=np.iinfo(np.int64).min // 2) > gap)
        for part in np.split(mine, begins[1:]) if len(mine) else []:
            owners = {episodes[inside[i]].fault if within[i] or behind[i] else "" for i in part.tolist()}
            if owners <= {e for e in owners if fault in ALSO_TRUE.get(e, ())} and "" not in owners:
                continue
            result.confused[
                fault, min(owners - {fault}, default=fault) if fault not in owners else fault
            ] += 1
            result.faults[fault].raised += 1
            result.faults[fault].right += fault in owners
    clean = np.ones(len(true_end), np.bool_)
    for episode in episodes:
        clean &= ~((true_end >= episode.first) & (true_end <= episode.until))
    alarms = clean[final["reading"]] & (final["decision"] != Decision.ACCEPT) & ~real_hole
    alarmed = np.unique(final["reading"][alarms])
    result.clean += int(clean.sum())
    result.alarms += len(alarmed)
    for code in final["check"][alarms].tolist():
        result.alarms_by[code_name(code)] += 1


def code_name(code: int) -> str:
    """The name of a TOLD check."""
    return (Outcome(code - OUTCOME_CHECKS) if code >= OUTCOME_CHECKS else Check(code)).name.lower()


def _behind_real_hole(
    true_end: Ints, episodes: list[Episode], told: Array, interval_ms: int
) -> NDArray[np.bool_]:
    """Whether a MISSING tells a hole the clean series has itself."""
    injected = [(e.first, e.last) for e in episodes if e.fault == "missing"]
    whole = np.sort(np.concatenate([true_end, *(np.arange(a, b + 1, interval_ms) for a, b in injected)]))
    gaps = whole[1:][np.diff(whole) > interval_ms]
    at = true_end[told["reading"]]
    if not len(gaps):
        return np.zeros(len(at), np.bool_)
    before = gaps[np.maximum(np.searchsorted(gaps, at, "right") - 1, 0)]
    behind: NDArray[np.bool_] = (before <= at) & (at - before <= GRACE_INTERVALS * interval_ms)
    behind &= told["check"] == Check.MISSING
    return behind
