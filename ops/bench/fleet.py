"""The benchmark's load: quarter-hour meters of many sites, half of them registers, event time 15 minutes a round."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import orjson

from carbonstream.schemas.periods import local_iso
from carbonstream.schemas.shards import shard_of

QUARTER_MS: Final = 900_000
BEGIN_MS: Final = 1_735_660_800_000  # 2025-01-01T00:00 +08:00
INDUSTRIES: Final = ("C17", "C22", "C25", "C26", "C28", "C30", "C31", "D44")
COUNTIES: Final = ("330502", "330503", "330521", "330522", "330523")
SITE_COLUMNS: Final = (
    "site_id", "name_zh", "name_en", "enterprise", "enterprise_zh", "enterprise_en", "park", "park_zh", "park_en",
    "county", "industry",
)  # fmt: skip
METER_COLUMNS: Final = (
    "meter_id", "carrier", "kind", "unit", "multiplier", "modulus", "interval_s", "boundary", "valid_from", "valid_to",
)  # fmt: skip
SOURCE: Final = "bench/fleet"


@dataclass(frozen=True, slots=True)
class Fleet:
    """`sites` sites with `meters` meters in all. mixed: a frame holds meters of all sites of its shard."""

    sites: int
    meters: int
    mixed: bool = False

    def site_id(self, site: int) -> str:
        """Id of a site."""
        return f"{COUNTIES[site % len(COUNTIES)]}-{site:04d}"

    def site_of(self, meter: int) -> int:
        """The site a meter stands at: one site's meters follow each other, as a gateway reads them, unless mixed."""
        return meter % self.sites if self.mixed else meter * self.sites // self.meters

    def meter_ids(self) -> list[str]:
        """Ids of all meters; even ones are registers."""
        return [f"{self.site_id(self.site_of(m))}/E{m:06d}" for m in range(self.meters)]

    def write(self, folder: Path) -> dict[str, Path]:
        """sites.csv and meters.csv for `carbonstream load`."""
        sites, meters = folder / "sites.csv", folder / "meters.csv"
        with sites.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(SITE_COLUMNS)
            for s in range(self.sites):
                enterprise, park = f"bench-{s // 2}", f"bench-{s // 50}"
                out.writerow([self.site_id(s), f"测试站点 {s}", f"Bench site {s}", enterprise, f"测试企业 {s // 2}",
                              f"Bench enterprise {s // 2}", park, f"测试园区 {s // 50}", f"Bench park {s // 50}",
                              COUNTIES[s % len(COUNTIES)], INDUSTRIES[s % len(INDUSTRIES)]])  # fmt: skip
        with meters.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(METER_COLUMNS)
            for m, meter_id in enumerate(self.meter_ids()):
                kind, multiplier, modulus = ("register", 80, 1_000_000) if m % 2 == 0 else ("interval", 1, "")
                out.writerow([meter_id, "electricity", kind, "kWh", multiplier, modulus, 900, "true",
                              local_iso(BEGIN_MS), ""])  # fmt: skip
        return {"sites": sites, "meters": meters}


@dataclass(slots=True)
class ShardLoad:
    """The frames of one shard, all but their numbers ready encoded."""

    shard: int
    meters: list[bytes]  # of each frame: its meters and meter columns, encoded
    first: list[np.ndarray[tuple[int], np.dtype[np.float64]]]  # value of round 0
    step: list[np.ndarray[tuple[int], np.dtype[np.float64]]]  # added each round


def shard_loads(fleet: Fleet, frame: int, seed: int = 1) -> list[ShardLoad]:
    """Frames of `frame` readings by shard, meter by meter of one site after the other, as gateways read them.

    Registers move 0.01-30 kWh a quarter, interval meters rise slowly from up to 50 kWh.
    """
    chance = np.random.default_rng(seed)
    by_shard: dict[int, list[int]] = {}
    ids = fleet.meter_ids()
    shards = {s: shard_of(fleet.site_id(s)) for s in range(fleet.sites)}
    for m in range(fleet.meters):
        by_shard.setdefault(shards[fleet.site_of(m)], []).append(m)
    loads = []
    for shard, meters in sorted(by_shard.items()):
        load = ShardLoad(shard, [], [], [])
        for low in range(0, len(meters), frame):
            part = np.array(meters[low : low + frame])
            register = part % 2 == 0
            columns = orjson.dumps({"meters": [ids[m] for m in part], "meter": list(range(len(part)))})
            load.meters.append(columns[1:-1])
            load.first.append(
                np.where(
                    register, chance.integers(0, 500_000, len(part)), chance.integers(1, 5_000, len(part))
                )
                / 100
            )
            load.step.append(
                np.where(register, chance.integers(1, 3_000, len(part)), chance.integers(0, 5, len(part)))
                / 100
            )
        loads.append(load)
    return loads


def round_frames(loads: list[ShardLoad], round_: int, sent_ms: int) -> Iterator[tuple[int, int, int, bytes]]:
    """(shard, seq, readings, record) of one round, shards taken in turn as independent gateways would."""
    end = BEGIN_MS + (round_ + 1) * QUARTER_MS
    longest = max(len(load.meters) for load in loads)
    for i in range(longest):
        for load in loads:
            if i >= len(load.meters):
                continue
            value = np.round(load.first[i] + load.step[i] * round_, 2)
            n, seq = len(value), round_ * len(load.meters) + i
            head = b'{"source":"%b","shard":%d,"seq":%d,"sent":%d,"mode":"live","unit":"kWh",' % (
                SOURCE.encode(), load.shard, seq, sent_ms
            )  # fmt: skip
            tail = b',"end":[' + b",".join([b"%d" % end] * n) + b'],"value":'
            yield (
                load.shard,
                seq,
                n,
                head + load.meters[i] + tail + orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY) + b"}",
            )
