"""Mail to a real server: what arrives, and what is dead at once."""

from __future__ import annotations

import socket
from email import message_from_bytes, policy
from typing import Any

import psycopg
from aiosmtpd.controller import Controller

from carbonstream.connectors.sinks.notify import subscriptions
from carbonstream.connectors.sinks.notify.sending import sender
from carbonstream.schemas.settings import Settings

from .changes import Clock, change, delivered, enqueued, subscribed

Connection = psycopg.Connection[Any]


class Mailboxes:
    """What a mail server's users get; one mailbox does not exist."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        self.taken.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


def test_mail_arrives_and_an_unknown_mailbox_is_dead_at_once(
    connection: Connection, database: Settings
) -> None:
    clock, boxes = Clock(), Mailboxes()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(boxes, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        config = database.model_copy(
            update={"smtp": f"smtp://127.0.0.1:{port}", "smtp_from": "carbon@park.example"}
        )
        subscribed(connection, "mailto:energy@a.example", "mailto:nobody@a.example")
        enqueued(connection, clock, change())
        delivered(connection, sender(config), clock)
    finally:
        controller.stop()
    (mail,) = boxes.taken
    (dead,) = subscriptions.dead(connection)
    assert mail["Message-ID"] == f"<{dead['notice']}@park.example>"
    assert mail["To"] == "energy@a.example"
    assert "site:a-1" in mail["Subject"]
    assert "812.5 kg" in mail.get_content()
    assert (dead["address"], dead["reason"]) == ("mailto:n***@a.example", "the mailbox is refused")
