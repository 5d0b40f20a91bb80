"""China's public holidays, as packaged with Carbonstream."""

from __future__ import annotations

from importlib.resources import files

from carbonstream.processors.calendar_cn import Calendar, read_calendar


def packaged_calendar() -> Calendar:
    """What schemas/reference/holidays_cn.csv says."""
    return read_calendar((files("carbonstream.schemas") / "reference" / "holidays_cn.csv").read_text("utf-8"))
