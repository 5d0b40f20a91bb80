"""One attempt: a message to a channel, and the answer. Nothing is raised for what a receiver does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from carbonstream.processors import notices_second, notices_text
from carbonstream.processors.notices_delivery import Answer
from carbonstream.processors.notices_robots import BASES, is_robot
from carbonstream.processors.notices_text import Entry
from carbonstream.schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a message goes."""

    id: int
    kind: str  # webhook, mail, service
    address: str
    secrets: tuple[str, ...]  # of a webhook: those that are valid now, the newest first


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: the same at every attempt."""

    id: str
    opened_at: datetime
    language: str
    records: Sequence[Mapping[str, Any]]  # of kind changed; none: a test
    kind: str = "changed"
    content: Mapping[str, Any] | None = None  # of kinds escalated, digest and deadline

    def body(self) -> bytes:
        """JSON for programs."""
        if self.content is not None:
            return orjson.dumps(notices_second.body(self.id, self.opened_at, self.kind, self.content))
        return orjson.dumps(notices_text.body(self.id, self.opened_at, self.records))

    def subject(self) -> str:
        """A line for people."""
        if self.content is not None:
            return notices_second.subject(self.kind, self.content, self.language)
        return notices_text.subject(self.records, self.language)

    def entries(self) -> list[Entry]:
        """All of it for people, by what can be left out."""
        if self.content is not None:
            return notices_second.entries(self.kind, self.content, self.language)
        return notices_text.entries(self.records, self.language)

    def text(self) -> str:
        """All of it for people."""
        return notices_text.text(self.entries())


Send = Callable[[Channel, Message, datetime], Answer]


def sender(settings: Settings, robots: Mapping[str, str] = BASES) -> Send:
    """What sends to any kind of channel. robots: kind of robot -> the service's end point."""

    def send(channel: Channel, message: Message, now: datetime) -> Answer:
        if channel.kind == "webhook":
            from carbonstream.connectors.sinks.notify.webhook import post

            return post(channel, message, now, settings.notify_networks)
        if channel.kind == "mail":
            from carbonstream.connectors.sinks.notify.mail import mail

            return mail(channel, message, now, settings)
        if is_robot(channel.address):
            from carbonstream.connectors.sinks.notify.robots import post_text

            return post_text(channel, message, now, settings.notify_networks, robots)
        from carbonstream.connectors.sinks.notify.services import tell

        return tell(channel, message)

    return send
