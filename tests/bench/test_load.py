"""The benchmark's load and its arithmetic: what it sends is what it says, and what is lost shows."""

from __future__ import annotations

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import orjson
import pytest

from carbonstream.ops.bench.fleet import BEGIN_MS, QUARTER_MS, Fleet, ShardLoad, round_frames, shard_loads
from carbonstream.ops.bench.published import Publication, factor_of
from carbonstream.ops.bench.region import LEVELS, RISE, Region
from carbonstream.ops.bench.visible import VisibleClock
from carbonstream.ops.bench.warned import WarnedClock, crossings
from carbonstream.schemas.periods import HOUR_MS
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.shards import shard_of

FRAME = 200


def site_of(meter_id: str) -> str:
    return meter_id.rpartition("/")[0]


@pytest.fixture(params=[False, True], ids=["by site", "mixed"])
def fleet(request: pytest.FixtureRequest) -> Fleet:
    return Fleet(sites=300, meters=30_000, mixed=request.param)


@pytest.fixture
def loads(fleet: Fleet) -> list[ShardLoad]:
    return shard_loads(fleet, FRAME)


def test_each_round_reads_each_meter_once_under_its_shard(fleet: Fleet, loads: list[ShardLoad]) -> None:
    read: list[str] = []
    for shard, _, readings, record in round_frames(loads, 3, sent_ms=0):
        frame = orjson.loads(record)
        meters = [frame["meters"][m] for m in frame["meter"]]
        assert len(meters) == readings <= FRAME
        assert {shard_of(site_of(m)) for m in meters} == {shard} == {frame["shard"]}
        assert set(frame["end"]) == {BEGIN_MS + 4 * QUARTER_MS}
        read += meters
    assert sorted(read) == sorted(fleet.meter_ids())


def test_a_gateway_reads_one_site_after_the_other(fleet: Fleet, loads: list[ShardLoad]) -> None:
    sites = [
        len({site_of(m) for m in orjson.loads(b"{" + meters + b"}")["meters"]})
        for load in loads
        for meters in load.meters
    ]
    if fleet.mixed:
        assert max(sites) > 3
    else:
        assert max(sites) <= 3  # 100 meters a site: two whole ones, or parts of three


def test_registers_rise_with_each_round(fleet: Fleet, loads: list[ShardLoad]) -> None:
    is_register = {m: n % 2 == 0 for n, m in enumerate(fleet.meter_ids())}
    assert sum(is_register.values()) * 2 == len(is_register)
    rounds = [
        {
            frame["meters"][m]: value
            for *_, record in round_frames(loads, n, sent_ms=0)
            for frame in [orjson.loads(record)]
            for m, value in zip(frame["meter"], frame["value"], strict=True)
        }
        for n in (0, 1)
    ]
    assert all(rounds[1][m] > rounds[0][m] for m, register in is_register.items() if register)


def test_a_limit_is_crossed_in_its_round_and_not_before(loads: list[ShardLoad]) -> None:
    first, rounds = 10, 4
    limits = crossings(loads, first, rounds, 20)
    assert len(limits) > 10
    kw: dict[int, dict[str, float]] = {}
    sent: dict[tuple[int, int], int] = {}
    for n in range(first - 1, first + rounds):
        kw[n] = {}
        for shard, seq, _, record in round_frames(loads, n, sent_ms=0):
            sent[shard, seq] = n
            frame = orjson.loads(record)
            values = zip(frame["meter"], frame["value"], strict=True)
            kw[n] |= {frame["meters"][m]: value * HOUR_MS / QUARTER_MS for m, value in values}
    for meter, (limit, frame_of) in limits.items():
        crossed = sent[frame_of]
        assert kw[crossed - 1][meter] < limit < kw[crossed][meter]


def test_what_was_never_seen_has_no_latency() -> None:
    clock = VisibleClock(Settings())
    clock.seen = {0: [(5, 1_000.0), (9, 2_000.0)]}
    # partition, offset, acknowledged wall ms, readings
    acks = np.array([[0, 5, 900, 2], [0, 6, 900, 1], [0, 10, 900, 1]], np.float64)
    assert clock.latencies_s(acks).tolist() == [0.1, 0.1, 1.1, np.inf]


def test_a_warning_that_never_came_is_missing() -> None:
    watch = WarnedClock.__new__(WarnedClock)  # without a broker
    watch.seen = {"S/1": 1_500.0}
    limits = {"S/1": (1.0, (3, 7)), "S/2": (1.0, (3, 8)), "S/3": (1.0, (3, 99))}
    acks = np.array([[0, 0, 1_000, 200, 3, 7], [0, 1, 1_000, 200, 3, 8]], np.float64)
    assert watch.latencies_s(limits, acks).tolist() == [0.5, np.inf]  # the third was not sent


OLD, NEW = Decimal("0.4974"), Decimal("0.4825")


@pytest.mark.parametrize(
    ("pairs", "used"),
    [
        ([("3000", "1.4922"), ("0", "0")], "old"),
        ([("3000", "1.4475"), ("1", "0.0004825"), ("0", "0")], "new"),
        ([("3000", "1.4922"), ("3000", "1.4475")], "mixed"),
        ([("3000", "1.4921")], "mixed"),
        ([("3000", None)], "mixed"),
        ([], "mixed"),
    ],
)
def test_an_answer_is_of_one_factor_to_the_last_digit_or_mixed(
    pairs: list[tuple[str, str | None]], used: str
) -> None:
    figures = [(Decimal(wh), None if kg is None else Decimal(kg)) for wh, kg in pairs]
    assert factor_of(figures, OLD, NEW) == used


def test_the_publication_s_report_counts_from_the_approval() -> None:
    found = Publication(Settings(), OLD, NEW)
    found.approved = 100.0
    found.answers = {"a": [(99.0, "old"), (100.5, "new")], "b": [(100.25, "old"), (100.4, "mixed")]}
    found.told = {"site:1": 100.75, "site:2": 101.5}
    assert found.report() == {"answers": 4, "mixed": 1, "old_after_s": 0.25, "told_s": 1.5}


def test_a_higher_factor_puts_each_site_of_the_region_above_its_target(tmp_path: Path) -> None:
    region = Region.at(450, BEGIN_MS + 5 * QUARTER_MS)
    assert region.end_ms == BEGIN_MS + 4 * QUARTER_MS
    with region.write_targets(tmp_path, OLD)["targets"].open(newline="") as file:
        targets = {row["entity"]: Decimal(row["value"]) for row in csv.DictReader(file)}
    read = Counter[str]()
    for frame in region.frames():
        assert {shard_of(site_of(meter)) for meter in frame.meters} == {frame.shard}
        assert set(frame.end) == {region.end_ms}
        read.update(
            {
                f"site:{site_of(meter)}": int(value)
                for meter, value in zip(frame.meters, frame.value, strict=True)
            }
        )
    assert targets.keys() == read.keys() == {f"site:{region.site(n)}" for n in range(450)}
    low, high = LEVELS
    for site, value in targets.items():
        assert low <= 100 * read[site] * OLD / value < high <= 100 * read[site] * OLD * RISE / value
    assert region.month == "2025-01"
