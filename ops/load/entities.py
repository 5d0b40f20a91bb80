"""Entities and classes: everything a total can be of, and which stored totals add up to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from carbonstream.ops.load import outbox
from carbonstream.ops.load.chains import Chain, Industry, Region
from carbonstream.ops.load.outbox import Rows


@dataclass(frozen=True, slots=True)
class Entity:
    """Its id is KIND:NAME, e.g. site:330502-0001, region:330000, industry:C31@330502."""

    id: str
    name_zh: str
    name_en: str

    @property
    def kind(self) -> str:
        """All before the first colon of the id."""
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Names:
    """The tables that name things; read once a load."""

    regions: Mapping[str, Region]
    industries: Mapping[str, Industry]
    domains: Mapping[str, tuple[str, str]]  # id -> (zh, en)

    @classmethod
    def read(cls, cursor: Rows) -> Names:
        """As they stand in the database."""
        cursor.execute("select code, level, name_zh, name_en, parent, grid from region")
        regions = {row[0]: Region(*row) for row in cursor}
        cursor.execute("select code, name_zh, name_en, domain from industry")
        industries = {row[0]: Industry(*row) for row in cursor}
        cursor.execute(
            "select substr(id, 8), name_zh, name_en from entity where kind = 'domain' and id !~ '@'"
        )
        return cls(regions, industries, {row[0]: (row[1], row[2]) for row in cursor})

    def entity(self, id_: str) -> Entity:
        """The entity of an id of kind region, industry or domain, named by what it is of and where."""
        kind, _, rest = id_.partition(":")
        what, _, where = rest.partition("@")
        if kind == "region":
            return Entity(id_, self.regions[what].name_zh, self.regions[what].name_en)
        if kind == "industry":
            zh, en = self.industries[what].name_zh, self.industries[what].name_en
        else:
            zh, en = self.domains[what]
        if not where:
            return Entity(id_, zh, en)
        return Entity(id_, f"{self.regions[where].name_zh} {zh}", f"{en}, {self.regions[where].name_en}")


def register(cursor: Rows, entities: Iterable[Entity], *, stored: bool) -> None:
    """Add entities or correct their names.

    `stored`: totals are kept for the entity itself (site, enterprise, park); others are sums of classes.
    """
    rows = sorted({entity.id: entity for entity in entities}.values(), key=lambda entity: entity.id)
    ids = [entity.id for entity in rows]
    cursor.execute(
        """
        insert into entity (id, kind, name_zh, name_en)
        select *
        from unnest(%s::text[], %s::text[], %s::text[], %s::text[]) as new (id, kind, name_zh, name_en)
        where not exists (select from entity e where e.id = new.id)
        """,
        [ids, [e.kind for e in rows], [e.name_zh for e in rows], [e.name_en for e in rows]],
    )
    cursor.execute(
        """
        update entity e set name_zh = new.name_zh, name_en = new.name_en
        from unnest(%s::text[], %s::text[], %s::text[]) as new (id, name_zh, name_en)
        where e.id = new.id and (e.name_zh, e.name_en) is distinct from (new.name_zh, new.name_en)
        """,
        [ids, [e.name_zh for e in rows], [e.name_en for e in rows]],
    )
    if stored:
        cursor.execute(
            "insert into entity_part select number, number from entity where id = any(%s) "
            "on conflict do nothing",
            [ids],
        )


def classes_of(cursor: Rows, names: Names, chains: Iterable[Chain]) -> dict[Chain, int]:
    """Number of the class of each chain; those that are missing are made, with all they are part of."""
    wanted = set(chains)
    found = _existing(cursor, wanted)
    missing = sorted(wanted - found.keys(), key=lambda c: (c.place.county, c.industry, c.enterprise or ""))
    register(cursor, (names.entity(id_) for chain in missing for id_ in chain.entities()), stored=False)
    for chain in missing:
        found[chain] = _make(cursor, names, chain)
    outbox.note(cursor, outbox.CLASS, [str(found[chain]) for chain in missing])
    return found


def _existing(cursor: Rows, chains: set[Chain]) -> dict[Chain, int]:
    by_key = {(c.place.county, c.industry, c.enterprise): c for c in chains}
    cursor.execute(
        "select county, industry, enterprise, entity from class where county = any(%s)",
        [sorted({c.place.county for c in chains})],
    )
    return {by_key[key]: row[3] for row in cursor if (key := (row[0], row[1], row[2])) in by_key}


def _make(cursor: Rows, names: Names, chain: Chain) -> int:
    place, industry = names.regions[chain.place.county], names.industries[chain.industry]
    cursor.execute(
        """
        with n as (select nextval(pg_get_serial_sequence('entity', 'number'))::int as number)
        insert into entity (number, id, kind, name_zh, name_en) overriding system value
        select number, 'class:' || number, 'class', %s, %s from n returning number
        """,
        [f"{place.name_zh} {industry.name_zh}", f"{industry.name_en}, {place.name_en}"],
    )
    (number,) = cursor.fetchone() or (0,)
    at = chain.place
    cursor.execute(
        "insert into class values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [number, at.county, at.city, at.province, at.grid, chain.industry, chain.domain, chain.enterprise,
         list(chain.scopes())],
    )  # fmt: skip
    cursor.execute(
        "insert into entity_part select number, %s from entity where id = any(%s) or number = %s",
        [number, list(chain.entities()), number],
    )
    return int(number)
