"""A small world of meters, and documents of meter.readings as sound or as broken as they come."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import strategies as st

from carbonstream.processors.coefficients import Coefficient
from carbonstream.processors.directory import ENTRY, Directory
from carbonstream.processors.judged import Limits
from carbonstream.processors.meters import Meter
from carbonstream.processors.reference import Reference
from carbonstream.schemas.carriers import CARRIER_BY_ID, UNITS
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, month_of
from carbonstream.schemas.shards import meter_number, shard_of, site_of

Document = dict[str, Any]

PARTITIONS, PARTITION = 8, 1
NEAR, FAR, ELSEWHERE = 1, 9, 2  # two shards of partition 1, and one of another
T0 = 1_735_693_200_000  # 2025-01-01T09:00 local, a whole hour
QUARTER_MS = 900_000
LIMITS = Limits(31 * DAY_MS, 300_000, DAY_MS)


def site_in(shard: int) -> str:
    return next(site for site in (f"330502-{i:04}" for i in range(10_000)) if shard_of(site) == shard)


SITES = {shard: site_in(shard) for shard in (NEAR, FAR, ELSEWHERE)}


def _meter(
    shard: int,
    slot: int,
    name: str,
    carrier: str = "electricity",
    *,
    register: bool = False,
    unit: str = "kWh",
    milli: int = 1_000,
    modulus: int | None = None,
    valid: tuple[int, int | None] = (0, None),
    class_: int = 7,
    interval_ms: int = QUARTER_MS,
) -> Meter:
    return Meter(
        f"{SITES[shard]}/{name}",
        meter_number(shard, slot),
        CARRIER_BY_ID[carrier].number,
        register,
        unit,
        milli,
        modulus,
        interval_ms,
        *valid,
        class_,
    )


METERS = (
    _meter(NEAR, 0, "R0", register=True),
    _meter(NEAR, 1, "R1", register=True, milli=80_000, modulus=10_000_000),
    _meter(NEAR, 2, "R2", register=True, unit="Wh", milli=1_333, modulus=1_000),
    _meter(NEAR, 3, "R3", register=True, milli=7, class_=8),
    _meter(NEAR, 4, "I0"),
    _meter(NEAR, 5, "I1", unit="MWh", milli=333),
    _meter(NEAR, 6, "H0", "heat", unit="MJ"),
    _meter(NEAR, 7, "G0", "natural_gas", register=True, unit="m3", modulus=100_000_000),
    _meter(NEAR, 600, "R9", register=True, milli=60_000),
    _meter(FAR, 0, "R0", register=True, valid=(T0, T0 + 6 * QUARTER_MS)),
    _meter(FAR, 1, "I0", valid=(T0 - HOUR_MS, T0 + 6 * QUARTER_MS)),
    _meter(NEAR, 601, "HOURLY", interval_ms=HOUR_MS),
    _meter(NEAR, 602, "DAILY", interval_ms=DAY_MS),
)
BY_ID = {meter.meter_id: meter for meter in METERS}
KNOWN_IDS = tuple(BY_ID)
HOURLY, DAILY = KNOWN_IDS[-2:]
STRANGE_IDS = (f"{SITES[NEAR]}/U0", f"{SITES[ELSEWHERE]}/R0", "no slash", f"{SITES[NEAR]}/U1", "/", "电/表")
COEFFICIENTS = (
    Coefficient(1, 1, "electricity_average", "330000", month_of("2024-03"), Decimal("0.5703"), "a", 0),
    Coefficient(2, 1, "electricity_average", "CN", month_of("2022-01"), Decimal("0.53660000000001"), "b", 0),
    Coefficient(3, 10, "fuel", "CN", month_of("2020-01"), Decimal("2.1650294117647058823529"), "c", 0),
)


def reference(*, registered: bool = True) -> Reference:
    """Everything in force at once."""
    found = Reference(PARTITION, PARTITIONS)
    found.scopes = {7: ("330000", "CN"), 8: ("CN",)}
    for coefficient in COEFFICIENTS:
        found.coefficients.put(coefficient)
    for meter in METERS if registered else ():
        found.shard(meter.number % 64).put(meter)
    return found


def directory() -> Directory:
    """The same meters as the sink knows them; R3 is a sub-meter."""
    sites = {site: 100 + i for i, site in enumerate(SITES.values())}
    found = Directory(np.zeros(max(m.number for m in METERS) + 1, ENTRY), {n: s for s, n in sites.items()})
    for m in METERS:
        entry = found.entries[m.number]
        entry["site"], entry["enterprise"] = sites[site_of(m.meter_id)], 200
        entry["park"] = 300 if m.number % 64 == NEAR else 0
        entry["class"], entry["carrier"], entry["shard"] = m.class_, m.carrier, m.number % 64
        entry["interval_s"] = m.interval_ms // 1_000
        entry["boundary"], entry["register"] = not m.meter_id.endswith("R3"), m.register
    return found


def frame(readings: list[Document], **head: Any) -> Document:
    """A sound frame of rows meter, end, value and perhaps start and unit."""
    ids = list(dict.fromkeys(r["meter"] for r in readings))
    document: Document = {
        "source": "http/gw-7", "shard": NEAR, "seq": 0, "sent": T0, "mode": "live", "meters": ids,
        "meter": [ids.index(r["meter"]) for r in readings],
        "end": [r["end"] for r in readings],
        "value": [r["value"] for r in readings],
    }  # fmt: skip
    if any("start" in r for r in readings):
        document["start"] = [r.get("start") for r in readings]
    if any("unit" in r for r in readings):
        document["unit"] = [r.get("unit") for r in readings]
    return document | head


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4), st.sampled_from(["live", "kWh", "12.5", "1e3", "\0", "x" * 300]),
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
ENDS = st.one_of(
    st.integers(-4, 12).map(lambda k: T0 + k * QUARTER_MS),
    st.integers(-4, 12).map(lambda k: T0 + k * QUARTER_MS),
    st.integers(T0 - HOUR_MS, T0 + 3 * HOUR_MS),
    st.sampled_from(
        [T0 - 32 * DAY_MS, T0 + 2 * DAY_MS, T0 + 6 * HOUR_MS, 0, 1, -5, 946_656_000_000, 4_102_444_800_000]
    ),
    SCALARS,
)
AMOUNTS = st.one_of(
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from(
        [0.25, 0.0004, 0.5, 999.9, 9_990, 9_999.5, 1e-9, 1e10, 1e11, 1e12, 1e15, 1e300, 2**53 + 1, -1, -0.0]
    ),
    SCALARS,
)
STARTS = st.one_of(st.none(), st.sampled_from([T0 - QUARTER_MS, T0, T0 - 40 * DAY_MS]), SCALARS)
UNIT_NAMES = st.one_of(st.sampled_from([None, "kWh", "Wh", "MWh", "MJ", "m3", "foo", "", "1e4m3"]), SCALARS)


QUALITIES = st.sampled_from([8, 9, 8, 9, 8, 9, None, 0, -1, "9"])


@st.composite
def rows(draw: st.DrawFn) -> Document:
    row: Document = {
        "meter": draw(
            st.sampled_from(KNOWN_IDS) if draw(st.integers(0, 9)) else st.sampled_from(STRANGE_IDS)
        ),
        "end": draw(ENDS),
        "value": draw(AMOUNTS),
    }
    if not draw(st.integers(0, 5)):
        row["start"] = draw(STARTS)
    if not draw(st.integers(0, 3)):
        row["unit"] = draw(UNIT_NAMES)
    return row


@st.composite
def sound_rows(draw: st.DrawFn) -> Document:
    return {
        "meter": draw(st.sampled_from(KNOWN_IDS)),
        "end": T0 + draw(st.integers(0, 12)) * QUARTER_MS,
        "value": draw(st.integers(0, 60)),
    }


@st.composite
def frames(draw: st.DrawFn, of: st.SearchStrategy[Document] | None = None) -> Document:
    document = frame(draw(st.lists(rows() if of is None else of, max_size=8)))
    document["mode"] = draw(st.sampled_from(["live", "backfill"]))
    if not draw(st.integers(0, 5)):
        document["mode"], document["source"] = draw(
            st.sampled_from(
                [("estimate", "estimator")] * 3
                + [("live", "estimator"), ("estimate", "http/gw-7"), ("live", "http/gw-7")]
            )
        )
        document["quality"] = draw(
            QUALITIES | st.lists(QUALITIES, min_size=8, max_size=8).map(lambda q: q[: len(document["end"])])
        )
    document["shard"] = draw(st.sampled_from([NEAR, NEAR, NEAR, FAR]))
    if not draw(st.integers(0, 9)):
        document["unit"] = draw(UNIT_NAMES)
    return document


@st.composite
def broken(draw: st.DrawFn) -> Document:
    """A frame of which one or two members are anything."""
    document = draw(frames())
    for _ in range(draw(st.integers(1, 2))):
        member = draw(st.sampled_from([*sorted(document), "unit", "start", "tick", "time", "reference"]))
        end = document.get("end")
        least = len(end) if isinstance(end, list) else 0
        value = draw(JSON | st.lists(SCALARS, min_size=least, max_size=max(least, 8)))
        if draw(st.integers(0, 4)):
            document[member] = value
        else:
            document.pop(member, None)
    return document


def unit_index(unit: str) -> int:
    return UNITS.index(unit)
