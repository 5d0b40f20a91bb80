"""`carbonstream rules test`: cases of rules from a TOML or JSON file, run through the rules themselves."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from carbonstream.connectors.holidays import packaged_calendar
from carbonstream.connectors.warning_rules import rule_book
from carbonstream.ops.load import fields
from carbonstream.processors import plain_text
from carbonstream.processors.indicators import INDICATORS
from carbonstream.processors.instant.cases import Steps, changes_of
from carbonstream.processors.rule_cases import Amounts, Told, differences, ratios_of, warnings_of
from carbonstream.processors.targets import Target
from carbonstream.processors.total_records import text
from carbonstream.processors.warning_rules import parameters_of
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.periods import DAY_MS, HOUR_MS, MINUTE_MS, SHANGHAI, local_iso, to_ms
from carbonstream.schemas.warning_rules import RuleKind

MAX_STEPS = 10_000  # a year of hours, and the weeks before it
OfTargets = Literal["target-level", "plan-to-date", "pace", "intensity", "change-rate"]
Instant = Literal["silence", "interval-limit", "maximum-demand", "data-quality", "habit"]
Rule = OfTargets | Instant
STEPS: Final = {"quarter": 15 * MINUTE_MS, "hour": HOUR_MS, "day": DAY_MS}


def _ascending(levels: list[Decimal]) -> list[Decimal]:
    if levels != sorted(set(levels)):
        raise ValueError("write ascending levels in per cent, e.g. [80, 90, 100]")
    return levels


def _date(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value  # TOML has dates of its own
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("write a local day, e.g. 2024-03-01") from None


def _moment(value: Any) -> Any:
    """A local day or hour as ISO 8601 with its offset."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("write a local day 2024-03-01 or hour 2024-03-01T09:00") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    at = value if isinstance(value, datetime) else None
    if at is None:
        raise ValueError("write a local day 2024-03-01 or hour 2024-03-01T09:00")
    at = at if at.tzinfo else at.replace(tzinfo=SHANGHAI)
    return local_iso(to_ms(at))


Amount = Annotated[Decimal, Field(ge=0, max_digits=40, allow_inf_nan=False)]
Positive = Annotated[Decimal, Field(gt=0, max_digits=40, allow_inf_nan=False)]


def _indicator(name: str) -> str:
    if name not in INDICATORS:
        raise ValueError(f"take one of {', '.join(INDICATORS)}")
    return name


