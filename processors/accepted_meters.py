"""What the ledger's own reader knows of the meters of a frame, one by one and by columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.accepted_registers import NINE_DIGITS
from carbonstream.processors.ledger import ELECTRICITY, site_text
from carbonstream.processors.meters import NEVER, ShardMeters
from carbonstream.processors.register_history import History
from carbonstream.schemas.carriers import THOUSANDTHS, UNITS, BaseUnit, thousandths_in
from carbonstream.schemas.shards import SHARDS, meter_number

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ListedMeter:
    """One meter; only its site where the shard has no such meter."""

    site: str
    number: int = -1
    electric: bool = False
    register: bool = False
    scale: float | None = None  # Wh in its unit
    multiplier_milli: int = 0
    least_milli: int = 0  # the multiplier, or 1
    modulus: int = 0  # Wh before the multiplier, NO_MODULUS
    history: History | None = None  # where there was more than one multiplier or register
    valid_from: int = 0  # UTC ms
    valid_to: int = 0


@dataclass(frozen=True, slots=True)
class ListedMeters:
    """A list of meters as it comes in frames, one by one and by columns (one entry an id)."""

    ids: list[str]
    each: list[ListedMeter]
    are_distinct: bool
    sites: list[str]  # distinct
    in_order: list[int]  # positions of a frame that has each once, in this order
    site: Ints  # index into sites
    by_site: Ints  # positions, those of a site together
    site_begins: Ints  # where each site begins in it
    site_counts: list[int]
    electric: Mask  # and of a unit of electricity
    register: Mask
    slot: Ints
    scale: NDArray[np.float64]
    multiplier_milli: Ints
    least_milli: Ints
    turn: Ints  # Wh, NINE_DIGITS where no modulus is known
    steady_from: int  # UTC ms, of all of them: later ends have the multipliers given here
    valid_from: Ints
    valid_to: Ints


def listed_meter(meters: ShardMeters, shard: int, meter_id: str, estimates: bool) -> ListedMeter:
    """One meter as plain values (an array's entry costs ten times as much), for estimates if they are."""
    site, slot = site_text(meter_id), meters.slots.get(meter_id)
    if slot is None:
        return ListedMeter(site)
    master = meters.master[slot]
    milli = 1_000 if estimates else int(master["multiplier_milli"])
    return ListedMeter(
        site,
        meter_number(shard, slot),
        bool(master["carrier"] == ELECTRICITY and not (estimates and master["register"])),
        bool(master["register"]),
        wh_in(UNITS[master["unit"]]),
        milli,
        max(milli, 1_000),
        int(master["modulus"]),
        None if estimates else meters.histories.get(slot),
        int(master["valid_from"]),
        int(master["valid_to"]),
    )


def listed(ids: list[str], each: list[ListedMeter]) -> ListedMeters:
    """The same as columns; `each`: one entry an id."""
    sites = list(dict.fromkeys(meter.site for meter in each))
    at = {site: i for i, site in enumerate(sites)}
    site = np.array([at[meter.site] for meter in each], np.int64)
    counts = np.bincount(site)
    return ListedMeters(
        ids=ids,
        each=each,
        are_distinct=len(set(ids)) == len(ids),
        sites=sites,
        in_order=list(range(len(ids))),
        site=site,
        by_site=np.argsort(site, kind="stable"),
        site_begins=np.cumsum(counts) - counts,
        site_counts=counts.tolist(),
        electric=np.array([meter.electric for meter in each], np.bool_),
        register=np.array([meter.register for meter in each], np.bool_),
        slot=np.array([meter.number // SHARDS for meter in each], np.int64),
        scale=np.array([meter.scale for meter in each], np.float64),  # None becomes NaN
        multiplier_milli=np.array([meter.multiplier_milli for meter in each], np.int64),
        least_milli=np.array([meter.least_milli for meter in each], np.int64),
        turn=np.array([meter.modulus or NINE_DIGITS for meter in each], np.int64),
        steady_from=max((m.history.steady_from for m in each if m.history is not None), default=NEVER),
        valid_from=np.array([meter.valid_from for meter in each], np.int64),
        valid_to=np.array([meter.valid_to for meter in each], np.int64),
    )


def wh_in(unit: Any) -> float | None:
    """Wh in a unit of electricity; None where it is none."""
    if not isinstance(unit, str) or unit not in THOUSANDTHS:
        return None
    return thousandths_in(unit, BaseUnit.KWH)
