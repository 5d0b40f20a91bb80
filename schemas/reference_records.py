"""What the ref.* topics carry: the master tables' rows, one record a row, compacted by key.

Keys: a site's id; `class:NN` for a class; a meter's id; a coefficient's id;
`entity|indicator|grain|period` of a target; `entity|month|indicator` of an activity. A site's id cannot
begin with `class:`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from carbonstream.schemas.codes import MeterKind, RuleTest
from carbonstream.schemas.frames import Shape, UtcMs
from carbonstream.schemas.totals import Decimal

Month = Annotated[str, Field(pattern=r"^\d{4}-\d{2}$", description="local month")]
ClassNumber = Annotated[int, Field(alias="class", description="entity number of the class; see ClassRecord")]


class ClassRecord(Shape):
    """ref.sites, key class:NN. The set of sites that share one chain of scopes, and so every coefficient."""

    record: Literal["class"]
    class_: ClassNumber
    scopes: Annotated[list[str], Field(description="where coefficients are looked for, nearest first")]
    county: str
    city: str
    province: str
    grid: str
    industry: str
    domain: str
    enterprise: Annotated[str | None, Field(description="only where it has coefficients of its own")]


class SiteRecord(Shape):
    """ref.sites, key the site's id."""

    record: Literal["site"]
    site_id: str
    shard: int
    class_: ClassNumber
    name_zh: str
    name_en: str
    enterprise: Annotated[str, Field(description="id of the entity, enterprise:ID")]
    park: Annotated[str | None, Field(description="id of the entity, park:ID")]
    county: str
    industry: str


class MultiplierRecord(Shape):
    """One version of a meter's multiplier."""

    version: int
    valid_from_ms: Annotated[
        UtcMs | None, Field(description="intervals that end after it; null: the first one")
    ]
    milli: Annotated[int, Field(gt=0, description="CT x PT, in thousandths")]


class ExchangeRecord(Shape):
    """An exchange or reset of a register. Indexes in thousandths of the base unit, before the multiplier."""

    at_ms: UtcMs
    final: Annotated[int, Field(ge=0, description="of the register that ended")]
    initial: Annotated[int, Field(ge=0, description="of the one that began")]
    modulus: Annotated[int | None, Field(description="of the one that began; null: as before")]


class MeterRecord(Shape):
    """ref.meters, key the meter's id."""

    meter_id: str
    number: Annotated[int, Field(description="dense: slot * 64 + shard, never reused")]
    shard: int
    carrier: int
    kind: MeterKind
    unit: Annotated[str, Field(description="meant where a reading names none")]
    multiplier_milli: Annotated[
        int, Field(gt=0, description="CT x PT, in thousandths; of the newest version")
    ]
    multipliers: Annotated[
        list[MultiplierRecord], Field(description="every version in force, where there are more than one")
    ] = Field(default_factory=list)
    exchanges: list[ExchangeRecord] = Field(default_factory=list)
    modulus: Annotated[
        int | None,
        Field(
            description="index at which it rolls over: thousandths of the base unit, before the multiplier"
        ),
    ]
    interval_ms: int
    boundary: Annotated[bool, Field(description="false: a sub-meter, watched but not summed")]
    valid_from_ms: UtcMs
    valid_to_ms: UtcMs | None
    class_: ClassNumber


class CoefficientRecord(Shape):
    """ref.coefficients, key the coefficient's id."""

    id: int
    carrier: int
    kind: str
    scope: str
    month: Month
    value: Annotated[
        Decimal, Field(description="kg CO2, or kgce for kind calorific, per base unit of the carrier")
    ]
    unit: str
    components: dict[str, str]
    document: str
    data_year: int | None
    published_ms: UtcMs
    approver: str


class CheckRuleRecord(Shape):
    """ref.rules, key check:ID. A check that a user has added."""

    record: Literal["check"]
    rule: str
    number: int
    version: Annotated[int, Field(description="grows with each change")]
    carrier: Annotated[int | None, Field(description="null: any")]
    kind: MeterKind | None
    meter: Annotated[str | None, Field(description="id of the one meter it is about; null: any")]
    test: RuleTest
    field: Literal["start", "unit", "quantity", "rate", "interval"]
    low: Decimal | None
    high: Decimal | None
    decision: Annotated[Literal["question", "reject"] | None, Field(description="null: switched off")]


class CheckParametersRecord(Shape):
    """ref.rules, key parameters:NAME@VERSION. What the checks of some meters are set to; every version stays, so that
    a replay from the start meets each where it stood."""

    record: Literal["parameters"]
    name: str
    version: Annotated[int, Field(description="grows with each change")]
    carrier: Annotated[int | None, Field(description="null: any")]
    kind: Annotated[MeterKind | None, Field(description="null: any")]
    interval_s: Annotated[int | None, Field(description="null: any")]
    parameters: Annotated[
        dict[str, str], Field(description="all, exact decimals and decisions; see docs/data.md")
    ]
    state: Literal["on", "off"]


class PhaseRecord(Shape):
    """A part of a target's period and its share."""

    part: Annotated[str, Field(description="first local day")]
    days: int
    value: Annotated[Decimal, Field(description="kg CO2 or kgce")]


class TargetRecord(Shape):
    """ref.targets: a limit of an entity for one local month, quarter or year."""

    entity: str
    indicator: Annotated[
        str, Field(description="co2, energy, or what processors/indicators.py makes of them")
    ]
    grain: Annotated[int, Field(description="schemas.codes.Grain: 3 month, 4 quarter, 5 year")]
    period: Annotated[str, Field(description="first local day of the period")]
    value: Annotated[
        Decimal,
        Field(description="kg CO2, or kgce for energy; of intensities per 10,000 yuan, of their changes %"),
    ]
    levels: Annotated[list[Decimal], Field(description="per cent of the value at which it warns, ascending")]
    price_year: Annotated[int | None, Field(description="of constant prices; null: current ones")] = None
    phases: Annotated[list[PhaseRecord], Field(description="none: equal parts by day")] = Field(
        default_factory=list
    )


class ActivityRecord(Shape):
    """ref.activity: value added or output of an entity in a local month."""

    entity: str
    month: Month
    indicator: str
    value: Decimal
    unit: str
    provisional: bool
