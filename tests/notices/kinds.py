"""A record of every kind of rule, made by the functions that make it in the services."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

import numpy as np
import orjson

from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.connectors.warning_rules import rule_book
from carbonstream.processors.alarm_desk import Card
from carbonstream.processors.alarm_grouping import COMMON_CAUSE, Parent, review_of
from carbonstream.processors.alarm_parents import Published, cause_record, dispute_record, review_record
from carbonstream.processors.consistency import BY_ID, Measure
from carbonstream.processors.consistency_warnings import changes, id_of
from carbonstream.processors.enterprise_answers import Dispute
from carbonstream.processors.instant.told import Told, record_of
from carbonstream.processors.pace import Paces
from carbonstream.processors.ratios import ValueAdded, months_of
from carbonstream.processors.ratios_record import RatioSight, judge_ratio, ratio_record
from carbonstream.processors.targets import Target
from carbonstream.processors.warnings_closing import Coverage
from carbonstream.processors.warnings_judging import Day, Sight, days_to_look_into, judge
from carbonstream.processors.warnings_record import UsedCoefficient, warning_record
from carbonstream.schemas.codes import Grain, Mode, Outcome, Quality
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS
from carbonstream.schemas.warning_rules import RuleKind
from carbonstream.schemas.warnings import Warning as WarningRecord
from tests.instant.world import QUARTER, T0, Reading, begun, fleet, frame, kw, rule

Record = dict[str, Any]
BOOK: Final = rule_book()
DAILY: Final = Decimal("110.5")  # kg a day


def carried(record: WarningRecord) -> Record:
    """As carbon.warnings carries it."""
    found: Record = orjson.loads(orjson.dumps(record.model_dump()))
    return found


def of_target(
    kind: str,
    value: int,
    grain: Grain = Grain.MONTH,
    first: date = date(2024, 5, 1),
    swing: int = 0,
) -> Record:
    """The first change of a rule of a target: DAILY kg, `swing` more and less by turns, of each day of a month before
    it and of the whole period.
    """
    target = Target("enterprise:ENT", 7, "co2", grain, first, Decimal(value), (Decimal(80),))
    days = target.days
    sight = Sight(
        target, _by_turns(days, swing), True, _by_turns(30, swing),
        Coverage(np.ones(days, np.bool_), tuple(frozenset() for _ in range(days)), days - 1),
        days, days, packaged_calendar(), target.start, BOOK,
    )  # fmt: skip
    verdicts, _ = judge(sight, {}, {d: Day() for d in days_to_look_into(sight, {})}, Paces())
    verdict = min((v for v in verdicts if v.rule == kind), key=lambda v: v.entry.transition.bucket)
    used = DAILY * ((verdict.until - target.start) // DAY_MS)
    part = UsedCoefficient("2024-05", 1, 1, 24, used * 2_000, Decimal(0), 4, "2024-05", Decimal("0.5"), used)
    return carried(warning_record(target, verdict, 1, [part], verdict.until))


def _by_turns(days: int, swing: int) -> list[Decimal]:
    return [DAILY + (swing if day % 2 else -swing) for day in range(days)]


def of_ratio(kind: str, value: str, *, provisional: bool = True) -> Record:
    """Of the first month of a quarter, 10,000 yuan a day: the quarter before used a tenth more."""
    indicator = "co2-intensity" if kind == RuleKind.INTENSITY else "co2-intensity-change-previous"
    target = Target(
        "park:PARK",
        8,
        indicator,
        Grain.QUARTER,
        date(2024, 4, 1),
        Decimal(value),
        (Decimal(100),),
        price_year=2020,
    )
    unit = "1e4CNY@2020"

    def months(first: date, amount: str, *, is_open: bool) -> Any:
        month = ValueAdded(first, Decimal(30), unit, is_open, target.start)
        return months_of(first, 91, 31, [Decimal(amount)] * 31, {first: month}, 2020)

    other = target.compared_with
    before = None if other is None else months(other.period, "121.55", is_open=False)
    sight = RatioSight(target, months(target.period, "110.5", is_open=provisional), before, BOOK)
    (verdict,) = judge_ratio(sight, {})
    return carried(ratio_record(target, verdict, 1, [], verdict.until))


def of_consistency() -> Record:
    measure = Measure(10, BY_ID["missing"], Decimal(30), Decimal(2_000))
    names, start = {10: "enterprise:ENT"}, T0 - 8 * HOUR_MS
    now = start + 12 * HOUR_MS
    missed = {id_of(measure, names, start): now - HOUR_MS}
    (record,) = changes([measure], names, {}, BOOK, missed, start, now)
    return carried(record)


def _instant(told: Sequence[Told], which: int = 0) -> Record:
    return carried(record_of(told[which], told[which].transition.bucket))


def of_limit(kind: RuleKind, parameters: str) -> Record:
    judge = begun(fleet(1), rule(kind, "meter:S0/E0", parameters), packaged=False)
    readings = [Reading(T0 + (i + 1) * QUARTER, 0, kw(v)) for i, v in enumerate(("209.5", "211.2", "100"))]
    return _instant(list(judge.frame(frame(readings, tick=readings[-1].end + HOUR_MS))))


def of_silence(state: str = "active") -> Record:
    """Seven meters of a gateway report once, and five hours later again."""
    judge = begun(fleet(7))
    told = list(judge.frame(frame([Reading(T0 + QUARTER, n, 1_000) for n in range(7)], tick=T0)))
    for now in range(T0 + QUARTER, T0 + 6 * HOUR_MS, MINUTE_MS):
        told += judge.clock(now)
        if now >= T0 + 5 * HOUR_MS and now % QUARTER == 0:
            told += judge.frame(frame([Reading(now, n, 1_000) for n in range(7)], tick=now))
    return _instant([t for t in told if t.transition.state.value == state])


def of_quality(scope: str = "site:S0") -> Record:
    judge = begun(fleet(1), rule(RuleKind.DATA_QUALITY, scope, "share=25"), packaged=False)
    told: list[Told] = []
    for slot, how in enumerate(("sound", "questionable", "estimated", "rejected")):
        at = T0 + (slot + 1) * QUARTER
        mode = Mode.ESTIMATE if how == "estimated" else Mode.LIVE
        quality = Quality.QUESTIONABLE if how == "questionable" else Quality.VALID
        code = Outcome.UNIT if how == "rejected" else Outcome.STORED
        found = frame([Reading(at, 0, 1)], mode=mode, tick=at)
        told += judge.frame(replace(found, quality=np.array([quality]), code=np.array([code])))
    return _instant([*told, *judge.clock(T0 + 2 * HOUR_MS)])


def of_habit() -> Record:
    """Ten kW for five weeks, then fourteen."""
    judge = begun(fleet(1), rule(RuleKind.HABIT, "meter:S0/E0", "share=30"), packaged=False)
    hours = 5 * 7 * 24
    readings = [
        Reading(T0 + (h + 1) * HOUR_MS, 0, 14_000 if h >= hours - 3 else 10_000, HOUR_MS)
        for h in range(hours)
    ]
    return _instant(list(judge.frame(frame(readings, tick=readings[-1].end + HOUR_MS))))


def of_restatement() -> Record:
    published = Published(9, "electricity", "electricity_average", "330500", "2024-01", "Notice 2024-7", T0)
    return carried(review_record(published, 300, T0))


def of_common_cause() -> Record:
    parent = Parent(f"{COMMON_CAUSE}:silence:mqtt/gw-7:{T0}", "silence", "mqtt/gw-7", "site:S0", 1, 1, 12)
    return carried(cause_record(parent, T0))


def of_dispute() -> Record:
    warning = "interval-limit:site:S0:S0/E0:20240101T080000"
    dispute = Dispute(T0, "Li Na", "CT was changed", "multiplier", "S0/E0", review_of(warning, "c1"))
    card = Card(warning, "site:S0", "interval-limit", 2, 2, enterprise="enterprise:ENT")
    return carried(dispute_record(card, dispute, T0))


EVERY_KIND: Final[dict[str, Callable[[], Record]]] = {
    "target-level": lambda: of_target("target-level", 3_000),
    "plan-to-date": lambda: of_target("plan-to-date", 3_000),
    "pace": lambda: of_target("pace", 3_000, swing=9),
    "intensity": lambda: of_ratio("intensity", "100"),
    "change-rate": lambda: of_ratio("change-rate", "-15"),
    "consistency": of_consistency,
    "silence": of_silence,
    "interval-limit": lambda: of_limit(RuleKind.INTERVAL_LIMIT, "limit=210"),
    "maximum-demand": lambda: of_limit(RuleKind.MAXIMUM_DEMAND, "capacity=200;k=1.05"),
    "data-quality": of_quality,
    "habit": of_habit,
    "restatement": of_restatement,
    "common-cause": of_common_cause,
    "dispute": of_dispute,
}
