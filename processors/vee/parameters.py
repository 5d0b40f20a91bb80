"""What of the checks may be set, within which limits, and what follows from each; `params` has the defaults.

What decides how a habit is kept (bins, weights, probabilities) may not: state would have to be learned anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from carbonstream.processors.plain_text import decimal
from carbonstream.processors.total_records import exact
from carbonstream.processors.vee.params import INTERVAL_METER, Params
from carbonstream.schemas.codes import Check, Decision

Values = Mapping[str, str]  # name -> exact decimal, or decision, as text

OFF: Final = "off"
# What may follow from each check (schemas.codes.Decision); the first is the default. `hold` and `reject` are of the
# reading that is meant, `question` is of the one that tells, so only what is told at once can be questioned.
DECISIONS: Final[Mapping[Check, tuple[str, ...]]] = {
    Check.MISSING: ("accept", OFF),
    Check.FROZEN: ("question", "accept", OFF),
    Check.SPIKE: ("reject", "accept", OFF),
    Check.HIGH: ("question", "accept", OFF),
    Check.UNIT_TENFOLD: ("question", "accept", OFF),
    Check.UNIT_THOUSANDFOLD: ("question", "accept", OFF),
    Check.MULTIPLIER: ("question", "accept", OFF),
    Check.CLOCK: ("question", "accept", OFF),
    Check.SEQUENCE: ("accept", "question", OFF),
    Check.REGISTER_RESET: ("hold", OFF),
    Check.REGISTER_ROLLOVER: ("accept", "question", OFF),
    Check.MOMENTARY_ZERO: ("reject", OFF),
}
CHECKS: Final[Mapping[str, Check]] = {check.name.lower(): check for check in DECISIONS}

RATIOS: Final = (Check.UNIT_TENFOLD, Check.MULTIPLIER)
LEVELS: Final = (*RATIOS, Check.UNIT_THOUSANDFOLD)
HOURLY: Final = (*LEVELS, Check.CLOCK)
VALUES: Final = (Check.SPIKE, Check.HIGH, Check.UNIT_THOUSANDFOLD)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of `Params` and the checks that ask it; whole where its default is."""

    low: Decimal
    high: Decimal
    unit: str
    about: str
    checks: tuple[Check, ...]


def _number(low: str, high: str, unit: str, about: str, *checks: Check) -> Parameter:
    return Parameter(Decimal(low), Decimal(high), unit, about, checks)


# Evidence is kept in 16 bits, 1 / 40 nat: 100 nats, four times as much for a young meter, and a fifth more are 19,200;
# twice the 255 nats of a wild meter's normal life, and a fifth more, 24,700. `shape_days` ends before that counts.
PARAMETERS: Final[Mapping[str, Parameter]] = {
    "value_days": _number("1", "60", "d", "learned before single values are judged", Check.FROZEN, *VALUES),
    "level_days": _number("1", "28", "d", "learned before levels and the day's shape are judged", *HOURLY),
    "shape_days": _number("1", "28", "d", "learned before usual evidence is enough", *HOURLY),
    "llr_young": _number("1", "4", "times", "as much evidence until then", *HOURLY),
    "missing_wait": _number("1", "24", "readings", "behind a hole before it is told", Check.MISSING),
    "frozen_floor": _number("3", "250", "values", "fewer identical ones are no run", Check.FROZEN),
    "frozen_common": _number(
        "3", "250", "values", "up to here a run may be two longer than the meter's longest", Check.FROZEN
    ),
    "frozen_factor": _number("1", "10", "times", "the longest run beyond that", Check.FROZEN),
    "frozen_days": _number(
        "1", "250", "d", "with values of an octave before its own longest run is relied upon", Check.FROZEN
    ),
    "spike_margin": _number("0", "64", "1/16 octave", "above the highest of the hour", *VALUES),
    "spike_young": _number("0", "64", "1/16 octave", "more than that at first", *VALUES),
    "spike_young_days": _number("1", "365", "d", "in which that falls by e", *VALUES),
    "spike_drop": _number("0", "8", "octaves", "by which both neighbours are nearer to their limit", Check.SPIKE),
    "spike_units": _number("0", "1000", "steps", "of the meter's resolution above the limit", Check.SPIKE),
    "high_octaves": _number("0", "8", "octaves", "above the highest ever", Check.HIGH),
    "far_octaves": _number("1", "12", "octaves", "above it that name the unit at once", Check.UNIT_THOUSANDFOLD),
    "high_rise": _number("1", "64", "1/16 octave", "a day by which an hour's highest may rise", *VALUES),
    "llr_least": _number("5", "100", "nats", "that decide for the steadiest meter", *RATIOS),
    "thousandfold_least": _number("5", "100", "nats", "the same of a thousand times", Check.UNIT_THOUSANDFOLD),
    "shape_least": _number("5", "100", "nats", "the same of the day's shape", Check.CLOCK),
    "llr_factor": _number("1", "2", "times", "the most that the meter's normal life ever said", *HOURLY),
    "llr_likely": _number(
        "1", "50", "nats", "that make a changed level explain peaks and runs", Check.FROZEN, Check.SPIKE
    ),
    "new_habit_days": _number(
        "1", "200", "d", "after which a changed level is the meter's habit", Check.HIGH, *HOURLY
    ),
}  # fmt: skip
DEFAULTS: Final[Values] = {
    **{name: exact(Decimal(str(getattr(INTERVAL_METER, name)))) for name in PARAMETERS},
    **{name: DECISIONS[check][0] for name, check in CHECKS.items()},
}


