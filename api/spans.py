"""How many readings an entity expects: the view `expectation`, as spans for processors.expectation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carbonstream.api.problems import Problem
from carbonstream.api.services import Services
from carbonstream.processors.expectation import Span
from carbonstream.schemas.periods import SECOND_MS, to_ms

SQL: Final = """
select e.number, x.interval_s, x.valid_from, x.valid_to, sum(x.meters)::int as meters
from entity e
left join entity_part p on p.entity = e.number
left join expectation x on x.entity = p.part
where e.id = %(id)s and e.kind <> 'class'
group by 1, 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    interval_s: int | None
    valid_from: datetime | None
    valid_to: datetime | None
    meters: int | None


async def entity_spans(here: Services, entity_id: str) -> tuple[int, list[Span]]:
    """An entity's number, and the spans of its boundary meters' validity. At most a second old.

    Raises Problem 404 where there is no such entity.
    """
    rows = await here.once.get(f"spans {entity_id}", lambda: here.database.rows(_Row, SQL, {"id": entity_id}))
    if not rows:
        raise Problem(
            404, f"no entity {entity_id!r}", field="entity", remedy="GET /v1/entities lists what there is"
        )
    return rows[0].number, [
        Span(
            r.interval_s * SECOND_MS,
            to_ms(r.valid_from),
            None if r.valid_to is None else to_ms(r.valid_to),
            r.meters,
        )
        for r in rows
        if r.interval_s is not None and r.valid_from is not None and r.meters is not None
    ]
