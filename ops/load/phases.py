"""phases.csv: a target phased over its period by the enterprise or the regulator (ZJ 6.3.2.2 b)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows
from carbonstream.ops.load.targets import Key, entity_in, known_entities
from carbonstream.processors.indicators import INDICATORS
from carbonstream.processors.plain_text import MONTH, not_negative
from carbonstream.processors.total_records import exact
from carbonstream.schemas.codes import Grain

COLUMNS: Final = ("entity", "indicator", "period", "part", "value", "unit")
PHASED: Final = tuple(i.id for i in INDICATORS.values() if not i.per_value)
UNPHASED: Final = """
select t.entity, t.indicator, t.value, sum(p.value) from target t
join target_phase p using (entity, indicator, grain, period)
group by 1, 2, t.grain, t.period, t.value having sum(p.value) <> t.value order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a period: its first day, its days, its share in kg CO2 or kgce."""

    first: date
    days: int
    value: Decimal


def load_phases(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Set the phases of targets; a later file replaces all phases of the targets it names."""
    known = known_entities(cursor)
    phases: defaultdict[Key, list[tuple[Row, Phase]]] = defaultdict(list)
    for row in read_rows(path, COLUMNS, refusals):
        entity = row.take("entity", entity_in(known, refusals))
        name = row.take("indicator", fields.one_of(PHASED))
        period, part = row.take("period", fields.period), row.take("part", _part)
        value = row.take("value", not_negative)
        units = INDICATORS[name].units if name else {}
        unit = row.take("unit", fields.one_of(units) if units else fields.name)
        if row.sound:
            phases[entity, name, *period].append((row, Phase(*part, value * units[unit])))
    standing = _standing(cursor, phases)
    found = {key: _tiled(key, rows) for key, rows in phases.items()}
    for key in found:
        if not _has_target(cursor, key):
            phases[key][0][0].refuse(
                "entity", "has no such target: load it in targets.csv, with this file or before"
            )
    added = [key for key in found if key not in standing]
    changed = [key for key in found if key in standing and standing[key] != found[key]]
    for key in (*added, *changed) if not refusals.errors else ():
        cursor.execute(
            "delete from target_phase where (entity, indicator, grain, period) = (%s, %s, %s, %s)", key
        )
        cursor.executemany(
            "insert into target_phase values (%s, %s, %s, %s, %s, %s, %s)",
            [(*key, phase.first, phase.days, phase.value) for phase in found[key]],
        )
    outbox.note(cursor, outbox.TARGET, [f"{e}|{i}|{int(g)}|{p}" for e, i, g, p in (*added, *changed)])
    return Counts(sum(map(len, found.values())), len(added), len(changed))


def refuse_unphased(cursor: Rows, refusals: Refusals) -> None:
    """Phases must add up to their target, whichever of the two was loaded last."""
    for entity, indicator, value, phased in cursor.execute(UNPHASED).fetchall():
        unit = INDICATORS[indicator].unit
        refusals.errors.append(
            f"phases of {entity} {indicator}: value: '{exact(phased)} {unit}': "
            f"must add up to its target of {exact(value)} {unit}: correct targets.csv or phases.csv"
        )


def _part(text: str) -> tuple[date, int]:
    """A month or a day as its first day and its days."""
    if MONTH.fullmatch(text):
        _, first = fields.period(text)
        return first, (date(first.year + first.month // 12, first.month % 12 + 1, 1) - first).days
    try:
        return date.fromisoformat(text), 1
    except ValueError:
        raise ValueError("write a month 2024-03 or a day 2024-03-05") from None


def _tiled(key: Key, rows: list[tuple[Row, Phase]]) -> list[Phase]:
    """The phases in order; refused where they leave out or repeat a day of their period."""
    _, _, grain, at = key
    months = {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}[Grain(grain)]
    end_month = at.year * 12 + at.month - 1 + months
    end = date(end_month // 12, end_month % 12 + 1, 1)
    found: list[Phase] = []
    for row, phase in sorted(rows, key=lambda found: found[1].first):
        if phase.first != at:
            row.refuse("part", f"must begin on {at}: give each month or each day of the period once")
            return []
        at, found = at + timedelta(days=phase.days), [*found, phase]
    if at != end:
        rows[-1][0].refuse("part", f"the period goes on until {end}: give a part for {at} too")
    return found


def _has_target(cursor: Rows, key: Key) -> bool:
    cursor.execute("select from target where (entity, indicator, grain, period) = (%s, %s, %s, %s)", key)
    return cursor.fetchone() is not None


def _standing(cursor: Rows, phases: dict[Key, list[tuple[Row, Phase]]]) -> dict[Key, list[Phase]]:
    cursor.execute(
        "select entity, indicator, grain, period, part, days, value from target_phase where entity = any(%s) "
        "order by part",
        [sorted({key[0] for key in phases})],
    )
    found: defaultdict[Key, list[Phase]] = defaultdict(list)
    for entity, indicator, grain, period, part, days, value in cursor:
        found[entity, indicator, Grain(grain), period].append(Phase(part, days, value))
    return found