def values_of(words: str) -> dict[str, str]:
    """Every parameter and decision, from text such as `frozen_floor=4;spike=accept`; the rest have their defaults.

    Raises ValueError with the remedy.
    """
    given: dict[str, str] = {}
    for word in filter(None, (part.strip() for part in words.split(";"))):
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in DEFAULTS:
            raise ValueError(
                f"{name!r} is no parameter: take {', '.join(DEFAULTS)}, e.g. frozen_floor=4;spike=accept"
            )
        if name in given:
            raise ValueError(f"{name!r} is given twice: keep one of them")
        given[name] = _decision(name, value) if name in CHECKS else _value(name, value)
    found = {**DEFAULTS, **given}
    for one, other in (("high_octaves", "far_octaves"), ("level_days", "shape_days")):
        if Decimal(found[one]) > Decimal(found[other]):
            raise ValueError(
                f"{one}: {found[one]} is above {other}, {found[other]}: lower it, or raise {other}"
            )
    return found


def _decision(name: str, value: str) -> str:
    if value not in (choices := DECISIONS[CHECKS[name]]):
        raise ValueError(f"{name}: {value!r} cannot follow from it: take {', '.join(choices)}")
    return value


def _value(name: str, words: str) -> str:
    try:
        value = decimal(words)
    except ValueError as error:
        raise ValueError(f"{name}: {words!r} {error}") from None
    known = PARAMETERS[name]
    if not known.low <= value <= known.high:
        raise ValueError(
            f"{name}: {words} is outside {known.low} to {known.high} ({known.unit} {known.about}): correct it"
        )
    if is_whole(name) and value % 1:
        raise ValueError(f"{name}: {words} is not whole ({known.unit} {known.about}): round it")
    return exact(value)


def is_whole(name: str) -> bool:
    """Whether a parameter is an integer."""
    return isinstance(getattr(INTERVAL_METER, name), int)


def params_of(values: Values) -> Params:
    """The numbers; what is not given has its default."""
    given = {name: values[name] for name in PARAMETERS if name in values}
    numbers = {name: int(text) if is_whole(name) else float(text) for name, text in given.items()}
    return Params(**numbers)  # type: ignore[arg-type]


def decisions_of(values: Values) -> dict[Check, Decision | None]:
    """What follows from the checks whose decision is not the default; None: they are off."""
    given = {check: values.get(name, DECISIONS[check][0]) for name, check in CHECKS.items()}
    return {
        check: None if word == OFF else Decision[word.upper()]
        for check, word in given.items()
        if word != DECISIONS[check][0]
    }


def asked_by(check: Check, values: Values) -> dict[str, str]:
    """Of the values those that a check asks, its decision first."""
    names = [check.name.lower(), *(name for name, known in PARAMETERS.items() if check in known.checks)]
    return {name: values[name] for name in names if name in values}
