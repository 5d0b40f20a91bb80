"""The eight indicators of T/CES 6.4.3 table 1, and the checks of 6.4.1 and 6.4.2 they rest on, for entities and days.

Figures come in as counts of what happened and as comparisons of totals with what they are made of; out come measures
with exact numerator and denominator. Whether a target is met is decided without forming a quotient.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Final

from carbonstream.processors.swing import Swing
from carbonstream.processors.total_records import EXACT
from carbonstream.schemas.periods import HOUR_MS, MINUTE_MS

# Near-real-time data may be 15 minutes late (T/CEPPC 14-2023 8.6 c; T/CES 4.1): then a reading that is due is missing.
LATE_MS: Final = 15 * MINUTE_MS
TOLERANCE: Final = Decimal("0.5")  # per cent; 6.4.1 (2), 6.4.2 (2); 6.3.1 allows 2 %, the stricter counts
MISSING: Final = Decimal(1)  # per cent; 6.4.1 (1), 6.4.2 (1)
SWING: Final = Decimal(5)  # per cent; 6.4.1 (3)
ABNORMAL: Final = Decimal(1)  # per cent; table 1
NO_SWING: Final = Swing(0, 0, 0)
JUDGED_FROM: Final = (
    100  # of fewer data a share of 1 % cannot be told: a day that goes on is not judged by them
)


class Aim(StrEnum):
    """On which side of its target a value is right."""

    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One line of table 1, or a check it rests on. `unit`: % or h; by_count: see JUDGED_FROM; tells: whether a missed
    target is a warning."""

    id: str
    name_zh: str
    name_en: str
    aim: Aim
    target: Decimal
    clause: str
    unit: str = "%"
    by_count: bool = False
    tells: bool = True


INDICATORS: Final = (
    Indicator("consistency", "数据一致性率", "data consistency", Aim.AT_LEAST, Decimal(99), "6.4.3"),
    Indicator("correction", "数据修正率", "data corrected", Aim.AT_MOST, Decimal(5), "6.4.3", by_count=True),
    Indicator("abnormal", "异常数据率", "abnormal data", Aim.AT_MOST, ABNORMAL, "6.4.3", by_count=True),
    Indicator(
        "validation",
        "数据校验成功率",
        "data passing checks",
        Aim.AT_LEAST,
        Decimal(98),
        "6.4.3",
        by_count=True,
    ),
    Indicator(
        "timeliness", "数据更新及时性", "data in time", Aim.AT_LEAST, Decimal(95), "6.4.3", by_count=True
    ),
    Indicator(
        "cleaning",
        "数据清理效率",
        "faulty data dealt with",
        Aim.AT_LEAST,
        Decimal(90),
        "6.4.3",
        by_count=True,
    ),
    Indicator(
        "response", "数据一致性监控响应时间", "mean time to respond", Aim.BELOW, Decimal(48), "6.4.3", "h"
    ),
    Indicator(
        "audit", "数据质量审计合格率", "site days passing the audit", Aim.AT_LEAST, Decimal(95), "6.4.3"
    ),
)
CHECKS: Final = (
    Indicator("missing", "缺失数据比例", "data missing", Aim.AT_MOST, MISSING, "6.4.1 (1), 6.4.2 (1)", by_count=True),
    Indicator("difference", "汇总差异", "largest difference of a sum", Aim.AT_MOST, TOLERANCE, "6.4.1 (2), 6.4.2 (2)"),
    Indicator("time-roll-up", "时间上卷校验准确率", "sums over time agreeing", Aim.AT_LEAST, Decimal("99.5"), "6.4.1"),
    Indicator("space-roll-up", "空间汇总一致性", "sums over space agreeing", Aim.AT_LEAST, Decimal(99), "6.4.2"),
    Indicator("repeat", "数据比对准确率", "sums computed again agreeing", Aim.AT_LEAST, Decimal(98), "6.3.2"),
    Indicator("swing", "数据波动幅度", "swing against days alike", Aim.AT_MOST, SWING, "6.4.1 (3)", tells=False),
    Indicator("sum-check", "总分表校核", "parent meters agreeing with children", Aim.AT_LEAST, Decimal(98), "6.4.2"),
)  # fmt: skip
BY_ID: Final[Mapping[str, Indicator]] = {i.id: i for i in (*INDICATORS, *CHECKS)}


