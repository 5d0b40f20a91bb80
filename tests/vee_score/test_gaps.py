"""The score of estimates on a year whose truth is known."""

from __future__ import annotations

import gzip
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from carbonstream.connectors.sources.replay.formats import Format, parse
from carbonstream.ops.vee_score.gaps import score_gaps
from carbonstream.ops.vee_score.series import Series
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, OFFSET_MS

FILE = files("carbonstream.schemas") / "reference" / "steel" / "Steel_industry_data.csv.gz"
LENGTHS = ["1h", "2h", "4h", "8h", "24h"]
FIGURES = ["day_error", "mae", "mae_last", "mae_yesterday"]


def steel() -> Series:
    read = parse(gzip.decompress(FILE.read_bytes()), Format.UCI_STEEL, "330502-steel/E01")
    order = np.argsort(read.end)
    return Series("330502-steel/E01", DAY_MS // 96, read.end[order], read.value[order])


@pytest.fixture(scope="module")
def score() -> dict[str, Any]:
    return dict(score_gaps([steel()], seed=1)["gaps"])


def test_every_length_has_its_four_figures(score: dict[str, Any]) -> None:
    assert list(score) == LENGTHS
    assert all(list(figures) == FIGURES for figures in score.values())


@pytest.mark.parametrize(
    ("length", "most"), [("1h", 0.015), ("2h", 0.03), ("4h", 0.035), ("8h", 0.075), ("24h", 0.14)]
)
def test_the_steel_days_energy_stays_near(score: dict[str, Any], length: str, most: float) -> None:
    assert 0 < score[length]["day_error"] <= most


@pytest.mark.parametrize(("length", "most"), [("2h", 0.8), ("4h", 0.55), ("8h", 0.55), ("24h", 0.67)])
def test_an_estimate_beats_the_last_value_and_yesterday(
    score: dict[str, Any], length: str, most: float
) -> None:
    figures = score[length]
    assert 0 < figures["mae"] <= most * min(figures["mae_last"], figures["mae_yesterday"])


def hourly(value: np.ndarray[Any, Any]) -> Series:
    midnight = 19_723 * DAY_MS - OFFSET_MS
    return Series("a/b", HOUR_MS, midnight + np.arange(1, len(value) + 1) * HOUR_MS, value.astype(np.float64))


def test_a_load_that_never_changes_is_estimated_without_error() -> None:
    found = score_gaps([hourly(np.full(24 * 28, 2.5))], seed=7)["gaps"]
    assert [found[length][name] for length in LENGTHS for name in FIGURES] == [0.0] * 20


def test_the_rivals_are_the_last_value_and_the_same_interval_yesterday() -> None:
    ramp = score_gaps([hourly(np.arange(24.0 * 28))], seed=7)["gaps"]
    assert ramp["2h"] == {"day_error": 0.0, "mae": 0.0, "mae_last": 1.5, "mae_yesterday": 24.0}


@pytest.mark.uncounted
def test_the_same_seed_gives_the_same_score_and_another_seed_other_masks() -> None:
    load = hourly(np.random.default_rng(3).uniform(0, 9, 24 * 60))
    assert score_gaps([load], seed=1) == score_gaps([load], seed=1)
    assert score_gaps([load], seed=1) != score_gaps([load], seed=2)


def test_a_gap_shorter_than_the_interval_has_no_figures() -> None:
    every_four = Series("a/b", 4 * HOUR_MS, np.arange(1, 6 * 28 + 1) * 4 * HOUR_MS, np.full(6 * 28, 1.0))
    found = score_gaps([every_four], seed=1)["gaps"]
    assert found["2h"] == dict.fromkeys(FIGURES)
    assert found["4h"]["mae"] == 0.0


def test_days_are_those_of_the_files_own_local_time() -> None:
    here = hourly(np.random.default_rng(3).uniform(0, 9, 24 * 60))
    there = replace(here, end=here.end + 7 * HOUR_MS, offset_ms=here.offset_ms - 7 * HOUR_MS)
    assert score_gaps([there], seed=1) == score_gaps([here], seed=1)
