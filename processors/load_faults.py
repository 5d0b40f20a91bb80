"""What goes wrong with meters, on request: the faults that checks must find. Pure, and the same for a (seed,
time).

`share` is of readings for missing, spike, negative, x10, x1000, duplicate and shuffle; of meter-hours for
frozen and clock_shift; of registers for reset.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.load_shapes import Floats, Ints, Loads, cumulated, read, uniform
from carbonstream.schemas.codes import Grain
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, bucket_start

CLOCK_SHIFT_MS: Final = 7 * MINUTE_MS
SPIKE: Final = 25.0  # times the interval's quantity
RESET_AT_MS: Final = 12 * HOUR_MS  # local noon of every day


class Fault(StrEnum):
    """One way to be wrong."""

    MISSING = "missing"
    FROZEN = "frozen"
    SPIKE = "spike"
    NEGATIVE = "negative"  # a register runs backwards
    X10 = "x10"
    X1000 = "x1000"  # Wh sent for kWh
    CLOCK_SHIFT = "clock_shift"
    DUPLICATE = "duplicate"
    SHUFFLE = "shuffle"  # an interval late, and rows out of order
    RESET = "reset"  # a register starts from 0 again


ORDER: Final = {fault: i for i, fault in enumerate(Fault)}


class Sent(NamedTuple):
    """Readings as they leave the meters, [n] each."""

    meter: Ints
    end: Ints  # UTC ms as stamped
    value: Floats


def read_faulty(loads: Loads, meter: Ints, end: Ints, faults: Mapping[Fault, float], seed: int) -> Sent:
    """As load_shapes.read, with each fault at its share."""
    if not faults:
        return Sent(meter, end, read(loads, meter, end))

    def hit(fault: Fault, meters: Ints, key: Ints) -> NDArray[np.bool_]:
        draw = uniform(loads.seed[meters] + 1_000 * (ORDER[fault] + 1) + seed, key)
        return np.asarray(draw < faults.get(fault, 0.0))

    if Fault.SHUFFLE in faults:
        before = end - loads.interval_ms[meter]
        was_late = hit(Fault.SHUFFLE, meter, before)
        in_time = ~hit(Fault.SHUFFLE, meter, end)
        meter = np.concatenate([meter[in_time], meter[was_late]])
        end = np.concatenate([end[in_time], before[was_late]])
    kept = ~hit(Fault.MISSING, meter, end)
    meter, end = meter[kept], end[kept]
    hour = end // HOUR_MS
    shown_at = np.where(hit(Fault.FROZEN, meter, hour), hour * HOUR_MS, end)
    value = read(loads, meter, shown_at)
    register = loads.register[meter]
    step = cumulated(loads, meter, end) - cumulated(loads, meter, end - loads.interval_ms[meter])
    step /= np.where(register, loads.multiplier[meter], 1.0)
    reset = register & hit(Fault.RESET, meter, np.zeros_like(end))
    value = np.where(reset, np.maximum(_since_reset(loads, meter, end), 0.0), value)
    value += np.where(hit(Fault.SPIKE, meter, end), SPIKE * step, 0.0)
    negative = hit(Fault.NEGATIVE, meter, end)
    value = np.where(negative, np.where(register, np.maximum(value - 2 * step, 0.0), -value), value)
    value = value * np.where(hit(Fault.X10, meter, end), 10.0, 1.0)
    value = np.round(value * np.where(hit(Fault.X1000, meter, end), 1_000.0, 1.0), 3)
    again = hit(Fault.DUPLICATE, meter, end)
    stamped = end + np.where(hit(Fault.CLOCK_SHIFT, meter, hour), CLOCK_SHIFT_MS, 0)
    rows = np.concatenate([np.arange(len(end)), np.flatnonzero(again)])
    if Fault.SHUFFLE in faults:
        rows = rows[np.argsort(uniform(loads.seed[meter] + seed, end)[rows], kind="stable")]
    return Sent(meter[rows], stamped[rows], value[rows])


def _since_reset(loads: Loads, meter: Ints, end: Ints) -> Floats:
    noon = bucket_start(Grain.DAY, end) + RESET_AT_MS
    last = np.where(end >= noon, noon, noon - DAY_MS)
    drawn = cumulated(loads, meter, end) - cumulated(loads, meter, last)
    return np.asarray(np.round(drawn / loads.multiplier[meter], 3), np.float64)
