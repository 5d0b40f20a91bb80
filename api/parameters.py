"""Types that several routes' parameters share. An unknown parameter is refused, so that typing errors are
seen.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from carbonstream.api.ranges import parse_time
from carbonstream.api.services import Services, services
from carbonstream.schemas.periods import to_datetime


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL."""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


Text = Annotated[str, Field(max_length=500), AfterValidator(_storable)]
PathText = Annotated[str, Path(max_length=500), AfterValidator(_storable)]
Here = Annotated[Services, Depends(services)]


class Parameters(BaseModel):
    """Base of every route's query parameters."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def parse_as_of(text: str | None) -> datetime:
    """The instant as of which coefficients are taken: published then or before. None: all there are.

    A local period means its last moment, so as_of=2025-12-30 leaves out what was published on 2025-12-31.
    """
    if text is None:
        return datetime.max.replace(tzinfo=UTC)
    at = parse_time(text, "as_of")
    return to_datetime(at.end - 1 if at.end > at.start else at.start)