class Kind(StrEnum):
    """What a total is compared with. The values are ids of CHECKS."""

    TIME = "time-roll-up"  # its hours or days
    SPACE = "space-roll-up"  # what lies within it
    REPEAT = "repeat"  # its rows, summed again


@dataclass(frozen=True, slots=True)
class Comparison:
    """A total of an entity (by number) and the sum of what it is made of, thousandths of a base unit."""

    entity: int
    kind: Kind
    total: int
    source: int

    @property
    def agrees(self) -> bool:
        """Whether they differ by at most TOLERANCE of the source."""
        return abs(self.total - self.source) * 100 <= TOLERANCE * abs(self.source)


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to a site's data of one day, in readings.

    due, measured: of meters that count for the site, up to LATE_MS ago. stored, questionable, corrected: rows of all
    its meters. checked leaves out duplicates, which say nothing of the data; faulty are duplicates, rejected, held
    and superseded readings; cleaned those of them that left no trace or have a sound row in their place. in_time of
    due_in_time: stored when they had been due for LATE_MS.
    """

    due: int = 0
    measured: int = 0
    stored: int = 0
    questionable: int = 0
    corrected: int = 0
    checked: int = 0
    passed: int = 0
    faulty: int = 0
    cleaned: int = 0
    due_in_time: int = 0
    in_time: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Figures:
    """All of one local day. Entities by number.

    scopes: site -> entities it is part of that are to be judged, itself not among them; sum_checks: (site of the
    parent meter, whether it agrees with its children); responses: (entity, time to respond, ms), of the days before.
    nation: the entity that has everything, also what belongs to no known site (`nowhere`).
    """

    counts: Mapping[int, Counts]
    comparisons: Sequence[Comparison]
    sum_checks: Sequence[tuple[int, bool]]
    responses: Sequence[tuple[int, int]]
    scopes: Mapping[int, Sequence[int]]
    nation: int
    nowhere: Counts = field(default_factory=Counts)
    swings: Mapping[int, Swing] = field(default_factory=dict)  # of electricity, of a day that is over


@dataclass(frozen=True, slots=True)
class Measure:
    """An indicator's value of an entity: part / whole, times 100 where the unit is %. Exact."""

    entity: int
    indicator: Indicator
    part: Decimal
    whole: Decimal

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is nothing to judge."""
        if not self.whole:
            return None
        scaled = self.part * 100 if self.indicator.unit == "%" else self.part
        limit = EXACT.multiply(self.indicator.target, self.whole)
        if self.indicator.aim is Aim.AT_LEAST:
            return scaled >= limit
        return scaled <= limit if self.indicator.aim is Aim.AT_MOST else scaled < limit

    @property
    def value(self) -> Decimal | None:
        """Rounded half-even to 4 decimals, for people; None where there is nothing to judge."""
        if not self.whole:
            return None
        scaled = self.part * 100 if self.indicator.unit == "%" else self.part
        return EXACT.divide(scaled, self.whole).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)

    def warns(self, *, closed: bool) -> bool:
        """Whether it is to be told: missed, and of a day that is over or of enough data to tell."""
        can_tell = closed or not self.indicator.by_count or self.whole >= JUDGED_FROM
        return self.indicator.tells and self.met is False and can_tell


def measures(day: Figures, sites: Iterable[int] = ()) -> list[Measure]:
    """Every indicator and check of every scope of the day's sites, and of `sites` themselves where asked."""
    counts: defaultdict[int, Counts] = defaultdict(Counts)
    compared: defaultdict[int, list[Comparison]] = defaultdict(list)
    audited: defaultdict[int, list[bool]] = defaultdict(list)
    checks: defaultdict[int, list[bool]] = defaultdict(list)
    responses: defaultdict[int, list[int]] = defaultdict(list)
    wanted = set(sites)
    scopes = {site: [*above, *({site} & wanted)] for site, above in day.scopes.items()}
    judged = {entity for above in scopes.values() for entity in above} | {day.nation}
    counts[day.nation] += day.nowhere
    own: defaultdict[int, list[Comparison]] = defaultdict(list)
    for comparison in day.comparisons:
        own[comparison.entity].append(comparison)
    disagree = {site for site, agrees in day.sum_checks if not agrees}
    for site, above in scopes.items():
        of_site = day.counts.get(site, Counts())
        for entity in above:
            counts[entity] += of_site
            if entity != site:
                compared[entity] += own[site]
            if of_site.due or of_site.stored:
                audited[entity].append(site not in disagree and _passes(of_site, own[site]))
    for entity, comparisons in own.items():
        if entity in judged:
            compared[entity] += comparisons
        if entity not in day.scopes and entity != day.nation:
            compared[day.nation] += comparisons
    for site, agrees in day.sum_checks:
        for entity in scopes.get(site, ()):
            checks[entity].append(agrees)
    for entity, took in day.responses:
        for scope in {entity, day.nation} & judged:
            responses[scope].append(took)
    return [
        measure
        for entity in sorted(judged)
        for measure in _of_entity(
            entity,
            counts[entity],
            compared[entity],
            audited[entity],
            checks[entity],
            responses[entity],
            day.swings.get(entity, NO_SWING),
        )
    ]


