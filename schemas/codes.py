"""Codes: what became of a reading, how good it is, how it came."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class Outcome(IntEnum):
    """What convert decided about one accepted reading; the ledger counts by it. Numbers are never reused."""

    STORED = 0
    BASELINE = 1  # a register's first index: kept, no energy yet
    UNKNOWN_METER = 10  # kept as it came, in `held`
    DUPLICATE = 20  # known (source, mode, shard, seq), or an equal reading
    NOT_A_NUMBER = 21
    UNIT = 22
    NEGATIVE = 23
    FUTURE = 24
    ANCIENT = 25
    INTERVAL = 26  # start missing its end, or not before it, or longer than the meter's own, or than 32 d
    OUTSIDE_VALIDITY = 27
    LATE_INDEX = 28  # a register's index that came late and lies between no two remembered ones
    RANGE = 29  # beyond what an integer quantity can hold
    REGISTER_BACKWARDS = 30  # an index below the last one, with no roll-over or exchange to explain it
    REGISTER_JUMP = 32  # an index further above the last one than its register can have counted since
    RULE = 31  # a rule of the user's says it cannot be
    WRONG_PARTITION = 40
    OVERSIZED = 41
    INVALID_FRAME = 42
    MISSING_ANSWER = (
        43  # its emissions frame was gone before the sink saw it; booked by `carbonstream repair`
    )
    ESTIMATE = 44  # an estimate outside mode estimate, or in it what is none, or of a register
    EDIT = 45  # in mode edit what is none: not of an editor, or without what it takes the place of
    SUPERSEDED = 50  # a stored row replaced by a later reading; counted by the sink


STORED_OUTCOMES: Final = (Outcome.STORED, Outcome.BASELINE)
HELD_OUTCOMES: Final = (Outcome.UNKNOWN_METER,)
REJECTED_OUTCOMES: Final = tuple(o for o in Outcome if 20 <= o < 50)
REMEDY: Final[dict[Outcome, str]] = {
    Outcome.UNKNOWN_METER: "register the meter: `carbonstream load meters.csv --wait` releases its readings",
    Outcome.DUPLICATE: "nothing to do: the first copy counts",
    Outcome.NOT_A_NUMBER: "send a finite number in `value`",
    Outcome.UNIT: "send a unit of the meter's carrier, or correct the meter's carrier",
    Outcome.NEGATIVE: "check the meter's direction; a consumption meter does not run backwards",
    Outcome.FUTURE: "check the clock of the source; `end` is UTC milliseconds",
    Outcome.ANCIENT: "send old readings in mode backfill; nothing before 2000 is taken",
    Outcome.INTERVAL: "send `start` before `end`, at most the meter's interval_s apart (from a day on 32 days), "
    "or register a meter of that interval",
    Outcome.OUTSIDE_VALIDITY: "correct valid_from and valid_to of the meter",
    Outcome.LATE_INDEX: "send a register's indexes in order; this one's energy is in a later interval",
    Outcome.RANGE: "check value, unit and multiplier",
    Outcome.REGISTER_BACKWARDS: "record the meter's exchange or modulus",
    Outcome.REGISTER_JUMP: "check the index; where it is right, record the meter's exchange, or its modulus",
    Outcome.RULE: "correct the reading, or the rule in rules.csv",
    Outcome.WRONG_PARTITION: "use shard = crc32(site) mod 64 and partition = shard mod partitions",
    Outcome.OVERSIZED: "send at most 500 readings a frame",
    Outcome.MISSING_ANSWER: "send the kept record again",
    Outcome.ESTIMATE: "send measurements without `quality`; estimates come from the service estimator alone, of "
    "interval meters, with quality 8 or 9",
    Outcome.EDIT: "nothing to do for a source: intervals are edited by `carbonstream multipliers`, `carbonstream "
    "readings` and the service estimator alone",
    Outcome.INVALID_FRAME: "send a frame as in schemas/json/readings-frame.json",
}


class Quality(IntEnum):
    """Quality of a stored interval (Green Button ESPI QualityOfReading)."""

    VALID = 0
    EDITED = 7
    REFERENCE_DAY = 8
    INTERPOLATED = 9
    QUESTIONABLE = 10
    RAW = 14
    VALIDATED = 17


ESTIMATED_QUALITIES: Final = (Quality.REFERENCE_DAY, Quality.INTERPOLATED)


class Check(IntEnum):
    """What VEE (validation, estimation, editing) found beside a reading's Outcome. Numbers are never reused."""

    MISSING = 1  # a hole before this reading that stayed open
    FROZEN = 2  # consecutive identical non-zero values, more than this meter ever had
    SPIKE = 3  # one interval far above its hour's highest, normal before and after
    HIGH = 4  # far above the highest the meter ever told
    UNIT_TENFOLD = 5  # values stay ten times the meter's habit
    UNIT_THOUSANDFOLD = 6  # the same, a thousand times: Wh told as kWh
    MULTIPLIER = 7  # values stay at a ratio two current transformers could have
    CLOCK = 8  # intervals told again with other values, or the day's shape moved by hours
    DUPLICATE = 9  # the same interval with the same value again
    SEQUENCE = 10  # delivered behind a later reading; fills its hole
    REGISTER_RESET = 11  # the index began anew: nothing is known of the energy since the last one
    REGISTER_ROLLOVER = 12  # the index passed its modulus; its energy is known
    MOMENTARY_ZERO = 13  # one index below the last, the next above it again
    RULE = 20  # a rule of the user's does not hold; size: its number


