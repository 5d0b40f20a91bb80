"""What meter.readings carries: frames of readings, and ticks.

A frame is up to 500 readings of one source and one shard, as columns. JSON Schemas in schemas/json are made from
these models; convert itself reads records with processors.frames, which gives every faulty reading its own code.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from carbonstream.schemas.codes import Mode

MAX_READINGS: Final = 500
SOURCE_ESTIMATOR: Final = "estimator"  # the one source of mode estimate
SOURCE_RECOMPUTE: Final = (
    "recompute"  # registers' intervals after a multiplier was corrected or an index was struck
)
SOURCE_DECLARED: Final = "declared"  # approved declarations, and their withdrawals in mode edit
EDITORS: Final = (SOURCE_ESTIMATOR, SOURCE_RECOMPUTE, SOURCE_DECLARED)  # the sources of mode edit
TYPE_READINGS: Final = "carbonstream.readings.v1"
TYPE_TICK: Final = "carbonstream.tick.v1"
TYPE_EMISSIONS: Final = "carbonstream.emissions.v1"
TYPE_TOTAL: Final = "carbonstream.total.v1"
TYPE_RESTATED: Final = "carbonstream.restated.v1"
TYPE_SIGNAL: Final = "carbonstream.signal.v1"
TYPE_REJECTS: Final = "carbonstream.rejects.v1"
TYPE_WARNING: Final = "carbonstream.warning.v1"
TYPE_OPERATION: Final = "carbonstream.operation.v1"
TYPE_COMMAND: Final = "carbonstream.command.v1"

# CloudEvents extension attributes of carbon.emissions, so that a reader need not decode what it has no use for
HEADER_TICK: Final = "ce_tick"  # time of the tick this record answers
HEADER_REJECTS: Final = "ce_rejects"  # how many rejected readings it holds

Shard = Annotated[int, Field(ge=0, lt=64, description="crc32(site) mod 64")]
UtcMs = Annotated[int, Field(description="UTC milliseconds since 1970")]


class Shape(BaseModel):
    """Base of every shape that crosses a boundary: unknown fields are refused, so typing errors are seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ReleaseOf(Shape):
    """Where a held reading was first accepted, when it is sent again."""

    topic: Annotated[str, Field(description="id of meter.readings at that time")]
    partition: int
    offset: int
    row: int


class ReadingsFrame(Shape):
    """Readings of one source and one shard, as columns of equal length."""

    source: Annotated[str, Field(min_length=1, max_length=200, examples=["http/gw-7"])]
    shard: Shard
    seq: Annotated[
        int, Field(ge=0, description="grows per source, mode and shard; a known one is a duplicate")
    ]
    sent: UtcMs
    mode: Mode = Mode.LIVE
    meters: Annotated[list[str], Field(max_length=MAX_READINGS, description="distinct ids SITE/METER")]
    meter: Annotated[list[int], Field(max_length=MAX_READINGS, description="index into meters")]
    start: Annotated[
        list[int | None] | None, Field(description="interval's start; absent: end less the meter's interval")
    ] = None
    end: Annotated[list[int], Field(description="interval's end, or the register's instant")]
    value: Annotated[
        list[float | None], Field(description="null in mode edit alone: nothing is to stand for the interval")
    ]
    unit: Annotated[
        list[str | None] | str | None, Field(description="one, or one a reading; absent: the meter's own")
    ] = None
    quality: Annotated[
        list[int] | int | None,
        Field(
            description="in mode estimate: 8 reference day or 9 interpolated; in mode edit any; else absent"
        ),
    ] = None
    first_index: Annotated[
        list[float] | None, Field(description="of registers in mode edit: the index at `start`")
    ] = None
    replaces: Annotated[
        list[int] | None,
        Field(
            description="of registers in mode edit: thousandths of the base unit that stood for the interval"
        ),
    ] = None
    flag: list[int] | None = None
    release_of: Annotated[
        list[ReleaseOf] | None, Field(description="of held readings sent again: one entry a reading")
    ] = None
    release_source: Annotated[
        str | None, Field(description="with release_of: the source that had sent these readings")
    ] = None


class Tick(Shape):
    """The clock of all logic, one a second and partition. Reference changes take effect at a tick only."""

    tick: Annotated[int, Field(description="partition")]
    time: UtcMs
    reference: Annotated[dict[str, int], Field(description="end offset of each ref.* topic")]


def cloud_event_headers(type_: str, source: str, id_: str) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0 Kafka binding, binary mode. `id_` derives from the record's content, never from chance."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", type_.encode()),
        ("ce_source", source.encode()),
        ("ce_id", id_.encode()),
        ("content-type", b"application/json"),
    ]
