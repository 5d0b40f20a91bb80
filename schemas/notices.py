"""Subscriptions to notices as `carbonstream notices subscribe` takes them from a file."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from carbonstream.schemas.frames import Shape

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]

Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]


class Quiet(Shape):
    """Quiet hours, local; `from` after `until` spans midnight."""

    from_: Annotated[time, Field(alias="from")]
    until: time

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.from_ == self.until:
            raise ValueError("quiet hours that begin when they end have no length; leave them out")
        if self.from_.tzinfo or self.until.tzinfo:
            raise ValueError("quiet hours are local times such as 22:00")
        return self


class Subscription(Shape):
    """Who is told of what, where."""

    id: Name
    enterprise: Annotated[
        Text | None, Field(description="entity id; it is told of itself and its sites only")
    ] = None
    operator_group: Annotated[Name | None, Field(description="operators; told of all entities")] = None
    entities: Annotated[
        tuple[Text, ...],
        Field(
            max_length=1_000,
            description="ids, or beginnings ending in *; empty: all that the subscriber may see",
        ),
    ] = ()
    rules: Annotated[
        tuple[Text, ...], Field(max_length=100, description="rules of warnings; empty: all")
    ] = ()
    severity: Annotated[Literal["alarm", "alert", "notice"], Field(description="the least that is told")] = (
        "notice"
    )
    channels: Annotated[
        tuple[str, ...],
        Field(
            min_length=1,
            max_length=20,
            description="https:, mailto:, or an address of wecombot, dingtalk, feishu ...",
        ),
    ]
    backup: Annotated[
        tuple[str, ...],
        Field(
            max_length=20,
            description="addresses that are told where a channel fails, and of alarms nobody acknowledged in time",
        ),
    ] = ()
    digest: Annotated[time | None, Field(description="local time of a daily digest", examples=["08:00"])] = (
        None
    )
    quiet: Quiet | None = None
    language: Literal["zh", "en"] = "zh"
    group_s: Annotated[
        int, Field(ge=0, le=86_400, description="changes within this long come as one notice")
    ] = 0

    @model_validator(mode="after")
    def _has_one_owner(self) -> Self:
        if (self.enterprise is None) == (self.operator_group is None):
            raise ValueError("give either enterprise or operator_group")
        if len({*self.channels, *self.backup}) != len(self.channels) + len(self.backup):
            raise ValueError("channels, backup: an address stands there twice")
        if self.digest is not None and self.digest.tzinfo:
            raise ValueError("digest: is a local time such as 08:00")
        if any("*" in entity[:-1] for entity in self.entities):
            raise ValueError("entities: * may only be the last character")
        return self
