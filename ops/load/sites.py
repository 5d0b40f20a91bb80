"""sites.csv: sites with their enterprise, park, county and industry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from carbonstream.ops.load import fields, outbox
from carbonstream.ops.load.chains import Chain, Place, place_of
from carbonstream.ops.load.counts import Counts
from carbonstream.ops.load.entities import Entity, Names, classes_of, register
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.owners import Owners
from carbonstream.ops.load.rows import Refusals, Row, read_rows, unique
from carbonstream.schemas.shards import shard_of

COLUMNS: Final = (
    "site_id", "name_zh", "name_en", "enterprise", "enterprise_zh", "enterprise_en", "park", "park_zh",
    "park_en", "county", "industry",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Site:
    row: Row
    site_id: str
    name_zh: str
    name_en: str
    enterprise: str
    park: str | None
    place: Place
    industry: str

    def lies(self) -> dict[str, str | None]:
        """What never changes, by column."""
        return {
            "enterprise": self.enterprise,
            "park": self.park,
            "county": self.place.county,
            "industry": self.industry,
        }


@dataclass(frozen=True, slots=True)
class _Standing:
    """A site as the database has it."""

    name_zh: str
    name_en: str
    enterprise: str
    park: str | None
    county: str
    industry: str


def load_sites(cursor: Rows, path: Path, refusals: Refusals, now: datetime) -> Counts:
    """Register sites, their enterprises and parks, and the classes they fall into.

    A site's names may change; its enterprise, park, county and industry may not: totals are kept by them.
    """
    names, owners = Names.read(cursor), Owners(cursor)
    sites = _read(path, names, owners, refusals)
    standing = _standing(cursor, [site.site_id for site in sites])
    for site in sites:
        if site.site_id in standing:
            _refuse_move(site, standing[site.site_id])
    sites = [site for site in sites if site.row.sound]
    register(cursor, owners.entities(), stored=True)
    new = [site for site in sites if site.site_id not in standing]
    renamed = [s for s in sites if s.site_id in standing and _names(standing[s.site_id]) != _names(s)]
    changed = [*new, *renamed]
    register(cursor, [Entity(f"site:{s.site_id}", s.name_zh, s.name_en) for s in changed], stored=True)
    _insert(cursor, names, new, now)
    cursor.execute(
        """
        update site s set name_zh = r.name_zh, name_en = r.name_en, loaded_at = %s
        from unnest(%s::text[], %s::text[], %s::text[]) as r (site_id, name_zh, name_en)
        where s.site_id = r.site_id
        """,
        [now, [s.site_id for s in renamed], [s.name_zh for s in renamed], [s.name_en for s in renamed]],
    )
    outbox.note(cursor, outbox.SITE, [site.site_id for site in changed])
    return Counts(len(sites), len(new), len(renamed))


def _read(path: Path, names: Names, owners: Owners, refusals: Refusals) -> list[_Site]:
    def industry(code: str) -> str:
        if code not in names.industries:
            raise ValueError("is no known industry: take a division's code of GB/T 4754-2017, e.g. C31")
        return code

    sites: list[_Site] = []
    seen: dict[str, Row] = {}
    for row in read_rows(path, COLUMNS, refusals):
        site = _Site(
            row,
            row.take("site_id", _site_id),
            row.take("name_zh", fields.name),
            row.take("name_en", fields.name),
            owners.take(row, "enterprise"),
            owners.take(row, "park") if row.values["park"] else None,
            row.take("county", lambda code: place_of(code, names.regions)),
            row.take("industry", industry),
        )
        if unique(seen, row, "site_id", row.values["site_id"]) and row.sound:
            sites.append(site)
        else:
            refusals.unsound |= {f"{kind}:{row.values[column]}" for kind, column in NAMED_BY}
    return sites


NAMED_BY: Final = (("site", "site_id"), ("enterprise", "enterprise"), ("park", "park"))


def _site_id(text: str) -> str:
    if text.startswith("class:"):
        raise ValueError("begins with class:, which is how ref.sites names a class: choose another id")
    return fields.identifier(text)


def _standing(cursor: Rows, site_ids: list[str]) -> dict[str, _Standing]:
    cursor.execute(
        """
        select s.site_id, s.name_zh, s.name_en, e.id, p.id, c.county, c.industry
        from site s join entity e on e.number = s.enterprise left join entity p on p.number = s.park
        join class c on c.entity = s.class
        where s.site_id = any(%s)
        """,
        [site_ids],
    )
    return {row[0]: _Standing(*row[1:]) for row in cursor}


def _refuse_move(site: _Site, standing: _Standing) -> None:
    for column, value in site.lies().items():
        before = getattr(standing, column)
        if value != before:
            site.row.refuse(
                column,
                f"the site is registered with {before or 'none'} and its totals are kept there: "
                "register what has moved under a new site_id",
            )


def _names(site: _Site | _Standing) -> tuple[str, str]:
    return site.name_zh, site.name_en


def _insert(cursor: Rows, names: Names, sites: list[_Site], now: datetime) -> None:
    cursor.execute("select distinct scope from coefficient where scope like 'enterprise:%%'")
    own = {scope for (scope,) in cursor}
    chains = {
        site.site_id: Chain(
            site.place,
            site.industry,
            names.industries[site.industry].domain,
            site.enterprise.partition(":")[2] if site.enterprise in own else None,
        )
        for site in sites
    }
    numbers = classes_of(cursor, names, chains.values())
    cursor.execute(
        """
        insert into site (site_id, entity, shard, name_zh, name_en, enterprise, park, class, loaded_at)
        select n.site_id, s.number, n.shard, n.name_zh, n.name_en, e.number, p.number, n.class, %s
        from unnest(%s::text[], %s::smallint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[])
          as n (site_id, shard, name_zh, name_en, enterprise, park, class)
        join entity s on s.id = 'site:' || n.site_id join entity e on e.id = n.enterprise
        left join entity p on p.id = n.park
        """,
        [
            now,
            [site.site_id for site in sites],
            [shard_of(site.site_id) for site in sites],
            [site.name_zh for site in sites],
            [site.name_en for site in sites],
            [site.enterprise for site in sites],
            [site.park for site in sites],
            [numbers[chains[site.site_id]] for site in sites],
        ],
    )
