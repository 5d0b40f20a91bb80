"""/v1/coefficients/publications: submit coefficients, look at what waits, approve or reject as a second person."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES, Problem, ProblemDocument
from carbonstream.api.publishing import (
    Publication,
    decide,
    examine,
    publications,
    refused,
    shown,
    submit,
    without_own_class,
)
from carbonstream.api.session import commanding
from carbonstream.processors.publication import MOST_ENTRIES, Submitted
from carbonstream.schemas.periods import local_text

REFUSALS: dict[int | str, dict[str, Any]] = RESPONSES | {
    403: {"model": ProblemDocument, "description": "the person who submitted it, or a browser's session"},
    409: {"model": ProblemDocument, "description": "decided already, or pending elsewhere"},
}
router = APIRouter(prefix="/coefficients/publications", tags=["coefficients"], responses=REFUSALS)
Number = Annotated[int, Path(ge=1, lt=2**63)]
Person = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S", examples=["Li Na"])]


class Body(BaseModel):
    """Base of every command's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class Row(Body):
    """One row, as text, with the columns of the file (docs/data.md). Empty: not given."""

    carrier: Text = Field(examples=["electricity"])
    kind: Text = Field(examples=["electricity_average"])
    scope: Text = Field(examples=["330000"])
    month: Text = Field("", examples=["2026-10"])
    data_year: Text = ""
    value: Text = Field(examples=["0.4850"])
    unit: Text = Field(examples=["kgCO2/kWh"])
    document: Text
    ncv_mj_per_unit: Text = ""
    carbon_tc_per_gj: Text = ""
    oxidation_percent: Text = ""
    kgce_per_unit: Text = ""
    kgco2_per_kgce: Text = ""
    exception: Text = Field("", description="why a value outside the plausible range is right")


class Submission(Body):
    """Coefficients to publish."""

    by: Person
    rows: list[Row] = Field(min_length=1, max_length=MOST_ENTRIES)
    file: Text = Field("api", description="where they come from")
    dry_run: bool = Field(False, description="judge and show only")


class Decision(Body):
    """Who decides, and why."""

    by: Person
    reason: Text = ""


class Difference(BaseModel):
    """An entity's total over the restated months."""

    entity: str
    indicator: Literal["co2", "energy"]
    old: str | None = Field(description="exact; kg CO2 or kgce; null where a coefficient is missing")
    new: str | None


class Shown(BaseModel):
    """What a publication would restate."""

    months: list[str]
    own_classes: list[str] = Field(description="enterprises that get their first coefficient of their own")
    entities: list[Difference] = Field(description="largest change first")


class Submitting(BaseModel):
    """What became of a submission."""

    id: int | None = Field(description="null after a dry run")
    status: Literal["pending", "dry run"]
    coefficients: int
    restates: Shown


class PublicationShown(BaseModel):
    """A publication."""

    id: int
    file: str
    status: Literal["pending", "approved", "rejected"]
    submitted_by: str
    submitted_at: str
    decided_by: str | None
    decided_at: str | None
    reason: str | None
    entries: list[dict[str, Any]]


class Publications(BaseModel):
    """Publications, newest first."""

    publications: list[PublicationShown]


class PublicationsQuery(Parameters):
    """Which publications."""

    status: Literal["pending", "approved", "rejected"] | None = None
    limit: int = Field(100, ge=1, le=1_000)


@router.post("", status_code=201, dependencies=[Depends(commanding)])
async def publish(body: Submission, here: Here, response: Response) -> Submitting:
    """Judge all rows; where each is sound, keep them until a second person decides. 422 names every faulty field."""
    rows = [
        Submitted(n, {k: v for k, v in row.model_dump().items() if v}) for n, row in enumerate(body.rows, 1)
    ]
    examined = await examine(here.database, rows, here.now_ms())
    if examined.faults or examined.preview is None:
        raise refused(examined.faults, 1)
    id_ = None
    if body.dry_run:
        response.status_code = 200
    else:
        id_ = await submit(here.commands, body.file, body.by, examined.entries)
    return Submitting(
        id=id_,
        status="dry run" if id_ is None else "pending",
        coefficients=len(examined.entries),
        restates=Shown.model_validate(shown(examined.preview)),
    )


@router.get("")
async def listed(query: Annotated[PublicationsQuery, Query()], here: Here) -> Publications:
    """Publications, newest first."""
    found = await publications(here.database, status=query.status, limit=query.limit)
    return Publications(publications=[document(p) for p in found])


@router.get("/{id_}")
async def one(id_: Number, here: Here) -> PublicationShown:
    """One publication with its entries."""
    return document(await _find(here, id_))


@router.post("/{id_}/approve", dependencies=[Depends(commanding)])
async def approve(id_: Number, body: Decision, here: Here) -> dict[str, Any]:
    """Put a publication in force, as another person than the one who submitted it; what it restates."""
    publication = await _find(here, id_)
    if moving := await without_own_class(here.database, publication):
        raise Problem(
            409,
            f"publication {id_} holds the first coefficient of {', '.join(moving)}: its sites move to a class of "
            "their own, which stops the sinks for a moment",
            remedy=f"approve it with `carbonstream coefficients approve {id_} --by NAME`",
        )
    return await decide(here.commands, id_, body.by, "approved", body.reason) or {}


@router.post("/{id_}/reject", dependencies=[Depends(commanding)])
async def reject(id_: Number, body: Decision, here: Here) -> PublicationShown:
    """Turn a publication down; it stays on record."""
    await _find(here, id_)
    await decide(here.commands, id_, body.by, "rejected", body.reason)
    return document(await _find(here, id_))


async def _find(here: Here, id_: int) -> Publication:
    found = await publications(here.database, id_=id_)
    if not found:
        raise Problem(404, f"no publication {id_}", remedy="GET /v1/coefficients/publications lists them")
    return found[0]


def document(publication: Publication) -> PublicationShown:
    """A publication as JSON."""
    decided = publication.decided_at
    return PublicationShown.model_validate(
        {
            "id": publication.id,
            "file": publication.file,
            "status": publication.status,
            "submitted_by": publication.submitted_by,
            "submitted_at": local_text(publication.submitted_at),
            "decided_by": publication.decided_by,
            "decided_at": None if decided is None else local_text(decided),
            "reason": publication.reason,
            "entries": publication.entries,
        }
    )
