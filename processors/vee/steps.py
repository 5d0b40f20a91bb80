"""Values of a meter as octaves and steps (sixteenths of an octave) against its own scale."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from carbonstream.processors.vee.params import RUN_CLASSES, STEPS_PER_OCTAVE, ZERO_STEP

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
TINY: Final = np.float32(1e-3)  # thousandths: below any value but zero
LOWEST: Final = np.float32(
    -ZERO_STEP / STEPS_PER_OCTAVE
)  # octaves; of zero, and before the first day is over
# A limit in steps as a factor of the scale
OF_STEPS: Final = np.exp2((np.arange(256) - ZERO_STEP) / STEPS_PER_OCTAVE).astype(np.float32)


def octaves_of(value: Floats, scale: Floats) -> Floats:
    """log2 of value / scale, at least LOWEST. While the scale is 0, no day being over, nobody asks."""
    found: Floats = np.maximum(np.log2(np.maximum(value, TINY) / np.maximum(scale, TINY)), LOWEST)
    return found


def octaves_at(steps: NDArray[Any]) -> Floats:
    """The octaves at which steps lie."""
    at: Floats = (steps.astype(np.float32) - np.float32(ZERO_STEP)) / np.float32(STEPS_PER_OCTAVE)
    return at


def steps_of(value: Floats, scale: Floats) -> NDArray[np.uint8]:
    """The nearest step, 0 to 255."""
    exact = np.rint(octaves_of(value, scale) * STEPS_PER_OCTAVE) + ZERO_STEP
    steps: NDArray[np.uint8] = np.minimum(exact, 255).astype(np.uint8)
    return steps


def run_class(value: Floats, top: Floats) -> Ints:
    """Whole octaves below the meter's highest value, for runs of identical values."""
    _, octave = np.frexp(top / value)  # 1 for up to two times, 2 for up to four times
    octave -= 1
    below: Ints = np.minimum(np.maximum(octave, 0, out=octave), RUN_CLASSES - 1, out=octave)
    return below
