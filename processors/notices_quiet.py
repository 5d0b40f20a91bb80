"""Which changes are told to nobody by themselves: those that operators see as one review item, or not at all.

The decision is the desk's (processors.alarm_grouping.quiet_of), made from what a record of carbon.warnings holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from carbonstream.processors.alarm_grouping import Told, instant_of, quiet_of

Record = Mapping[str, Any]
Month = tuple[str, str]  # entity and first local day


def coefficients_of(record: Record) -> set[int]:
    """Ids of the coefficients in a change's total; none where it rests on no total."""
    parts = _snapshot(record).get("parts")
    found = (part.get("coefficient") for part in parts) if isinstance(parts, list) else ()
    return {one for one in found if type(one) is int}


def month_of(record: Record) -> Month | None:
    """The month that its target is about, None where it is about none."""
    target = _snapshot(record).get("target")
    is_month = isinstance(target, Mapping) and target.get("grain") == "month"
    return (str(record["entity"]), str(record.get("period"))) if is_month else None


def is_quiet(record: Record, published: Mapping[int, int], locked: Collection[Month]) -> bool:
    """Whether the change is not annunciated. published: coefficient -> UTC ms; locked: months locked as reported."""
    newest = max((published[one] for one in coefficients_of(record) if one in published), default=None)
    at, until = instant_of(record.get("changed_at")), instant_of(_snapshot(record).get("until"))
    told = Told(at or 0, until, newest, bool(record["backfill"]), month_of(record) in locked)
    return quiet_of(told) is not None


def _snapshot(record: Record) -> Record:
    found = record.get("snapshot")
    return found if isinstance(found, Mapping) else {}
