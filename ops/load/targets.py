"""targets.csv: limits of CO2 or energy, of their intensities or of how these change, of an entity for a period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.processors.indicators import INDICATORS, Indicator, unit_and_year
from carbonstream.processors.plain_text import decimal
from carbonstream.schemas.codes import Grain

COLUMNS: Final = ("entity", "indicator", "period", "value", "unit", "levels")

Key = tuple[str, str, int, date]  # entity, indicator, grain, first day


@dataclass(frozen=True, slots=True)
class Limit:
    """value: in the indicator's stored unit; levels: per cent; price_year: of an intensity at constant prices."""

    value: Decimal
    levels: list[Decimal]
    price_year: int | None = None


def load_targets(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Set targets; a later file replaces value and levels."""
    targets = read_targets(path, known_entities(cursor), refusals)
    standing = _standing(cursor, targets)
    added = [key for key in targets if key not in standing]
    changed = [key for key in targets if key in standing and standing[key] != targets[key]]
    cursor.executemany(
        """
        insert into target (entity, indicator, grain, period, value, levels, price_year, loaded_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (entity, indicator, grain, period)
        do update set (value, levels, price_year, loaded_at) =
          (excluded.value, excluded.levels, excluded.price_year, excluded.loaded_at)
        """,
        [
            (*key, targets[key].value, targets[key].levels, targets[key].price_year, now)
            for key in (*added, *changed)
        ],
    )
    outbox.note(cursor, outbox.TARGET, [f"{e}|{i}|{int(g)}|{p}" for e, i, g, p in (*added, *changed)])
    return Counts(len(targets), len(added), len(changed))


def read_targets(path: Path, known: set[str], refusals: Refusals) -> dict[Key, Limit]:
    """The targets of a file, of known entities."""
    targets: dict[Key, Limit] = {}
    seen: dict[str, Row] = {}
    for row in read_rows(path, COLUMNS, refusals):
        entity = row.take("entity", entity_in(known, refusals))
        name = row.take("indicator", fields.one_of(INDICATORS))
        indicator = INDICATORS.get(name)
        period = row.take("period", fields.period)
        changes = indicator is not None and indicator.against is not None
        value = row.take("value", _change if changes else fields.positive)
        levels = row.take("levels", fields.levels)
        unit, price_year = _unit(row, indicator)
        if row.sound and indicator is not None and indicator.per_value and levels != [Decimal(100)]:
            row.refuse("levels", "write 100: what is not a running total is judged against its target alone")
        if row.sound and indicator is not None:
            key = f"{entity}|{name}|{row.values['period']}"
            if unique(seen, row, "entity", key):
                grain, first = period
                scale = indicator.units[unit]
                targets[entity, name, grain, first] = Limit(value * scale, levels, price_year)
    return targets


def _unit(row: Row, indicator: Indicator | None) -> tuple[str, int | None]:
    units: Mapping[str, int] = {} if indicator is None else indicator.units

    def parse(text: str) -> tuple[str, int | None]:
        unit, year = (text, None) if indicator is None or not indicator.per_value else unit_and_year(text)
        if units and unit not in units:
            at = (
                ", each with @YEAR where it is of constant prices"
                if indicator and indicator.per_value
                else ""
            )
            raise ValueError(f"take one of {', '.join(units)}{at}")
        return unit, year

    taken: tuple[str, int | None] | None = row.take("unit", parse)
    return ("", None) if taken is None else taken


def _change(text: str) -> Decimal:
    value = decimal(text)
    if value <= -100:
        raise ValueError("is a change in per cent, e.g. -3.5: it must be above -100")
    return value


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


def _standing(cursor: Rows, targets: dict[Key, Limit]) -> dict[Key, Limit]:
    cursor.execute(
        "select entity, indicator, grain, period, value, levels, price_year from target where entity = any(%s)",
        [sorted({key[0] for key in targets})],
    )
    return {
        (e, i, Grain(g), p): Limit(value, levels, price_year)
        for e, i, g, p, value, levels, price_year in cursor
    }
