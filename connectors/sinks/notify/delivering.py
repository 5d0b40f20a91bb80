"""A worker's turn: lease a channel, send what is due for it, record each answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import psycopg

from carbonstream.connectors import telemetry
from carbonstream.connectors.sinks.notify.queue import (
    Lease,
    begin_attempt,
    lease_channel,
    record_attempt,
    release_channel,
)
from carbonstream.connectors.sinks.notify.sending import Channel, Message, Send
from carbonstream.processors.notices_delivery import Answer, Outcome, step

Clock = Callable[[], datetime]
A_TURN: Final = 50  # messages to one channel before others have theirs


def deliver_turn(connection: psycopg.Connection[Any], send: Send, clock: Clock, log: Any) -> int:
    """Send what is due for one channel; how many attempts were made. 0: nothing is due now."""
    lease = lease_channel(connection, clock())
    return 0 if lease is None else serve_channel(connection, lease, send, clock, log)


def serve_channel(
    connection: psycopg.Connection[Any], lease: Lease, send: Send, clock: Clock, log: Any,
    stopping: threading.Event | None = None,
) -> int:  # fmt: skip
    """Send what is due for a leased channel until it is paused or we are stopping, and give the lease back."""
    made = 0
    while made < A_TURN and not (stopping is not None and stopping.is_set()):
        attempt = begin_attempt(connection, lease, clock())
        if attempt is None:
            break
        made += 1
        began = time.monotonic()
        answer = _answer(send, lease.channel, attempt.message, clock(), log)
        took_ms = round((time.monotonic() - began) * 1_000)
        now = clock()
        following = step(
            answer, f"{attempt.message.id}/{lease.channel.id}", attempt.attempts, attempt.since, attempt.failures, now
        )  # fmt: skip
        record_attempt(connection, lease, attempt, answer, following, now, took_ms)
        telemetry.NOTICES.labels(lease.channel.kind, answer.outcome.value).inc()
        if answer.outcome is not Outcome.ACCEPTED:
            log.warning(
                "notice not taken", notice=attempt.message.id, channel=lease.channel.id, attempt=attempt.attempts,
                detail=answer.detail, state=following.state, next_at=following.next_at.isoformat(),
            )  # fmt: skip
        if following.pause_until is not None or following.disable is not None:
            break
    release_channel(connection, lease, clock())
    return made


def _answer(send: Send, channel: Channel, message: Message, now: datetime, log: Any) -> Answer:
    """One notice that cannot even be composed must not hold up the others: it is tried again, then dead."""
    try:
        return send(channel, message, now)
    except Exception as error:
        telemetry.FAULTS.labels("notify", "sending").inc()
        log.exception("sending failed", notice=message.id, channel=channel.id)
        return Answer(Outcome.FAILED, None, type(error).__name__)
