"""A region whose every site has used nine tenths of its month's target: a higher factor puts each of them above it."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from carbonstream.connectors import kafka
from carbonstream.ops.bench.fleet import METER_COLUMNS, Fleet
from carbonstream.ops.bench.warned import COLUMNS as RULE_COLUMNS
from carbonstream.schemas import topics
from carbonstream.schemas.frames import TYPE_READINGS, ReadingsFrame, cloud_event_headers
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, local_iso
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import partition_of, shard_of

REGION: Final = "330500"  # of all counties of the fleet's sites
SOURCE: Final = "bench/region"
KWH: Final = 100  # read of each site
LEVELS: Final = (80, 100)
USED: Final = Decimal("0.9")  # of the target by the old factor: above the first level
RISE: Final = Decimal("1.2")  # of the factor: 0.9 x 1.2 is above the second
FRAME: Final = 200


@dataclass(frozen=True, slots=True)
class Region:
    """`sites` sites with a quarter-hour meter each; end_ms: of the hour that is over, in which each is read."""

    sites: int
    end_ms: int

    @classmethod
    def at(cls, sites: int, now_ms: int) -> Region:
        """Read in the last hour that is over at `now_ms`."""
        return cls(sites, now_ms // HOUR_MS * HOUR_MS)

    @property
    def month(self) -> str:
        """The month of the readings, as 2026-03."""
        return local_iso(self.end_ms - 1)[:7]

    def site(self, n: int) -> str:
        """Id of a site."""
        return Fleet(self.sites, 0).site_id(n)

    def meter(self, n: int) -> str:
        """Id of its meter."""
        return f"{self.site(n)}/E01"

    def write(self, folder: Path) -> dict[str, Path]:
        """sites.csv and meters.csv for `carbonstream load`."""
        paths = Fleet(self.sites, 0).write(folder)
        with paths["meters"].open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(METER_COLUMNS)
            since = local_iso(self.end_ms - DAY_MS)
            for n in range(self.sites):
                out.writerow([self.meter(n), "electricity", "interval", "kWh", 1, "", 900, "true", since, ""])
        return paths

    def write_targets(self, folder: Path, kg_per_kwh: Decimal) -> dict[str, Path]:
        """targets.csv: of each site's month, of which it has used USED by this factor; and warning_rules.csv."""
        path = folder / "targets.csv"
        value = (KWH * kg_per_kwh / USED).quantize(Decimal("0.0001"))
        with path.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(("entity", "indicator", "period", "value", "unit", "levels"))
            for n in range(self.sites):
                levels = ";".join(map(str, LEVELS))
                out.writerow([f"site:{self.site(n)}", "co2", self.month, value, "kg", levels])
        return {"targets": path} | self.write_rules(folder)

    def write_rules(self, folder: Path) -> dict[str, Path]:
        """warning_rules.csv: levels alone warn, not the plan to date and the pace, which ask what day it is."""
        path = folder / "warning_rules.csv"
        with path.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(RULE_COLUMNS)
            for kind in ("plan-to-date", "pace"):
                said = "alert", "low", "bench", "load", "none", "none", 900
                out.writerow([kind, kind, "*", "", *said, "off", "2020-01-01T00:00:00+08:00"])
        return {"warning_rules": path}

    def frames(self) -> Iterator[ReadingsFrame]:
        """One reading of each site."""
        by_shard: defaultdict[int, list[str]] = defaultdict(list)
        for n in range(self.sites):
            by_shard[shard_of(self.site(n))].append(self.meter(n))
        for shard, meters in sorted(by_shard.items()):
            for seq, low in enumerate(range(0, len(meters), FRAME)):
                yield frame(shard, seq, meters[low : low + FRAME], self.end_ms)


def frame(shard: int, seq: int, meters: list[str], end_ms: int) -> ReadingsFrame:
    """A frame that reads each of the meters once."""
    many = len(meters)
    return ReadingsFrame.model_validate(
        {
            "source": SOURCE, "shard": shard, "seq": seq, "sent": end_ms, "mode": "live", "meters": meters,
            "meter": list(range(many)), "end": [end_ms] * many, "value": [KWH] * many, "unit": "kWh",
        }
    )  # fmt: skip


def send(settings: Settings, frames: Iterator[ReadingsFrame] | list[ReadingsFrame]) -> None:
    """Hand frames to Kafka and wait until it has them."""
    producer = kafka.producer(settings)
    topic = settings.topic(topics.READINGS)
    for one in frames:
        headers: Any = cloud_event_headers(TYPE_READINGS, SOURCE, f"{one.shard}/{one.seq}")
        partition = partition_of(one.shard, settings.partitions)
        producer.produce(topic, one.model_dump_json().encode(), None, partition, headers=headers)
    producer.flush(30)
