"""What carbon.totals and carbon.signals carry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from carbonstream.schemas.frames import Shape, UtcMs

Decimal = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", description="exact decimal")]


class CarrierTotal(Shape):
    """One carrier of one class within a total."""

    carrier: str
    class_: Annotated[int, Field(alias="class", description="the set of sites sharing a chain of scopes")]
    unit: str
    quantity: Decimal
    estimated: Decimal
    readings: int
    co2_kg: Decimal | None
    kgce: Decimal | None
    coefficient: Annotated[int | None, Field(description="id of the coefficient used")]
    coefficient_month: str | None


class InferredFuel(Shape):
    """A fuel inferred from electricity at sites that do not meter it; beside the metered figures, not in them."""

    carrier: str
    unit: str
    quantity: Decimal
    co2_kg: Decimal | None
    kgce: Decimal | None


class Total(Shape):
    """The absolute total of an entity in one bucket. Key: entity|grain|bucket. A later one replaces it."""

    entity: Annotated[str, Field(examples=["enterprise:ENT-1"])]
    grain: Literal["hour", "day", "month"]
    bucket: Annotated[str, Field(description="start of the local period, ISO 8601 with offset")]
    bucket_ms: UtcMs
    readings: Annotated[int, Field(description="measured intervals; estimates are none")]
    expected: Annotated[int, Field(description="readings due in the whole bucket by meters' validity")]
    completeness: Annotated[
        float | None, Field(description="readings / expected, cut to 4 decimals; null where none is due")
    ]
    coverage: Annotated[
        float | None, Field(description="share of the entity's sites that were metered in the bucket")
    ]
    estimated_share: Annotated[
        float | None,
        Field(
            description="rounded up to 4 decimals; of the CO2 where there are several carriers, null: unknown"
        ),
    ]
    declared_share: Annotated[
        float | None, Field(description="of what nobody meters and was declared; as estimated_share")
    ] = 0.0
    inferred: Annotated[
        list[InferredFuel],
        Field(description="of days and months, at sites that meter electricity only; hours have none"),
    ] = Field(default_factory=list)
    inferred_share: Annotated[
        float | None,
        Field(description="of metered and inferred CO2 together, cut to 4 decimals; null: unknown"),
    ] = 0.0
    oldest_missing: Annotated[
        str | None, Field(description="start of the oldest interval of an interval meter known to be missing")
    ]
    provisional: Annotated[
        bool, Field(description="may still change: not over, incomplete, estimated or without a coefficient")
    ]
    co2_kg: Annotated[Decimal | None, Field(description="null where a coefficient is missing: never zero")]
    kgce: Decimal | None
    carriers: list[CarrierTotal]
    computed: Annotated[UtcMs, Field(description="when the relay read it")]


class Restated(Shape):
    """New coefficients are in force: every total of these months resolves to them. Key: restated|publication|ID.

    Day and month totals follow on carbon.totals; an hour's is its quantity times the new coefficient.
    """

    publication: int
    coefficients: Annotated[list[int], Field(description="ids on ref.coefficients")]
    carriers: list[str]
    scopes: Annotated[list[str], Field(description="where they hold")]
    months: Annotated[list[str], Field(description="local months with totals they change, ascending")]
    classes: Annotated[list[int], Field(description="classes whose ladder holds one of the scopes")]
    entities: Annotated[int, Field(description="how many entities' totals are told again")]
    submitted_by: str
    approved_by: str
    published_ms: UtcMs


class TickSignal(Shape):
    """A source partition's tick, forwarded: warn's clock is the lowest of them."""

    partition: int
    time: UtcMs
