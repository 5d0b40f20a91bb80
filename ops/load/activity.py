"""activity.csv: value added, output and the like of an entity in a month."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.ops.load.targets import entity_in, known_entities
from carbonstream.processors import plain_text
from carbonstream.processors.indicators import VALUE_ADDED, VALUE_UNITS, unit_and_year

COLUMNS: Final = ("entity", "month", "indicator", "value", "unit", "provisional")
INDICATOR: Final = re.compile(r"[a-z][a-z0-9_]{0,60}")

Key = tuple[str, date, str]  # entity, first day of the month, indicator
Activity = tuple[Decimal, str, bool]  # value, unit, provisional


def load_activity(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Set activities; a later file replaces value, unit and whether it is provisional."""
    known = known_entities(cursor)
    activities: dict[Key, Activity] = {}
    seen: dict[str, Row] = {}
    for row in read_rows(path, COLUMNS, refusals):
        key = (
            row.take("entity", entity_in(known, refusals)),
            row.take("month", plain_text.month),
            row.take("indicator", _indicator),
        )
        activity = (
            row.take("value", plain_text.decimal),
            row.take("unit", _unit(row.values["indicator"])),
            row.take("provisional", fields.flag),
        )
        if row.sound and unique(seen, row, "entity", "|".join(row.values[c] for c in COLUMNS[:3])):
            activities[key] = activity
    standing = _standing(cursor, activities)
    added = [key for key in activities if key not in standing]
    changed = [key for key in activities if key in standing and standing[key] != activities[key]]
    cursor.executemany(
        """
        insert into activity (entity, month, indicator, value, unit, provisional, loaded_at)
        values (%s, %s, %s, %s, %s, %s, %s)
        on conflict (entity, month, indicator) do update set (value, unit, provisional, loaded_at) =
          (excluded.value, excluded.unit, excluded.provisional, excluded.loaded_at)
        """,
        [(*key, *activities[key], now) for key in (*added, *changed)],
    )
    outbox.note(cursor, outbox.ACTIVITY, [f"{e}|{m:%Y-%m}|{i}" for e, m, i in (*added, *changed)])
    return Counts(len(activities), len(added), len(changed))


def _unit(indicator: str) -> fields.Parser[str]:
    if indicator != VALUE_ADDED:
        return fields.name

    def parse(text: str) -> str:
        unit, _ = unit_and_year(text)
        if unit not in VALUE_UNITS:
            raise ValueError(
                f"take one of {', '.join(VALUE_UNITS)}, with @YEAR where it is at constant prices"
            )
        return text

    return parse


def _indicator(text: str) -> str:
    if not INDICATOR.fullmatch(text):
        raise ValueError("write a lower-case name such as value_added or crude_steel_output")
    return text


def _standing(cursor: Rows, activities: dict[Key, Activity]) -> dict[Key, Activity]:
    cursor.execute(
        "select entity, month, indicator, value, unit, provisional from activity where entity = any(%s)",
        [sorted({key[0] for key in activities})],
    )
    return {row[:3]: row[3:] for row in cursor}
