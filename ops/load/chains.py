"""The chain of scopes of a site: county, city, province, grid region, nation; industry and domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carbonstream.processors.coefficients import NATION, scope_ladder


@dataclass(frozen=True, slots=True)
class Region:
    """One row of table region."""

    code: str
    level: str
    name_zh: str
    name_en: str
    parent: str | None
    grid: str | None


@dataclass(frozen=True, slots=True)
class Industry:
    """One row of table industry."""

    code: str
    name_zh: str
    name_en: str
    domain: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a site lies. Where the list of regions ends above the county, equal codes stand for it."""

    county: str
    city: str
    province: str
    grid: str


@dataclass(frozen=True, slots=True)
class Chain:
    """What makes a class: sites that share it share every coefficient.

    `enterprise` is its id, only where it has coefficients of its own.
    """

    place: Place
    industry: str
    domain: str
    enterprise: str | None

    def scopes(self) -> tuple[str, ...]:
        """Where coefficients are looked for, nearest first."""
        place = self.place
        return scope_ladder(
            county=place.county,
            city=place.city,
            province=place.province,
            grid=place.grid,
            industry=self.industry,
            enterprise=self.enterprise,
        )

    def entities(self) -> tuple[str, ...]:
        """Ids of the entities whose totals this class is part of (T/ZJSEE 6.3.1.1 a), itself left out."""
        place, industry, domain = self.place, f"industry:{self.industry}", f"domain:{self.domain}"
        regions = (NATION, place.grid, place.province, place.city, place.county)
        ids = [f"region:{code}" for code in regions]
        ids += [industry, *(f"{industry}@{code}" for code in regions[2:])]
        ids += [domain, f"{domain}@{place.province}"]
        return tuple(dict.fromkeys(ids))


def place_of(code: str, regions: Mapping[str, Region]) -> Place:
    """The chain of regions of a county, or of a city or province that the list does not divide further.

    Raises ValueError with the remedy: an unknown code, or a region that is divided further.
    """
    region = regions.get(code)
    if region is None:
        raise ValueError("is no known region: take a county's code of GB/T 2260, e.g. 330502")
    if region.level in {"nation", "grid"}:
        raise ValueError(f"is a {region.level}: take a county's code of GB/T 2260, e.g. 330502")
    below = min((r.code for r in regions.values() if r.parent == code), default=None)
    if below is not None:
        raise ValueError(f"is divided further: name the {regions[below].level}, e.g. {below}")
    up = [region]
    while up[-1].level != "province":
        up.append(regions[up[-1].parent or ""])
    grid = next(r.grid for r in up if r.grid)
    return Place(county=code, city=up[-2].code if len(up) > 1 else code, province=up[-1].code, grid=grid)
