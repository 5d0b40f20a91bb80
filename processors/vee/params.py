"""What the checks are set to where nobody set anything else. A change of any figure is a new VERSION, so that a finding
can be explained later."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2
from typing import Final

VERSION: Final = 3  # of what is packaged
# Habit is kept by local hour and kind of day: Monday to Friday, Saturday, Sunday.
HOURS: Final = 24
KINDS: Final = 3
# An hour's energy in quarter octaves (19 % a bin) over ten octaves, 1 : 1,024; bin 0 is zero and all below.
BINS: Final = 40
BINS_PER_OCTAVE: Final = 4
TOP_OCTAVES: Final = 4  # of the ten, above the first day's highest hour: a dull winter day against June
# Highest values are kept in sixteenths of an octave (4.4 %), 8 octaves either side of the scale.
STEPS_PER_OCTAVE: Final = 16
ZERO_STEP: Final = 128
RUN_CLASSES: Final = 8  # frozen runs are learned by octave below the meter's highest value

# Ratios of the usual primary currents (50, 75, 100, 150, 200, 300, 400, 600 A), and the two unit slips, in bins
RATIOS: Final = (1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 2, 2.0, 3.0, 4.0, 10.0, 1_000.0)
RATIO_BINS: Final = tuple(round(BINS_PER_OCTAVE * log2(ratio)) for ratio in RATIOS)
SHIFT_HOURS: Final = (-6, -3, -2, -1, 1, 2, 3, 6)
HYPOTHESES: Final = len(RATIOS) + len(SHIFT_HOURS)


@dataclass(frozen=True, slots=True)
class Params:
    """Settings of one kind of meter. None of them has a unit of energy: a meter is measured by itself."""

    value_days: int = 7  # days learned before single values are judged
    level_days: int = 5  # before levels and the day's shape are: the weekdays of a week,
    shape_days: int = 14  # and two of every weekday before they are as sure as they ever will be;
    llr_young: float = 2.0  # until then it takes so many times as much
    missing_wait: int = 2  # readings behind a hole before it counts as one: late ones may still come
    frozen_floor: int = 3  # VEE practice: fewer identical values are no run
    frozen_common: int = 7  # a meter that has runs so long is allowed one more; shorter ones, two more
    # Longer ones are a coarse meter's life, where equal values follow each other by chance: the longest run of n
    # readings is about ln n / -ln p, and one longer by a third comes in one of n^(1/3) such spans, of 20 half years.
    frozen_factor: float = 1.35
    frozen_days: int = 20  # with values of an octave, before its own longest run is relied upon
    spike_margin: int = 3  # sixteenths of an octave above the hour's highest
    spike_young: int = 8  # and so much more at first
    spike_young_days: int = 45  # falling by e in so many days
    spike_octaves_below_next: int = 2  # a quarter of the hours beside it
    spike_octaves_below_top: int = 5  # an hour's limit is at least 3 % of the meter's highest
    spike_drop: float = 0.75  # octaves by which its neighbours are nearer to their own limit
    spike_units: int = 2  # of a meter's least step, above the limit: on a meter of whole kWh 2 is no spike
    high_octaves: float = 1.5  # above the highest of all hours
    far_octaves: float = 6.0  # 64 times it: no load grows so much, no transformer is swapped so far
    own_share: float = 0.7  # weight of the day's own kind; the rest: a holiday looks like a Sunday
    any_share: float = 0.5  # weight of the same energy at its likeliest hour
    floor: float = 0.002  # probability of what was never seen; a smaller one needs a smaller PER_NAT
    day_weight: float = 2.5  # a reading of a whole day says more than one of an hour: two of them may decide
    beyond_octaves: float = 0.5  # an hour so far above the highest value of all fits no hour of the day,
    llr_cap: float = 6.0  # nats an hour may say: one hour never decides
    llr_least: float = 15.0  # nats that decide, for the steadiest meter
    thousandfold_least: float = 10.0  # two hours, a thousand times too high
    shape_least: float = 25.0  # the same for a moved shape, which a changed level resembles at night
    llr_factor: float = 1.3  # of the most a meter's normal life ever said, plus llr_extra
    llr_extra: float = 4.0
    most_from_day: int = 28
    most_fade_days: int = 4
    high_rise: int = 4  # sixteenths of an octave a day by which an hour's highest may rise
    llr_likely: float = 7.0  # nats, of more than one hour, that make a changed level explain peaks and runs
    llr_again: float = 5.0  # the same of a day's second peak
    llr_kept: float = 24.0  # evidence is kept up to here, or a fifth more than needed
    llr_lead: float = 2.0  # by which ten times must be likelier than four
    new_habit_days: int = 14  # a changed level that lasts longer is the meter's new habit


INTERVAL_METER: Final = Params()
