"""GET /v1/stream: totals and warnings as they change, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES, invalid
from carbonstream.api.services import Services
from carbonstream.api.session import Caller, authorised
from carbonstream.api.stream.events import TOPIC_NAMES, heartbeat, reset
from carbonstream.api.stream.positions import MAX_LENGTH, NoPosition, Vector
from carbonstream.api.stream.resume import TooOld, Way, way_to
from carbonstream.api.stream.ring import Filter
from carbonstream.api.stream.subscription import Subscription

router = APIRouter(tags=["stream"], responses=RESPONSES)
BEAT_S: Final = 10.0  # shorter than the 30-60 s after which proxies end a silent connection
MOST_ENTITIES: Final = 200
HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class StreamQuery(Parameters):
    """What to hear of."""

    topics: Text = Field("totals,warnings", description="totals, warnings or both, with a comma")
    entity: list[Text] = Field(
        [],
        max_length=MOST_ENTITIES,
        description="repeatable; without it everything",
        examples=[["enterprise:ENT-1"]],
    )
    last_event_id: str | None = Field(
        None, max_length=MAX_LENGTH, description="as the header, for clients that set none"
    )


@router.get(
    "/stream", response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}}
)
async def stream(
    query: Annotated[StreamQuery, Query()],
    here: Here,
    caller: Annotated[Caller, Depends(authorised)],
    last_event_id: Annotated[str | None, Header(max_length=MAX_LENGTH)] = None,
) -> StreamingResponse:
    """Totals and warnings as they change: events `total`, `restated`, `warning`, and `heartbeat` every 10 s.

    Data are as in carbon.totals and carbon.warnings. Send Last-Event-ID to go on exactly after that event:
    nothing is lost, nothing comes twice; of several totals of one entity, grain and bucket only the newest
    comes. Event `reset` means that this was not possible: reload. The first event is a heartbeat: what is
    loaded after it and what is streamed leave no gap.
    """
    names = query.topics.split(",")
    if unknown := [name for name in names if name not in TOPIC_NAMES]:
        raise invalid("topics", f"{unknown[0]!r} is not one of {', '.join(TOPIC_NAMES)}")
    wanted = Filter(frozenset(TOPIC_NAMES[name] for name in names), frozenset(query.entity))
    frames = _frames(here, wanted, last_event_id or query.last_event_id, caller.until)
    return StreamingResponse(frames, media_type="text/event-stream", headers=HEADERS)


async def _frames(
    here: Services, wanted: Filter, last_id: str | None, until: float | None
) -> AsyncGenerator[bytes]:
    """The bytes of one client's stream, until the server closes or the session ends."""
    hub = here.hub
    at_once = hub.positioned.is_set()
    while not hub.positioned.is_set():  # Kafka is away since this process started, or history is being read
        yield _beat(here, None)
        await _within(hub.positioned, BEAT_S)
    if hub.closed.is_set():
        return
    client = Subscription(wanted, hub.ring.vector)
    hub.add(client)
    try:
        if last_id:
            yield _beat(here, None)
            try:
                client.at = hub.ring.layout.decode(last_id)
                async for wire in _catch_up(here, client):
                    yield wire
            except NoPosition as error:
                yield _lost(here, client, str(error))
        elif at_once:
            yield _beat(here, hub.ring.layout.encode(client.at))
        else:
            yield _lost(here, client, "the stream was not ready when you came")
        async with aclosing(_live(here, client, until)) as live:
            async for wire in live:
                yield wire
    finally:
        hub.remove(client)


async def _live(here: Services, client: Subscription, until: float | None) -> AsyncGenerator[bytes]:
    hub, loop = here.hub, asyncio.get_running_loop()
    beat_at = loop.time() + BEAT_S
    while not hub.closed.is_set() and (until is None or here.now_ms() / 1_000 < until):
        if client.lost is not None:
            yield _lost(here, client, client.lost)
        elif client.behind(hub.ring):
            async for wire in _catch_up(here, client):
                yield wire
        if wire := hub.take(client):
            yield wire
        if loop.time() >= beat_at:
            beat_at = loop.time() + BEAT_S
            # all that came is sent, so the client is as far as the ring, if it was not further
            caught_up = client.pending is None and client.skip is None and hub.positioned.is_set()
            if caught_up:
                client.at = hub.ring.vector
            yield _beat(here, hub.ring.layout.encode(client.at) if caught_up else None)
        elif client.pending is None:
            client.wake.clear()
            await _within(client.wake, beat_at - loop.time())


async def _catch_up(here: Services, client: Subscription) -> AsyncGenerator[bytes]:
    """Lead the client from `client.at` to the ring, through Kafka where needed, or tell it to reload."""
    while True:
        ring = here.hub.ring
        way = way_to(client.at, ring)
        if way is Way.RING:
            client.resume_at(client.at, ring)
            return
        if way is Way.RELOAD:
            yield _lost(here, client, "too much has happened since")
            return
        # up to the ring's position now: by the time it is reached, the ring still holds what came after
        end: Vector = ring.vector
        beat_at = asyncio.get_running_loop().time() + BEAT_S
        try:
            async with aclosing(here.rereader.events(ring, client.at, end, client.wanted)) as missed:
                async for wire, client.at in missed:
                    if wire:
                        yield wire
                    if asyncio.get_running_loop().time() >= beat_at:
                        beat_at += BEAT_S
                        yield _beat(here, None)
                    if here.hub.closed.is_set() or here.hub.ring is not ring:
                        return
        except TooOld as error:
            yield _lost(here, client, str(error))
            return


def _lost(here: Services, client: Subscription, reason: str) -> bytes:
    """A `reset` event; the client goes on from now."""
    ring = here.hub.ring
    client.at, client.pending, client.skip, client.lost = ring.vector, None, None, None
    return reset(ring.layout.encode(ring.vector), reason)


def _beat(here: Services, id_: str | None) -> bytes:
    return heartbeat(id_, here.now_ms(), here.hub.kafka)


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
