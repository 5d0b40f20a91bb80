"""/v1/notices: who is told of warnings, what became of each notice, and sending again what is dead.

Nothing is called from here: a test goes through the queue like any notice, and `notify` sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import psycopg
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES, FieldProblem, Problem
from carbonstream.api.publications import REFUSALS, Body
from carbonstream.api.services import Services
from carbonstream.api.session import commanding
from carbonstream.connectors.database import command_connection
from carbonstream.connectors.sinks.notify import subscriptions
from carbonstream.schemas.errors import LoadRefused
from carbonstream.schemas.notices import Subscription
from carbonstream.schemas.periods import local_text, to_datetime

router = APIRouter(prefix="/notices", tags=["notices"], responses=RESPONSES)
T = TypeVar("T")
Id = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
COLUMNS: Final = """
select n.id, n.subscription, n.kind, n.opened_at, d.channel, d.state, d.attempts, d.next_at, d.reason, d.settled_at,
  d.handed_over, (select count(*)::int from notice_change c where c.notice = n.id) as changes
from notice n join notice_delivery d on d.notice = n.id
"""
LIST: Final = (
    COLUMNS
    + """
where (%(subscription)s::text is null or n.subscription = %(subscription)s)
  and (%(state)s::text is null or d.state = %(state)s)
