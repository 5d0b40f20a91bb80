"""A closed day's electricity against days alike, as the service keeps it."""

from __future__ import annotations

from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.processors.swing import LIKE_DAYS, days_alike
from carbonstream.schemas.periods import DAY_MS, OFFSET_MS

from .conftest import DAY, NEXT_DAY, Park


def test_a_day_is_compared_with_the_days_like_it_once_it_is_closed(park: Park) -> None:
    day = (DAY + OFFSET_MS) // DAY_MS
    alike = days_alike(day, packaged_calendar())
    assert len(alike) == LIKE_DAYS
    for other in alike:
        park.store("a/E", [1_000] * 24, start=DAY + (other - day) * DAY_MS)
    park.store("a/E", [1_100] * 24)
    park.compute(NEXT_DAY - DAY_MS // 2)
    assert park.value("swing", "enterprise:ENT-A") == (0, 0, None)  # the day goes on
    told = park.compute()
    for entity in ("enterprise:ENT-A", "region:330502", "region:CN"):
        part, whole, met = park.value("swing", entity)
        assert (part * 10, met) == (whole, False), entity
    assert not [indicator for _, indicator, _ in told if indicator == "swing"]
    assert park.value("swing", "enterprise:ENT-B") == (0, 0, None)
