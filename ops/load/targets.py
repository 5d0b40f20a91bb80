"""targets.csv: limits of CO2 or energy of an entity for a month, quarter or year."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.schemas.codes import Grain

COLUMNS: Final = ("entity", "indicator", "period", "value", "unit", "levels")
# indicator -> unit -> kg (of CO2 or standard coal) in one of it
UNITS: Final = {"co2": {"kg": 1, "t": 1000}, "energy": {"kgce": 1, "tce": 1000}}

Key = tuple[str, str, int, date]  # entity, indicator, grain, first day
Target = tuple[Decimal, list[Decimal]]  # kg, levels in per cent


def load_targets(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Set targets; a later file replaces value and levels."""
    targets = read_targets(path, known_entities(cursor), refusals)
    standing = _standing(cursor, targets)
    added = [key for key in targets if key not in standing]
    changed = [key for key in targets if key in standing and standing[key] != targets[key]]
    cursor.executemany(
        """
        insert into target (entity, indicator, grain, period, value, levels, loaded_at)
        values (%s, %s, %s, %s, %s, %s, %s)
        on conflict (entity, indicator, grain, period)
        do update set (value, levels, loaded_at) = (excluded.value, excluded.levels, excluded.loaded_at)
        """,
        [(*key, *targets[key], now) for key in (*added, *changed)],
    )
    outbox.note(cursor, outbox.TARGET, [f"{e}|{i}|{int(g)}|{p}" for e, i, g, p in (*added, *changed)])
    return Counts(len(targets), len(added), len(changed))


def read_targets(path: Path, known: set[str], refusals: Refusals) -> dict[Key, Target]:
    """The targets of a file, of known entities."""
    targets: dict[Key, Target] = {}
    seen: dict[str, Row] = {}
    for row in read_rows(path, COLUMNS, refusals):
        entity = row.take("entity", entity_in(known, refusals))
        indicator = row.take("indicator", fields.one_of(UNITS))
        period = row.take("period", fields.period)
        value, levels = row.take("value", fields.positive), row.take("levels", fields.levels)
        units = UNITS.get(row.values["indicator"], {})
        unit = row.take("unit", fields.one_of(units) if units else fields.name)
        if row.sound and unique(seen, row, "entity", f"{entity}|{indicator}|{row.values['period']}"):
            grain, first = period
            targets[entity, indicator, grain, first] = value * units[unit], levels
    return targets


def known_entities(cursor: Rows) -> set[str]:
    """Ids of all entities."""
    cursor.execute("select id from entity where kind <> 'class'")
    return {id_ for (id_,) in cursor}


def entity_in(known: set[str], refusals: Refusals) -> fields.Parser[str]:
    """A parser that takes a known entity's id, or one whose own row is refused already."""

    def parse(text: str) -> str:
        if text not in known and text not in refusals.unsound:
            raise ValueError("is no registered entity: write e.g. enterprise:ENT-1, and load its sites first")
        return text

    return parse


def _standing(cursor: Rows, targets: dict[Key, Target]) -> dict[Key, Target]:
    cursor.execute(
        "select entity, indicator, grain, period, value, levels from target where entity = any(%s)",
        [sorted({key[0] for key in targets})],
    )
    return {(e, i, Grain(g), p): (value, levels) for e, i, g, p, value, levels in cursor}
