"""Webhooks after Standard Webhooks. The answer's body is not read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from carbonstream.connectors.sinks.notify.outward import FAILURES, Inward, call
from carbonstream.connectors.sinks.notify.sending import Channel, Message
from carbonstream.processors.notices_delivery import Answer, Outcome, http_answer
from carbonstream.processors.notices_signing import headers


def post(channel: Channel, message: Message, now: datetime, networks: Sequence[str]) -> Answer:
    """One attempt; never raises for what the receiver, the network or the name server does."""
    body = message.body()
    try:
        reply = call(channel.address, body, headers(message.id, now, body, channel.secrets), networks)
    except Inward as error:
        return Answer(Outcome.REFUSED, None, str(error))
    except FAILURES as error:
        return Answer(Outcome.FAILED, None, f"{type(error).__name__}: {error}"[:200])
    return http_answer(reply.code, reply.retry_after, now)
