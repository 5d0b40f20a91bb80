"""/v1/warnings/commands: what operators do to warnings, handed to warn through warn.commands, and what became of it.

Accepted means that Kafka holds the command: it is applied once, in the order of all commands, also when the database or
warn is away just now. Sent again with the same id it is applied once all the same.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import orjson
from confluent_kafka import KafkaException
from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from carbonstream.api.parameters import Here, Parameters
from carbonstream.api.problems import RESPONSES, FieldProblem, Problem, ProblemDocument
from carbonstream.api.publications import Body
from carbonstream.api.services import Services
from carbonstream.api.session import Caller, authorised, operating
from carbonstream.connectors.kafka import AcknowledgedProducer
from carbonstream.schemas import operator, topics
from carbonstream.schemas.frames import TYPE_COMMAND, cloud_event_headers
from carbonstream.schemas.periods import local_iso, local_text
from carbonstream.schemas.settings import Settings

router = APIRouter(prefix="/warnings/commands", tags=["warnings"], responses=RESPONSES)
who = APIRouter(tags=["warnings"], responses=RESPONSES)
ACCEPT_S: Final = 2.5  # the standards give a user's request 3 s
REFUSALS: dict[int | str, dict[str, Any]] = {
    403: {"model": ProblemDocument, "description": "a session that only reads, or another person's name"}
}
COLUMNS: Final = """
select id, kind, by, why, given_at, taken_at, outcome, targets, body ->> 'error' as error from warning_command
"""
ONE: Final = COLUMNS + " where id = %(id)s"
LATEST: Final = COLUMNS + " order by offset_ desc limit %(limit)s"
Operator = Annotated[Caller, Depends(operating)]


class Giving(Body):
    """A command. `by` is taken from an operator's session; with the bearer token it is needed."""

    kind: str = Field(examples=["acknowledge"], description="as in schemas/json/command.json")
    warnings: list[str] = Field(
        default_factory=list, max_length=operator.MOST_TARGETS, description="ids, 1 to 200"
    )
    by: str | None = Field(None, examples=["Li Na"])
    why: str = Field("", description="comment or reason; needed to shelve, suppress, take out of service")
    versions: dict[str, int] = Field(
        default_factory=dict,
        description="the version seen of each warning: one that was raised again since is refused",
    )
    until: AwareDatetime | None = Field(None, description="shelve: expiry, at most 7 days ahead")
    remind_at: AwareDatetime | None = None
    calendar: dict[str, Any] | None = Field(
        None, description="suppress: entities, rules, start, end, recurrence"
    )
    suppression: str | None = Field(None, description="resume: id of the command that suppressed")
    enterprise: str | None = Field(
        None,
        description="receipt, cause, measure, dispute, closure: in whose name",
        examples=["enterprise:ENT-1"],
    )
    disputed: dict[str, Any] | None = Field(None, description="dispute: of (meter or multiplier), meter")
    id: str | None = Field(None, description="of your own, to send it again without doing it twice")


class Accepted(BaseModel):
    """Kafka holds the command."""

    id: str = Field(description="GET /v1/warnings/commands/{id} says what became of it")


class Target(BaseModel):
    """What became of a command for one warning (or, of suppress and resume, the suppression)."""

    target: str
    outcome: str = Field(description="applied, unchanged or refused")
    reason: str | None = Field(None, examples=["raised-again"])


class Answered(BaseModel):
    """A command that warn has taken."""

    id: str
    kind: str | None
    by: str | None
    why: str
    given_at: str | None
    taken_at: str = Field(description="by warn's clock")
    outcome: str = Field(description="applied, partly, refused or unreadable")
    targets: list[Target]
    error: str | None = Field(description="of an unreadable record")


class AnsweredCommands(BaseModel):
    """Commands, the latest first."""

    commands: list[Answered]


class LatestQuery(Parameters):
    """How many."""

    limit: int = Field(100, ge=1, le=1_000)


class Who(BaseModel):
    """Who asks."""

    operator: str | None = Field(
        description="whose session it is; null: nobody's, it only reads, or the bearer token"
    )


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    kind: str | None
    by: str | None
    why: str
    given_at: datetime | None
    taken_at: datetime
    outcome: str
    targets: list[dict[str, Any]]
    error: str | None


