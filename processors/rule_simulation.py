"""What rules would have told of stored history: how much, when most of it, and about whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from carbonstream.processors.total_records import EXACT, exact
from carbonstream.processors.warnings import State
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, OFFSET_MS, local_iso

TOP: Final = 10


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a warning. at: UTC ms, the end of the hour or day that is judged."""

    entity: str
    rule: str
    state: State
    at: int


def simulation(changes: Sequence[Change], start: int, end: int) -> dict[str, Any]:
    """The changes within (start, end] (UTC ms, local midnights) summed up.

    count: raised; per_day: their mean of the span's days to two decimals, and the days that have any;
    worst_hour: the hour in whose course most are raised, None without any; top_entities: the ten that most
    concern. A warning that clears and comes again counts again.
    """
    raised = [c for c in changes if c.state is State.ACTIVE and start < c.at <= end]
    cleared = sum(c.state is State.CLEARED and start < c.at <= end for c in changes)
    days = Counter((c.at - 1 + OFFSET_MS) // DAY_MS for c in raised)
    hours = Counter((c.at - 1) // HOUR_MS * HOUR_MS for c in raised)
    worst = max(hours, key=lambda hour: (hours[hour], -hour), default=None)
    mean = EXACT.divide(Decimal(len(raised)), Decimal((end - start) // DAY_MS))
    entities = Counter(c.entity for c in raised)
    return {
        "from": local_iso(start),
        "until": local_iso(end),
        "count": len(raised),
        "cleared": cleared,
        "rules": dict(sorted(Counter(c.rule for c in raised).items())),
        "per_day": {
            "mean": exact(EXACT.quantize(mean, Decimal("0.01"))),
            "days": {local_iso(day * DAY_MS - OFFSET_MS)[:10]: n for day, n in sorted(days.items())},
        },
        "worst_hour": None if worst is None else {"hour": local_iso(worst), "count": hours[worst]},
        "top_entities": [
            {"entity": entity, "count": n}
            for entity, n in sorted(entities.items(), key=lambda found: (-found[1], found[0]))[:TOP]
        ],
    }