class Shape(BaseModel):
    """Fields that are not known are refused: a misspelt one would silently test nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Run(Shape):
    """The same amount several times."""

    value: Amount
    times: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 1
    quality: Literal["valid", "questionable"] = "valid"


class Missing(Shape):
    """So many steps of which no reading came."""

    missing: Annotated[int, Field(ge=1, le=MAX_STEPS)]

    @property
    def times(self) -> int:
        """How many steps it stands for."""
        return self.missing


class TargetOf(Shape):
    """What the series is judged against."""

    period: str
    value: Annotated[Decimal, Field(gt=-100, max_digits=40, allow_inf_nan=False)]
    indicator: Annotated[str, AfterValidator(_indicator)] = "co2"
    levels: Annotated[list[Positive], AfterValidator(_ascending)] = [Decimal(80), Decimal(90), Decimal(100)]

    @model_validator(mode="after")
    def _period(self) -> Self:
        fields.period(self.period)
        if self.value <= 0 and INDICATORS[self.indicator].against is None:
            raise ValueError("value: must be above zero; only a change rate may be negative")
        return self

    def target(self) -> Target:
        """As the table has it."""
        grain, first = fields.period(self.period)
        return Target("case", 0, self.indicator, grain, first, self.value, tuple(self.levels))


class SeriesOf(Shape):
    """Amounts of one step after another: kg CO2 or kgce, of instant rules kWh; `start` is a local day."""

    start: Annotated[date, BeforeValidator(_date)]
    step: Literal["quarter", "hour", "day"]
    values: Annotated[list[Amount | Run | Missing], Field(min_length=1, max_length=MAX_STEPS)]

    @model_validator(mode="after")
    def _short_enough(self) -> Self:
        if sum(run.times if isinstance(run, Run | Missing) else 1 for run in self.values) > MAX_STEPS:
            raise ValueError(f"more than {MAX_STEPS} steps; shorten the series")
        return self

    def _written_out(self) -> list[Decimal | None]:
        values: list[Decimal | None] = []
        for run in self.values:
            if isinstance(run, Run):
                values += [run.value] * run.times
            elif isinstance(run, Missing):
                values += [None] * run.missing
            else:
                values.append(run)
        return values

    @property
    def _begin(self) -> int:
        return to_ms(datetime.combine(self.start, time(), SHANGHAI))

    def amounts(self) -> Amounts:
        """Runs written out, nothing for what is missing."""
        values = [Decimal(0) if value is None else value for value in self._written_out()]
        return Amounts(self._begin, STEPS[self.step], values)

    def steps(self) -> Steps:
        """Runs written out, None for what is missing."""
        doubted: list[bool] = []
        for run in self.values:
            times = run.times if isinstance(run, Run | Missing) else 1
            doubted += [isinstance(run, Run) and run.quality == "questionable"] * times
        return Steps(self._begin, STEPS[self.step], self._written_out(), doubted)


class Expected(Shape):
    """One change of a warning."""

    rule: Rule
    at: Annotated[str, BeforeValidator(_moment)]
    level: Positive = Decimal(100)
    state: Literal["active", "cleared"] = "active"

    def told(self) -> Told:
        """In the words of the rules."""
        level = "" if self.rule in get_args(Instant) else text(self.level) or ""
        return Told(self.at, self.rule, level, self.state)


class Case(Shape):
    """One case: only the rules it names are compared."""

    name: Annotated[str, Field(min_length=1)]
    rules: Annotated[list[Rule], Field(min_length=1)]
    target: TargetOf | None = None
    parameters: str | None = None  # of the one instant rule
    value_added: dict[str, Positive] | None = None  # month -> 10,000 yuan
    series: SeriesOf
    expect: list[Expected]

    @model_validator(mode="after")
    def _names_what_is_judged(self) -> Self:
        if set(self.rules) & set(get_args(Instant)):
            if len(self.rules) > 1 or self.target is not None:
                raise ValueError("rules: an instant rule stands alone, without target; make a case of each")
            parameters_of(RuleKind(self.rules[0]), self.parameters or "")
        elif self.target is None or self.parameters is not None:
            raise ValueError("target: rules of targets need one, and take no parameters")
        elif self.series.step == "quarter":
            raise ValueError("series.step: totals are judged by hour and day; write hour or day")
        if (self.value_added is None) == (self.target is not None and self._is_ratio(self.target)):
            raise ValueError(
                "value_added: give it, by month, where the target is an intensity or its change alone"
            )
        for month in self.value_added or ():
            plain_text.month(month)
        return self

    @staticmethod
    def _is_ratio(target: TargetOf) -> bool:
        return INDICATORS[target.indicator].per_value

    @model_validator(mode="after")
    def _expects_what_it_names(self) -> Self:
        if strange := sorted({expected.rule for expected in self.expect} - set(self.rules)):
            raise ValueError(f"expect: {', '.join(strange)} is not in rules; add it there")
        return self


class Cases(Shape):
    """A file."""

    case: Annotated[list[Case], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case."""

    name: str
    missing: list[Told]
    unexpected: list[Told]

    @property
    def passed(self) -> bool:
        """Whether exactly what was expected was told."""
        return not self.missing and not self.unexpected

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "passed": self.passed,
            "missing": [told._asdict() for told in self.missing],
            "unexpected": [told._asdict() for told in self.unexpected],
        }

    def text(self) -> str:
        """For a person: a line, and one for each difference."""
        lines = [f"{'passed' if self.passed else 'FAILED'}  {self.name}"]
        lines += [f"  missing     {_line(told)}" for told in self.missing]
        lines += [f"  unexpected  {_line(told)}" for told in self.unexpected]
        return "\n".join(lines)


def _line(told: Told) -> str:
    return f"{told.at}  " + " ".join(filter(None, (told.rule, told.level, told.state)))


def run_file(path: Path) -> list[Result]:
    """Run every case of a file. Raises LoadRefused naming each faulty field."""
    calendar, rules = packaged_calendar(), rule_book()
    results = []
    for case in read_cases(path):
        if case.target is None:
            kind = RuleKind(case.rules[0])
            found = changes_of(kind, parameters_of(kind, case.parameters or ""), case.series.steps())
        elif case.value_added is not None:
            values = {plain_text.month(month): value for month, value in case.value_added.items()}
            found = ratios_of(case.target.target(), case.series.amounts(), values, rules)
        else:
            found = warnings_of(case.target.target(), case.series.amounts(), calendar, rules)
        compared = [told for told in found if told.rule in case.rules]
        results.append(Result(case.name, *differences((e.told() for e in case.expect), compared)))
    return results


def read_cases(path: Path) -> list[Case]:
    """The cases of a file, numbers exact. Raises LoadRefused naming each faulty field and what to do."""
    try:
        content = path.read_text("utf-8")
        if path.suffix == ".json":
            document = json.loads(content, parse_float=Decimal)
        else:
            document = tomllib.loads(content, parse_float=Decimal)
        return Cases.model_validate(document).case
    except OSError as error:
        raise LoadRefused([f"{path}: {error.strerror}; name a file that can be read"]) from error
    except ValidationError as error:
        raise LoadRefused(
            [
                f"{path}: {'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"
                for fault in error.errors()
            ]
        ) from error
    except ValueError as error:  # no UTF-8, no TOML, no JSON
        raise LoadRefused([f"{path}: {error}; write TOML, or JSON in a file named .json"]) from error
