"""GET /v1/entities: what totals, warnings and targets can be of. Classes are internal and not listed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.parameters import Here, Parameters, PathText, Text
from carbonstream.api.problems import RESPONSES, Problem
from carbonstream.api.services import Services

router = APIRouter(tags=["entities"], responses=RESPONSES)
LIST: Final = """
select id, kind, name_zh, name_en from entity
where kind <> 'class' and (%(kind)s::text is null or kind = %(kind)s) and id > %(after)s collate "C"
  and (%(q)s = '' or strpos(lower(id || chr(10) || name_zh || chr(10) || name_en), lower(%(q)s)) > 0)
order by id collate "C" limit %(limit)s
"""
ONE: Final = """
with e as (select * from entity where id = %(id)s and kind <> 'class'),
within as (
  select s.* from e cross join site s
  where s.entity = e.number or s.enterprise = e.number or s.park = e.number
    or s.class in (select p.part from entity_part p where p.entity = e.number)
)
select e.id, e.kind, e.name_zh, e.name_en, (select count(*)::int from within) as sites,
  coalesce((
    select array_agg(c.id order by c.number) from carrier c where c.number in (
      select m.carrier from meter m join within w using (site_id))), '{}') as carriers,
  en.id as enterprise, pa.id as park, array_remove(array[c.county, c.city, c.province, c.grid], null) as
  regions, c.industry, c.domain
from e
left join site s on s.entity = e.number
left join entity en on en.number = s.enterprise
left join entity pa on pa.number = s.park
left join class c on c.entity = s.class
"""


class EntitiesQuery(Parameters):
    """Which entities."""

    kind: Literal["site", "enterprise", "park", "region", "industry", "domain"] | None = None
    q: Text = Field("", description="part of an id or name", examples=["steel"])
    limit: int = Field(100, ge=1, le=1_000)
    after: Text = Field("", description="`next` of the page before")


@dataclass(frozen=True, slots=True)
class _Named:
    id: str
    kind: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    kind: str
    name_zh: str
    name_en: str
    sites: int
    carriers: list[str]
    enterprise: str | None
    park: str | None
    regions: list[str]
    industry: str | None
    domain: str | None


class Entity(BaseModel):
    """Something that has totals."""

    id: str = Field(examples=["enterprise:ENT-1"])
    kind: str
    name_zh: str
    name_en: str


class Entities(BaseModel):
    """One page."""

    entities: list[Entity]
    next: str | None = Field(description="pass as `after` for the next page; null: this is the last")


class EntityDetail(Entity):
    """One entity; enterprise, park, regions, industry and domain are a site's only, and entity ids."""

    sites: int
    carriers: list[str] = Field(description="metered", examples=[["electricity", "natural_gas"]])
    enterprise: str | None = None
    park: str | None = None
    regions: list[str] | None = Field(None, description="county, city, province, grid region")
    industry: str | None = None
    domain: str | None = None


@router.get("/entities")
async def entities(query: Annotated[EntitiesQuery, Query()], here: Here) -> Entities:
    """Entities in the order of their ids."""
    return await here.running.get(f"entities {query.model_dump_json()}", lambda: _read(query, here))


async def _read(query: EntitiesQuery, here: Services) -> Entities:
    rows = await here.database.rows(
        _Named, LIST, {"kind": query.kind, "q": query.q, "after": query.after, "limit": query.limit + 1}
    )
    shown = [Entity(**asdict(row)) for row in rows[: query.limit]]
    return Entities(entities=shown, next=shown[-1].id if len(rows) > query.limit else None)


@router.get("/entities/{entity_id:path}", response_model_exclude_none=True)
async def entity(entity_id: PathText, here: Here) -> EntityDetail:
    """One entity and where it belongs."""
    row = await here.database.row(_Row, ONE, {"id": entity_id})
    if row is None:
        raise Problem(404, f"no entity {entity_id!r}", remedy="GET /v1/entities lists what there is")
    fields = asdict(row)
    if row.industry is None:  # not a site
        fields["regions"] = None
    else:
        fields |= {
            "regions": [f"region:{code}" for code in row.regions],
            "industry": f"industry:{row.industry}",
            "domain": f"domain:{row.domain}",
        }
    return EntityDetail(**fields)