def _passes(counts: Counts, comparisons: Sequence[Comparison]) -> bool:
    """The audit of a site's day: nothing missing or abnormal beyond its limit, every sum agrees."""
    missing = max(counts.due - counts.measured, 0)
    return (
        missing * 100 <= MISSING * counts.due
        and counts.questionable * 100 <= ABNORMAL * counts.stored
        and all(comparison.agrees for comparison in comparisons)
    )


def _of_entity(
    entity: int,
    counts: Counts,
    comparisons: Sequence[Comparison],
    audited: Sequence[bool],
    checks: Sequence[bool],
    responses: Sequence[int],
    swing: Swing,
) -> list[Measure]:
    def share(of: Sequence[bool]) -> tuple[int, int]:
        return sum(of), len(of)

    kinds = {kind: share([c.agrees for c in comparisons if c.kind is kind]) for kind in Kind}
    found: dict[str, tuple[int, int]] = {
        "consistency": share([c.agrees for c in comparisons]),
        "correction": (counts.corrected, counts.stored),
        "abnormal": (counts.questionable, counts.stored),
        "validation": (counts.passed, counts.checked),
        "timeliness": (counts.in_time, counts.due_in_time),
        "cleaning": (counts.cleaned, counts.faulty),
        "response": (sum(responses), len(responses) * HOUR_MS),
        "audit": share(audited),
        "missing": (max(counts.due - counts.measured, 0), counts.due),
        "difference": _largest(comparisons),
        **{kind.value: found for kind, found in kinds.items()},
        "swing": swing.measure,
        "sum-check": share(checks),
    }
    return [
        Measure(entity, BY_ID[id_], Decimal(part), Decimal(whole)) for id_, (part, whole) in found.items()
    ]


def _largest(comparisons: Sequence[Comparison]) -> tuple[int, int]:
    """The largest difference and the sum it is a share of; a sum of nothing that is not 0 is wholly wrong."""
    worst = (0, 1 if comparisons else 0)
    for c in comparisons:
        difference = abs(c.total - c.source)
        whole = abs(c.source) or difference
        if difference * worst[1] > worst[0] * whole:
            worst = difference, whole
    return worst
