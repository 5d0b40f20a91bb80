"""A case of an instant rule: the readings of one meter go in, the changes of its warning come out.

The same code judges it that judges live readings (processors.instant.judge): each reading comes when it ends, the clock
ticks every minute, and goes on for a while after the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np

from carbonstream.processors.instant.judge import InstantRules
from carbonstream.processors.instant.readings import FOREVER, LATENESS_MS, Fleet, Frame, Meter
from carbonstream.processors.instant.told import Told as Change
from carbonstream.processors.rule_cases import Told
from carbonstream.processors.total_records import EXACT
from carbonstream.processors.warning_rules import SUBJECTS, Definition, RuleBook
from carbonstream.schemas.carriers import CARRIER_BY_ID
from carbonstream.schemas.codes import Mode, Outcome, Quality
from carbonstream.schemas.periods import MINUTE_MS, local_iso
from carbonstream.schemas.warning_rules import Priority, RuleKind, WarningClass

METER: Final = Meter(0, "CASE/E01", CARRIER_BY_ID["electricity"].number, 0, FOREVER)
SOURCE: Final = "case"


@dataclass(frozen=True, slots=True)
class Steps:
    """kWh of equal steps (ms) from `start` (UTC ms), None where no reading came; doubted: which are questionable."""

    start: int
    step: int
    values: Sequence[Decimal | None]
    doubted: Sequence[bool]


def changes_of(kind: RuleKind, parameters: Mapping[str, Decimal], steps: Steps) -> list[Told]:
    """What a rule of a kind tells of a meter that reports every step, by event time."""
    rule = Definition(
        kind.value, 1, kind, f"{SUBJECTS[kind][0]}*", parameters, WarningClass.ALERT, Priority.LOW,
        "", "", "", "", 1, True, 0,
    )  # fmt: skip
    meter = Meter(METER.number, METER.meter_id, METER.carrier, steps.step, FOREVER)
    rules = InstantRules()
    rules.begin(Fleet([meter]), RuleBook([rule]))
    found: list[Change] = []
    end = steps.start + steps.step * len(steps.values)
    for now in range(steps.start, end + steps.step + LATENESS_MS + MINUTE_MS, MINUTE_MS):
        came, rest = divmod(now - steps.start, steps.step)
        if not rest and 0 < came <= len(steps.values):
            value = steps.values[came - 1]
            if value is not None:
                found += rules.frame(
                    _frame(
                        now - steps.step, now, int(EXACT.scaleb(value, 3)), doubted=steps.doubted[came - 1]
                    )
                )
        found += rules.clock(now)
    return sorted(
        Told(local_iso(c.transition.bucket), kind.value, "", c.transition.state.value) for c in found
    )


def _frame(start: int, end: int, wh: int, *, doubted: bool) -> Frame:
    quality = Quality.QUESTIONABLE if doubted else Quality.VALID
    columns = (METER.number, start, end, wh, int(quality), int(Outcome.STORED))
    return Frame(SOURCE, Mode.LIVE, end, *(np.array([value], np.int64) for value in columns))
