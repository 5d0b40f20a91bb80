"""Meters, rules and readings for instant rules, without Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from carbonstream.connectors.warning_rules import packaged_definitions
from carbonstream.processors.instant.judge import InstantRules
from carbonstream.processors.instant.readings import FOREVER, Fleet, Frame, Meter
from carbonstream.processors.instant.told import Told
from carbonstream.processors.warning_rules import Definition, RuleBook, parameters_of
from carbonstream.schemas.codes import Mode
from carbonstream.schemas.periods import MINUTE_MS
from carbonstream.schemas.warning_rules import RuleKind

T0 = 1_704_067_200_000  # 2024-01-01T08:00+08:00
QUARTER = 15 * MINUTE_MS
ELECTRICITY = 1
PACKAGED = packaged_definitions()


def rule(kind: RuleKind, scope: str, parameters: str, **changes: object) -> Definition:
    """A rule like the first packaged one."""
    base = replace(PACKAGED[0], rule=f"own-{kind.value}", kind=kind, scope=scope)
    return replace(base, parameters=parameters_of(kind, parameters), **changes)  # type: ignore[arg-type]


def fleet(count: int, interval_ms: int = QUARTER, *, sites: int = 1) -> Fleet:
    """Meters S0/E0 ... by number, dealt out to sites."""
    return Fleet(Meter(n, f"S{n % sites}/E{n}", ELECTRICITY, interval_ms, FOREVER) for n in range(count))


@dataclass(frozen=True, slots=True, order=True)
class Reading:
    """kWh of an interval."""

    end: int
    number: int
    wh: int
    length: int = QUARTER


def frame(
    readings: Sequence[Reading], source: str = "http/gw-7", mode: Mode = Mode.LIVE, tick: int = T0
) -> Frame:
    """Readings of one source as a frame in which all were taken."""
    columns = [
        [r.number for r in readings], [r.end - r.length for r in readings], [r.end for r in readings],
        [r.wh for r in readings], [0] * len(readings), [0] * len(readings),
    ]  # fmt: skip
    is_distinct = len({r.number for r in readings}) == len(readings)
    return Frame(
        source, mode, tick, *(np.array(column, np.int64) for column in columns), is_distinct=is_distinct
    )


def begun(meters: Fleet, *own: Definition, packaged: bool = True) -> InstantRules:
    """Rules ready to judge."""
    rules = InstantRules()
    rules.begin(meters, RuleBook([*(PACKAGED if packaged else ()), *own]))
    return rules


def said(told: Iterable[Told]) -> list[tuple[str, str, int]]:
    """(id, state, bucket) of each change."""
    return [(t.id, t.transition.state.value, t.transition.bucket) for t in told]


def kw(value: str | int) -> int:
    """Wh of a quarter of an hour at so many kW."""
    return int(Decimal(value) * 250)
