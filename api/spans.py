"""What an entity expects and how it is metered: the views `expectation` and `metering`, for processors.expectation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from carbonstream.api.problems import Problem
from carbonstream.api.services import Services
from carbonstream.processors.expectation import Metering, Span
from carbonstream.schemas.periods import SECOND_MS, to_ms

# The array, unlike a join, reaches the view's branches and their indexes.
SQL: Final = """
select e.number, x.interval_s, x.valid_from, x.valid_to, x.meters
from entity e
left join (
  select interval_s, valid_from, valid_to, sum(meters)::int as meters from expectation
  where entity = any (array(
    select p.part from entity_part p join entity w on w.number = p.entity where w.id = %(id)s))
  group by 1, 2, 3
) x on true
where e.id = %(id)s and e.kind <> 'class'
"""


METERING: Final = """
select valid_from, valid_to, sum(sites)::int as sites from metering
where entity = any (array(
  select p.part from entity_part p join entity w on w.number = p.entity where w.id = %(id)s))
group by 1, 2
"""


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    interval_s: int | None
    valid_from: datetime | None
    valid_to: datetime | None
    meters: int | None


async def entity_spans(here: Services, entity_id: str) -> tuple[int, list[Span]]:
    """An entity's number, and the spans of its boundary meters' validity. At most 10 s old.

    Raises Problem 404 where there is no such entity.
    """
    return await here.masters.get(entity_id, lambda: _read(here, entity_id))


async def _read(here: Services, entity_id: str) -> tuple[int, list[Span]]:
    rows = await here.database.rows(_Row, SQL, {"id": entity_id})
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


@dataclass(frozen=True, slots=True)
class _Metering:
    valid_from: datetime | None
    valid_to: datetime | None
    sites: int


async def entity_metering(here: Services, entity_id: str) -> list[Metering]:
    """When the sites of an entity were metered. At most 10 s old."""
    return await here.masters.get(f"metering {entity_id}", lambda: _read_metering(here, entity_id))


async def _read_metering(here: Services, entity_id: str) -> list[Metering]:
    rows = await here.database.rows(_Metering, METERING, {"id": entity_id})
    return [
        Metering(
            None if r.valid_from is None else to_ms(r.valid_from),
            None if r.valid_to is None else to_ms(r.valid_to),
            r.sites,
        )
        for r in rows
    ]
