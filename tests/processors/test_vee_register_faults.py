"""A series as a register's indexes, and what convert says of them."""

from __future__ import annotations

import numpy as np
import pytest

from carbonstream.ops.vee_score.register_faults import Register, beginning_anew, modulus_of, rolling_over
from carbonstream.ops.vee_score.score import score
from carbonstream.ops.vee_score.series import Floats, Ints, Series
from carbonstream.schemas.periods import HOUR_MS
from tests.processors.vee_world import MONDAY_MS, ends, office

SMALL = np.round(np.random.default_rng(2).uniform(0.001, 0.007, 90 * 24), 3)
OFFICE = office(90).value


def registers(value: Floats) -> list[Register]:
    end, modulus = ends(90, HOUR_MS), modulus_of(value, HOUR_MS)
    chance = np.random.default_rng(1)
    return [
        rolling_over(end, value, HOUR_MS, chance),
        beginning_anew(end, value, HOUR_MS, None, chance),
        beginning_anew(end, value, HOUR_MS, modulus, chance),
    ]


def indexes(register: Register) -> Ints:
    return np.rint(np.r_[register.start / 1_000, register.delivery.value] * 1_000).astype(np.int64)


@pytest.mark.parametrize("value", [SMALL, OFFICE, np.round(OFFICE)], ids=["0.001 kWh", "office", "whole kWh"])
def test_an_index_falls_at_every_fault_and_nowhere_else(value: Floats) -> None:
    for register in registers(value):
        falls = register.delivery.end[np.diff(indexes(register)) < 0]
        assert falls.tolist() == [episode.first for episode in register.episodes]


@pytest.mark.parametrize("value", [SMALL, OFFICE], ids=["0.001 kWh", "office"])
def test_no_index_is_the_modulus_or_above(value: Floats) -> None:
    assert modulus_of(value, HOUR_MS) >= 1_500 * value.max() * 1_000
    for register in registers(value):
        if register.modulus is not None:
            assert indexes(register).max() < register.modulus


def test_a_meter_of_thousandths_is_scored_as_any_other() -> None:
    series = Series("small", HOUR_MS, MONDAY_MS + np.arange(1, len(SMALL) + 1) * HOUR_MS, SMALL)
    faults = score([series], seed=1, rounds=4).document()["faults"]
    assert faults["register_rollover"]["recall"] == faults["register_rollover"]["precision"] == 1
    assert faults["register_reset"]["injected"] >= 4