class Decision(IntEnum):
    """What follows from a check, mildest first."""

    ACCEPT = 0
    QUESTION = 1  # accepted, Quality.QUESTIONABLE
    HOLD = 2  # the next reading tells
    REJECT = 3


class RuleTest(StrEnum):
    """What a user's rule looks at (ZJ 6.4.1.3a)."""

    NOT_NULL = "not_null"  # field start or unit: the sender must name it
    RANGE = "range"  # field quantity (base units) or rate (base units an hour)
    COMPARISON = "comparison"  # field rate: ratio to that of the reading directly before
    LENGTH = "length"  # field interval: seconds


class RowFlag(IntEnum):
    """Bits of a stored row's flags."""

    APPORTIONED = 1  # a part cut at a local hour border; the reading's own end is the last part's
    BACKFILL = 2
    BASELINE = 4  # a register's first index, start = end, no energy
    DECLARED = 8  # a part of an amount that was declared, not measured
    EDITED = 16  # put in the place of what was stored: recomputed, estimated or accepted after all
    WITHIN = (
        32  # of a reading that reaches no end of a due interval: the one that does counts as the reading due
    )
    VOID = 64  # what stood here was struck or withdrawn: no energy, no reading that was due


class Mode(StrEnum):
    """How a source sends: as it happens, an import judged by its own event time, estimates of what is missing, or
    edits of what is stored (VEE: validation, estimation, editing)."""

    LIVE = "live"
    BACKFILL = "backfill"
    ESTIMATE = "estimate"  # of the service estimator alone
    EDIT = "edit"  # of EDITORS (schemas.frames) alone


SENT_MODES: Final = (Mode.LIVE, Mode.BACKFILL)  # in which meters' readings come


class MeterKind(StrEnum):
    """What a meter's value is."""

    REGISTER = "register"  # the index of a counter
    INTERVAL = "interval"  # the quantity of the interval


class MeterRole(StrEnum):
    """What a meter is in the meter tree of a park or site."""

    MASTER = "master"  # a park's own supply: the park's total, counted nowhere else
    TENANT = "tenant"  # supply of a site, in a park or on its own
    COMMON = "common"  # common areas
    LOSS = "loss"  # metered losses of lines and transformers
    SUB = "sub"  # watched, not summed
    GENERATION = "generation"  # own generation: production, not consumption
    EXPORT = "export"  # given to others: stands apart
    GREEN = "green"  # supply of green electricity: consumption, reported apart as well


class Grain(IntEnum):
    """Time grains of totals; local periods of Asia/Shanghai."""

    HOUR = 1
    DAY = 2
    MONTH = 3
    QUARTER = 4
    YEAR = 5


class Edge(StrEnum):
    """Why the edge refused a request; counted by code, never accepted."""

    NOT_JSON = "not_json"
    WRONG_TYPE = "wrong_type"
    MISSING = "missing"
    TOO_LARGE = "too_large"
    NOT_FINITE = "not_finite"
    TIME = "time"
    UNIT = "unit"
    METER = "meter"
    UNAUTHORISED = "unauthorised"
    BUSY = "busy"
    UNKNOWN_FIELD = "unknown_field"
    MEDIA_TYPE = "media_type"
    TOO_SLOW = "too_slow"