order by n.opened_at desc, n.id, d.channel limit %(limit)s
"""
)
ONE: Final = COLUMNS + "where n.id = %(id)s order by d.channel"


class ChannelShown(BaseModel):
    """A channel and what is queued for it."""

    id: int
    kind: str
    address: str = Field(description="without what lets its reader send there")
    backup: bool
    disabled: str | None
    failures: int = Field(description="in a row; from 3 on it rests, and backups stand in")
    paused: bool
    waiting: int
    sent: int
    dead: int


class SubscriptionShown(BaseModel):
    """Who is told of what."""

    id: str
    enterprise: str | None
    operator_group: str | None
    entities: list[str]
    rules: list[str]
    severity: str
    quiet_from: str | None
    quiet_until: str | None
    language: str
    group_s: int
    digest_at: str | None
    disabled: str | None
    channels: list[ChannelShown]


class Subscriptions(BaseModel):
    """All of them."""

    subscriptions: list[SubscriptionShown]


class Secret(BaseModel):
    """Of a new webhook, told this once."""

    subscription: str
    address: str
    secret: str


class Subscribed(BaseModel):
    """A subscription that is on."""

    id: str
    secrets: list[Secret]


class Ended(BaseModel):
    """A subscription that is off."""

    id: str


class Testing(BaseModel):
    """A test in the queue."""

    notice: str = Field(description="GET /v1/notices/{id} says which channel took it")


class Delivery(BaseModel):
    """A notice on its way to one channel."""

    notice: str
    subscription: str
    kind: str = Field(description="changed, escalated, digest, deadline or test")
    changes: int
    opened_at: str
    channel: int
    state: str = Field(description="waiting, sent or dead")
    attempts: int
    next_at: str
    reason: str | None = Field(description="of the last attempt, where it failed")
    settled_at: str | None
    handed_over: bool = Field(description="a backup has it too")


class Deliveries(BaseModel):
    """Notices, the latest first."""

    notices: list[Delivery]


class NoticesQuery(Parameters):
    """Which notices; state=dead are the dead letters."""

    subscription: Text | None = None
    state: Literal["waiting", "sent", "dead"] | None = None
    limit: int = Field(100, ge=1, le=1_000)


class Resending(Body):
    """Which dead notices; of a subscription, by id, or both. Neither: all."""

    subscription: Text = ""
    notices: list[Text] = Field(default_factory=list, max_length=1_000)


class Resent(BaseModel):
    """How many wait to be sent again."""

    resent: int


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    subscription: str
    kind: str
    opened_at: datetime
    channel: int
    state: str
    attempts: int
    next_at: datetime
    reason: str | None
    settled_at: datetime | None
    handed_over: bool
    changes: int


@router.get("/subscriptions")
async def listed(here: Here) -> Subscriptions:
    """All subscriptions, their channels, and what waits, was sent, is dead."""
    found = await _as_command(here, lambda c: subscriptions.listed(c, to_datetime(here.now_ms())))
    return Subscriptions(subscriptions=[SubscriptionShown(**one) for one in found])


@router.post("/subscriptions", status_code=201, dependencies=[Depends(commanding)], responses=REFUSALS)
async def subscribe(body: Subscription, here: Here) -> Subscribed:
    """Make a subscription or replace it; secrets of new webhooks are told this once."""
    now, networks = to_datetime(here.now_ms()), here.settings.notify_networks
    made = await _as_command(here, lambda c: subscriptions.subscribe(c, [body], now, networks))
    return Subscribed(id=body.id, secrets=[Secret(**one) for one in made])


@router.post("/subscriptions/{id_}/end", dependencies=[Depends(commanding)], responses=REFUSALS)
async def end(id_: Id, here: Here) -> Ended:
    """Switch a subscription off; what waits for it is kept as dead."""
    await _as_command(
        here, lambda c: subscriptions.unsubscribe(c, id_, to_datetime(here.now_ms())), missing=404
    )
    return Ended(id=id_)


@router.post(
    "/subscriptions/{id_}/test", status_code=202, dependencies=[Depends(commanding)], responses=REFUSALS
)
async def try_channels(id_: Id, here: Here) -> Testing:
    """Send a test through every channel, backups too."""
    now = to_datetime(here.now_ms())
    return Testing(
        notice=await _as_command(here, lambda c: subscriptions.enqueue_test(c, id_, now), missing=404)
    )


@router.post("/resend", dependencies=[Depends(commanding)], responses=REFUSALS)
async def resend(body: Resending, here: Here) -> Resent:
    """Try dead notices of channels that are on for another day, with the same ids."""
    now = to_datetime(here.now_ms())
    count = await _as_command(
        here, lambda c: subscriptions.resend(c, now, subscription=body.subscription, notices=body.notices)
    )
    return Resent(resent=count)


@router.get("")
async def notices(query: Annotated[NoticesQuery, Query()], here: Here) -> Deliveries:
    """Notices by channel, the latest first."""
    return Deliveries(notices=[_shown(r) for r in await here.database.rows(_Row, LIST, query.model_dump())])


@router.get("/{id_}")
async def notice(id_: Id, here: Here) -> Deliveries:
    """One notice on each of its channels."""
    rows = await here.database.rows(_Row, ONE, {"id": id_})
    if not rows:
        raise Problem(404, f"no notice {id_!r}", remedy="GET /v1/notices lists them")
    return Deliveries(notices=[_shown(row) for row in rows])


async def _as_command(here: Services, call: Callable[[psycopg.Connection[Any]], T], missing: int = 422) -> T:
    """What `carbonstream notices` calls, as the role carbonstream_command. Raises Problem with what it refuses."""

    def run() -> T:
        with command_connection(here.settings, application="api notices") as connection:
            return call(connection)

    try:
        return await asyncio.to_thread(run)
    except LoadRefused as refused:
        if missing == 404:
            raise Problem(
                404, refused.errors[0], remedy="GET /v1/notices/subscriptions lists them"
            ) from refused
        errors = [FieldProblem(field=_field(one), detail=one) for one in refused.errors]
        raise Problem(422, errors[0].detail, field=errors[0].field, errors=errors) from refused


def _field(error: str) -> str:
    """`ID: field: what is wrong` names its field; an owner that cannot change is the id's."""
    named = error.split(": ")[1]
    return named if named in Subscription.model_fields else "id"


def _shown(row: _Row) -> Delivery:
    return Delivery(
        notice=row.id,
        subscription=row.subscription,
        kind=row.kind,
        changes=row.changes,
        opened_at=local_text(row.opened_at),
        channel=row.channel,
        state=row.state,
        attempts=row.attempts,
        next_at=local_text(row.next_at),
        reason=row.reason,
        settled_at=None if row.settled_at is None else local_text(row.settled_at),
        handed_over=row.handed_over,
    )
