"""Who stands in a simulated park: sites of eight industries and their meters, and the same as reference CSV.
Pure.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from carbonstream.processors.load_shapes import Loads, Shape
from carbonstream.schemas.periods import local_iso

COUNTIES: Final = ("330502", "330503", "330521", "330522", "330523")  # of Huzhou
MODULUS: Final = 1_000_000  # six digits; of a register's index, before the multiplier
SITE_COLUMNS: Final = (
    "site_id", "name_zh", "name_en", "enterprise", "enterprise_zh", "enterprise_en",
    "park", "park_zh", "park_en", "county", "industry",
)  # fmt: skip
METER_COLUMNS: Final = (
    "meter_id", "carrier", "kind", "unit", "multiplier", "modulus", "interval_s", "boundary",
    "valid_from", "valid_to",
)  # fmt: skip


class Works(NamedTuple):
    """Typical works of one of the eight energy-intensive industries of T/CES. Means are of a working hour."""

    industry: str  # GB/T 4754-2017
    name_zh: str
    name_en: str
    shape: Shape
    power_kw: float
    multiplier: int  # CT x PT of the main meter
    gas_m3: float = 0.0
    coal_t: float = 0.0
    heat_gj: float = 0.0


WORKS: Final = (
    Works(
        "C17", "模拟纺织厂", "Simulated textile mill", Shape.THREE_SHIFT, 2_000, 600, gas_m3=120, heat_gj=8
    ),
    Works("C22", "模拟造纸厂", "Simulated paper mill", Shape.THREE_SHIFT, 8_000, 2_000, coal_t=2, heat_gj=40),
    Works(
        "C25", "模拟石化厂", "Simulated petrochemical works", Shape.CONTINUOUS, 25_000, 6_000, gas_m3=4_000
    ),
    Works(
        "C26", "模拟化工厂", "Simulated chemical works", Shape.BATCH, 12_000, 3_000, gas_m3=900, heat_gj=30
    ),
    Works("C28", "模拟化纤厂", "Simulated chemical fibre works", Shape.CONTINUOUS, 10_000, 3_000, heat_gj=20),
    Works("C30", "模拟建材厂", "Simulated building materials works", Shape.TWO_SHIFT, 6_000, 2_000, coal_t=6),
    Works(
        "C31", "模拟钢铁厂", "Simulated steel works", Shape.FURNACE, 40_000, 8_000, gas_m3=2_500, coal_t=10
    ),
    Works("D44", "模拟热电厂", "Simulated heat and power plant", Shape.CONTINUOUS, 5_000, 2_000, coal_t=40),
)


class Site(NamedTuple):
    """One works at one place."""

    site_id: str
    number: int  # among those of its industry, from 1
    county: str
    works: Works


class Meter(NamedTuple):
    """One meter as reference data name it."""

    meter_id: str
    carrier: str
    kind: str
    unit: str
    multiplier: int
    modulus: int | None
    interval_s: int
    boundary: bool


@dataclass(frozen=True, slots=True)
class Park:
    """What stands in a park. `loads` has one entry a meter, in the order of `meters`."""

    park_id: str
    sites: tuple[Site, ...]
    meters: tuple[Meter, ...]
    loads: Loads


def build_park(sites: int, interval_s: int, seed: int, park_id: str = "simulated") -> Park:
    """A park of `sites` works, industries in turn; the same for the same arguments. Raises ValueError."""
    if sites < 1 or interval_s < 1:
        raise ValueError(
            f"a park has at least one site and an interval of a second, not {sites}, {interval_s}"
        )
    rng = np.random.default_rng(seed)
    stand: list[Site] = []
    meters: list[Meter] = []
    shapes: list[Shape] = []
    means: list[float] = []
    for i in range(sites):
        works = WORKS[i % len(WORKS)]
        county = COUNTIES[i % len(COUNTIES)]
        site = Site(f"{county}-sim{i + 1:04d}", i // len(WORKS) + 1, county, works)
        stand.append(site)
        size = float(rng.uniform(0.6, 1.4))
        for meter, mean in _meters(site, interval_s):
            meters.append(meter)
            shapes.append(works.shape)
            means.append(mean * size)
    return Park(park_id, tuple(stand), tuple(meters), _loads(meters, shapes, means, seed))


def _meters(site: Site, interval_s: int) -> list[tuple[Meter, float]]:
    """The site's meters, and the mean of each in its unit an hour."""
    works = site.works
    named = f"{site.site_id}/"
    found = [
        (
            Meter(
                f"{named}E01",
                "electricity",
                "register",
                "kWh",
                works.multiplier,
                MODULUS,
                interval_s,
                boundary=True,
            ),
            works.power_kw,
        ),
        # the largest workshop, inside what E01 measures
        (
            Meter(f"{named}E02", "electricity", "interval", "kWh", 1, None, interval_s, boundary=False),
            works.power_kw * 0.4,
        ),
    ]
    for mean, name, carrier, unit in (
        (works.gas_m3, "G01", "natural_gas", "m3"),
        (works.coal_t * 1_000, "C01", "raw_coal", "kg"),
        (works.heat_gj * 1_000, "H01", "heat", "MJ"),
    ):
        if mean:
            found.append(
                (Meter(named + name, carrier, "interval", unit, 1, None, interval_s, boundary=True), mean)
            )
    return found


def _loads(meters: list[Meter], shapes: list[Shape], means: list[float], seed: int) -> Loads:
    return Loads(
        seed=np.arange(len(meters)) * 2 + seed * 1_000_003,
        shape=np.array(shapes, np.int64),
        mean=np.array(means, np.float64),
        register=np.array([m.kind == "register" for m in meters], np.bool_),
        multiplier=np.array([m.multiplier for m in meters], np.float64),
        modulus=np.array([m.modulus or MODULUS for m in meters], np.float64),
        interval_ms=np.array([m.interval_s * 1_000 for m in meters], np.int64),
    )


def sites_csv(park: Park) -> str:
    """The park's sites as `load sites` takes them."""
    rows = [
        (
            s.site_id, f"{s.works.name_zh} {s.number}", f"{s.works.name_en} {s.number}",
            f"sim-{s.site_id}", f"{s.works.name_zh} {s.number}", f"{s.works.name_en} {s.number}",
            park.park_id, "模拟园区", "Simulated park", s.county, s.works.industry,
        )
        for s in park.sites
    ]  # fmt: skip
    return _csv(SITE_COLUMNS, rows)


def meters_csv(park: Park, valid_from_ms: int) -> str:
    """The park's meters as `load meters` takes them. valid_from_ms: UTC ms; before it nothing is expected of
    them.
    """
    since = local_iso(valid_from_ms)
    rows = [
        (
            m.meter_id, m.carrier, m.kind, m.unit, m.multiplier, m.modulus or "", m.interval_s,
            "true" if m.boundary else "false", since, "",
        )
        for m in park.meters
    ]  # fmt: skip
    return _csv(METER_COLUMNS, rows)


def _csv(columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *rows])
    return out.getvalue()


# Two works of each industry; a reading a minute moves the board and is 83,000 readings a day.
DEMO_PARK: Final = build_park(sites=16, interval_s=60, seed=1)
