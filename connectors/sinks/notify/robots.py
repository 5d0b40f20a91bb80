"""Notices by group robots of WeCom, DingTalk, Feishu and Lark, whose answers are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from carbonstream.connectors.sinks.notify.outward import FAILURES, Inward, call
from carbonstream.connectors.sinks.notify.sending import Channel, Message
from carbonstream.processors.notices_delivery import Answer, Outcome
from carbonstream.processors.notices_robots import body, robot_answer, robot_of, room, url
from carbonstream.processors.notices_text import fitted

ANSWER_BYTES: Final = 16_384  # theirs have some hundred


def post_text(
    channel: Channel, message: Message, now: datetime, networks: Sequence[str], bases: Mapping[str, str]
) -> Answer:
    """One attempt; never raises for what the service or the network does. bases: kind -> end point."""
    try:
        robot = robot_of(channel.address)
    except ValueError as error:
        return Answer(Outcome.REFUSED, None, str(error))
    text = fitted(message.subject(), message.entries(), message.id, message.language, room(robot))
    try:
        reply = call(
            url(robot, bases[robot.kind], now), body(robot, text), {}, networks, read_bytes=ANSWER_BYTES
        )
    except Inward as error:
        return Answer(Outcome.REFUSED, None, str(error))
    except FAILURES as error:
        return Answer(Outcome.FAILED, None, f"{type(error).__name__}: {error}"[:200])
    return robot_answer(robot, reply.code, reply.body, reply.retry_after, now)
