"""`carbonstream rules simulate`: the rules on stored totals, read with the right to read alone."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import psycopg

from carbonstream.connectors.database import connect
from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.ops.load.rows import Refusals
from carbonstream.ops.load.targets import read_targets
from carbonstream.ops.rules.simulating_instant import instant_changes, tried_rules
from carbonstream.processors.pace import Paces
from carbonstream.processors.rule_simulation import Change, simulation
from carbonstream.processors.targets import Target, Targets
from carbonstream.processors.warning_rules import RuleBook
from carbonstream.processors.warnings_agenda import LONG_AGO, Due
from carbonstream.processors.warnings_closing import alive_since, closed_until
from carbonstream.processors.warnings_judging import days_to_look_into, judge
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.periods import DAY_MS
from carbonstream.schemas.settings import Settings
from carbonstream.streams.warn_judge import looking_at, sight_of
from carbonstream.streams.warn_ratios import ratio_verdicts
from carbonstream.streams.warn_totals import load_expected, load_targets, read_days, read_totals, stored_clock

Connection = psycopg.Connection[Any]
ENTITIES_A_READ: Final = 500


def simulated(
    config: Settings, days: int, targets: Path | None = None, rules: Path | None = None
) -> dict[str, Any]:
    """What the rules would have raised in the last `days` closed local days, each period judged from its start.

    targets: a targets.csv that is tried instead of the targets that are loaded; rules: a warning_rules.csv that is
    tried beside the rules that are loaded. One snapshot, read-only.
    Raises NotReady before the first tick is stored, LoadRefused naming line and field of the file.
    """
    source = config.model_copy(update={"database": config.read_database or config.database})
    with connect(source, application="rules simulate") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute("set local role carbonstream_read")
        now = stored_clock(connection, config.partitions)
        if now <= 0:
            raise NotReady("no tick is stored yet: start the services with `carbonstream up`")
        end = closed_until(now)
        start = end - days * DAY_MS
        tried = load_targets(connection) if targets is None else _read(connection, targets)
        chosen = Targets(tried).touching(start, end)
        book = tried_rules(connection, rules)
        changes = _changes(connection, chosen, now, book)
        changes += instant_changes(connection, book, start, end)
    return {"days": days, "targets": len(chosen), **simulation(changes, start, end)}


def _read(connection: Connection, path: Path) -> list[Target]:
    numbers = dict(connection.execute("select id, number from entity where kind <> 'class'").fetchall())
    refusals = Refusals()
    found = read_targets(path, set(numbers), refusals)
    refusals.raise_if_any()
    return [
        Target(
            entity,
            numbers[entity],
            indicator,
            Grain(grain),
            period,
            limit.value,
            tuple(limit.levels),
            price_year=limit.price_year,
        )
        for (entity, indicator, grain, period), limit in found.items()
    ]


def _changes(connection: Connection, targets: list[Target], now: int, rules: RuleBook) -> list[Change]:
    calendar = packaged_calendar()
    expected = load_expected(connection, (target.number for target in targets))
    by_period: defaultdict[tuple[int, int], list[Target]] = defaultdict(list)
    for target in targets:
        by_period[target.start, target.end].append(target)
    changes: list[Change] = []
    for (start, end), of_period in by_period.items():
        for first in range(0, len(of_period), ENTITIES_A_READ):
            some = of_period[first : first + ENTITIES_A_READ]
            totals = read_totals(connection, sorted({t.number for t in some}), start, end, alive_since(now))
            for target in some:
                due = Due(target, LONG_AGO, quiet=True)
                sight = sight_of(due, totals, expected.get(target.number, {}), now, calendar, rules)
                if target.about.per_value:
                    look = looking_at(connection, expected, now, calendar, rules)
                    changes += [
                        Change(target.entity, r.rule, r.entry.transition.state, r.until)
                        for r in ratio_verdicts(connection, sight, {}, look)
                    ]
                    continue
                hours = {
                    day: read_days(connection, target.about.base, [target.number], start + day * DAY_MS)[
                        target.number
                    ]
                    for day in days_to_look_into(sight, {})
                }
                verdicts, _ = judge(sight, {}, hours, Paces())
                changes += [
                    Change(target.entity, v.rule, v.entry.transition.state, v.until) for v in verdicts
                ]
    return changes


def simulate_text(result: dict[str, Any]) -> str:
    """The figures for a person."""
    worst = result["worst_hour"]
    lines = [
        f"{result['from'][:10]} to {result['until'][:10]}, {result['targets']} targets: "
        f"{result['count']} warnings raised, {result['cleared']} cleared, {result['per_day']['mean']} a day",
        *(f"  {rule:<14}{n:>8}" for rule, n in result["rules"].items()),
    ]
    if worst is not None:
        lines.append(f"worst hour {worst['hour'][:16]}: {worst['count']}")
    lines += [f"  {found['entity']:<40}{found['count']:>8}" for found in result["top_entities"]]
    return "\n".join(lines)