def command_producer(settings: Settings) -> AcknowledgedProducer:
    """A producer whose promise ends before the caller's patience does."""
    return AcknowledgedProducer(settings, **{"linger.ms": 0, "message.timeout.ms": int(ACCEPT_S * 1_000)})


@router.post("", status_code=202, responses=REFUSALS)
async def give(body: Giving, here: Here, caller: Operator) -> Accepted:
    """Hand a command to warn; answered when Kafka has acknowledged it."""
    command = command_of(body, caller.operator, here.now_ms())
    await send(here, command)
    return Accepted(id=command.id)


@router.get("")
async def latest(query: Annotated[LatestQuery, Query()], here: Here) -> AnsweredCommands:
    """The commands taken last."""
    rows = await here.database.rows(_Row, LATEST, {"limit": query.limit})
    return AnsweredCommands(commands=[_answered(row) for row in rows])


@router.get("/{id_:path}")
async def answer(id_: Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")], here: Here) -> Answered:
    """What became of a command; 404 until warn has taken it."""
    row = await here.database.row(_Row, ONE, {"id": id_})
    if row is None:
        raise Problem(
            404,
            f"no answer to a command {id_!r}: warn has not taken it yet, or it was never given",
            remedy="ask again in a second; if it goes on, see whether the service warn runs",
            headers={"Retry-After": "1"},
        )
    return _answered(row)


@who.get("/operator")
async def whoami(caller: Annotated[Caller, Depends(authorised)]) -> Who:
    """The operator of this session."""
    return Who(operator=caller.operator)


def command_of(body: Giving, session_of: str | None, now_ms: int) -> operator.Command:
    """The command to hand on. Raises Problem 403 for another's name, 422 naming the faulty field."""
    if session_of is not None and body.by not in (None, session_of):
        raise Problem(403, f"by: this session is {session_of!r}'s", field="by", remedy="leave `by` out")
    given = body.model_dump(exclude_none=True) | {
        "id": body.id or uuid.uuid4().hex,
        "at": local_iso(now_ms),
        "by": session_of or body.by or "",
    }
    try:
        return operator.Command.model_validate(given)
    except ValidationError as error:
        raise refused(error) from error


def refused(error: ValidationError) -> Problem:
    """422 with every faulty field."""
    errors = []
    for one in error.errors():
        said = str(one["msg"]).removeprefix("Value error, ")
        named, _, rest = said.partition(": ")
        # what concerns several fields names the first itself
        field = ".".join(map(str, one["loc"])) or named
        errors.append(FieldProblem(field=field, detail=rest if field == named and rest else said))
    first = errors[0]
    return Problem(422, f"{first.field}: {first.detail}", field=first.field, errors=errors)


async def send(here: Services, command: operator.Command) -> None:
    """Write a command to warn.commands. Raises Problem 503 where Kafka does not acknowledge it in time."""
    if here.producer is None:
        here.producer = command_producer(here.settings)
    document = command.model_dump(mode="json", exclude_defaults=True)
    try:
        async with asyncio.timeout(ACCEPT_S + 0.3):
            await here.producer.send(
                here.settings.topic(topics.COMMANDS),
                orjson.dumps(document),
                partition=topics.COMMANDS_PARTITION,
                key=command.id.encode(),
                headers=cloud_event_headers(TYPE_COMMAND, "api", command.id),
            )
    except (KafkaException, BufferError, TimeoutError) as error:
        raise Problem(
            503,
            f"Kafka did not take command {command.id!r} in time",
            remedy=f'send it again with "id": "{command.id}": it is applied once',
            headers={"Retry-After": "2"},
        ) from error


def _answered(row: _Row) -> Answered:
    return Answered(
        id=row.id,
        kind=row.kind,
        by=row.by,
        why=row.why,
        given_at=None if row.given_at is None else local_text(row.given_at),
        taken_at=local_text(row.taken_at),
        outcome=row.outcome,
        targets=[Target(**target) for target in row.targets],
        error=row.error,
    )
