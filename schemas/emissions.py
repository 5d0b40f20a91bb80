"""What carbon.emissions and meter.rejects carry: what became of every reading."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from carbonstream.schemas.codes import Mode
from carbonstream.schemas.frames import ReleaseOf, Shape, UtcMs


class Origin(Shape):
    """The record of meter.readings this frame answers, and the one answered before it: the chain."""

    topic_id: str
    partition: int
    offset: int
    previous: Annotated[int, Field(description="source offset of the frame before this one; -1: none")]


class AppliedCoefficient(Shape):
    """A coefficient used for the first CO2 of some readings of a frame."""

    id: int
    carrier: str
    scope: str
    month: str
    carried_months: Annotated[int, Field(ge=0, description="months since the month it was published for")]
    value: Annotated[str, Field(description="kg CO2 per base unit of the carrier, exact decimal")]


class HeldReading(Shape):
    """A reading as it came, kept until its meter is registered."""

    row: int
    meter: str
    start: int | None
    end: int | None
    value: float | None
    unit: str | None


class RejectedReading(Shape):
    """A reading as it came, with the code that says why it was not taken. Row -1 is the whole record."""

    row: int
    code: int
    meter: str | None
    start: int | None
    end: int | None
    value: str | None
    unit: str | None
    detail: str | None = None


class Finding(Shape):
    """What a check found beside a reading's outcome."""

    row: Annotated[int, Field(description="the reading that told it")]
    check: Annotated[int, Field(description="schemas.codes.Check")]
    decision: Annotated[int, Field(description="schemas.codes.Decision")]
    of: Annotated[UtcMs, Field(description="end of the reading meant: the row's own, or the one before it")]
    size: Annotated[
        float, Field(description="ratio of a level or spike, hours of a clock, values of a run; else 0")
    ]
    definition: Annotated[
        str | None,
        Field(
            description="NAME@VERSION of the check's parameters or of the user's rule; null: told before there were"
        ),
    ] = None


class AdjustedInterval(Shape):
    """A register's interval known before, cut anew because an index came late. Its reading was answered before."""

    row: Annotated[int, Field(description="the late reading's, in this frame")]
    start: UtcMs
    end: UtcMs
    quantity: int
    raw_index: int
    version: Annotated[int, Field(description="of the multiplier")]


Column = Annotated[list[int] | int, Field(description="one entry a reading; or one value that all share")]


class EmissionsFrame(Shape):
    """Exactly one for every record of meter.readings. Columns have one entry a reading, as `meter` does."""

    source: str
    shard: int
    seq: int
    mode: Mode
    sent: UtcMs
    received: Annotated[UtcMs, Field(description="when the broker appended the source record")]
    tick: Annotated[UtcMs, Field(description="the logic's clock when it was judged")]
    reference: Annotated[
        dict[str, int] | None, Field(description="ref.* offsets in force; on answers to ticks")
    ] = None
    origin: Origin
    meters: list[str]
    numbers: Annotated[list[int], Field(description="dense number of each of meters; -1 unknown")]
    carriers: Annotated[list[int], Field(description="carrier of each of meters; 0 unknown")]
    meter: Annotated[list[int], Field(description="index into meters, one entry a reading")]
    start: Column
    end: Column
    quantity: Annotated[
        list[int],
        Field(description="thousandths of the carrier's base unit; of a reading not taken what it claims"),
    ]
    raw_index: Annotated[
        Column, Field(description="a register's index in thousandths; -1 for interval meters")
    ]
    quality: Column
    multiplier_version: Annotated[Column, Field(description="of the multiplier in force at the end")]
    code: Annotated[Column, Field(description="schemas.codes.Outcome; 0 and 1 are taken")]
    coefficient: Annotated[Column, Field(description="index into coefficients; -1: none, CO2 unknown")]
    co2: Annotated[list[int | None], Field(description="kg x 10^co2_exponent, exact")]
    co2_exponent: int
    coefficients: list[AppliedCoefficient]
    findings: list[Finding]
    held: list[HeldReading]
    rejects: list[RejectedReading]
    adjusted: Annotated[
        list[AdjustedInterval],
        Field(description="what late indexes of this frame cut anew; a later one replaces an earlier one"),
    ] = Field(default_factory=list)
    void: Annotated[list[int], Field(description="rows of an edit that leaves nothing to stand")] = Field(
        default_factory=list
    )
    release_of: Annotated[
        list[ReleaseOf] | None,
        Field(
            description="of held readings sent again: one entry a reading, none where the frame was refused"
        ),
    ] = None
    release_source: Annotated[
        str | None, Field(description="with release_of: the source that had sent these readings")
    ] = None
    refused: Annotated[int, Field(description="readings that an unreadable record seems to hold")] = 0
    payload: Annotated[
        str | None, Field(description="base64 of a record that could not be read, first 64 kB")
    ] = None


class RejectsFrame(Shape):
    """The rejects of one emissions frame, for subscribers."""

    source: str
    origin: Origin
    tick: UtcMs
    rejects: list[RejectedReading]
