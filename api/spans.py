"""How many readings an entity expects: the view `expectation`, as spans for processors.expectation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carbonstream.api.problems import Problem
from carbonstream.api.services import Services
from carbonstream.processors.expectation import Span
from carbonstream.schemas.periods import SECOND_MS, to_ms

NUMBER: Final = "select number from entity where id = %(id)s and kind <> 'class'"
# The array, unlike a join, reaches the view's branches and their indexes.
SPANS: Final = """
select interval_s, valid_from, valid_to, sum(meters)::int as meters from expectation
where entity = any (array(select part from entity_part where entity = %(entity)s))
group by 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class _Number:
    number: int


@dataclass(frozen=True, slots=True)
class _Row:
    interval_s: int
    valid_from: datetime
    valid_to: datetime | None
    meters: int


async def entity_spans(here: Services, entity_id: str) -> tuple[int, list[Span]]:
    """An entity's number, and the spans of its boundary meters' validity. At most 10 s old.

    Raises Problem 404 where there is no such entity.
    """
    return await here.masters.get(entity_id, lambda: _read(here, entity_id))


async def _read(here: Services, entity_id: str) -> tuple[int, list[Span]]:
    entity = await here.database.row(_Number, NUMBER, {"id": entity_id})
    if entity is None:
        raise Problem(
            404, f"no entity {entity_id!r}", field="entity", remedy="GET /v1/entities lists what there is"
        )
    rows = await here.database.rows(_Row, SPANS, {"entity": entity.number})
    return entity.number, [
        Span(
            r.interval_s * SECOND_MS,
            to_ms(r.valid_from),
            None if r.valid_to is None else to_ms(r.valid_to),
            r.meters,
        )
        for r in rows
    ]
