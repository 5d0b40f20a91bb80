"""Notices by mail: one message a notice, its Message-ID the notice's id, to the mail server of the setting smtp."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote, urlsplit

from carbonstream.connectors.sinks.notify.sending import Channel, Message
from carbonstream.processors.notices_delivery import Answer, Outcome
from carbonstream.schemas.settings import Settings

TIMEOUT_S: Final = 15.0


def mail(channel: Channel, message: Message, now: datetime, settings: Settings) -> Answer:
    """One attempt; never raises for what the mail server does."""
    if not settings.smtp:
        return Answer(Outcome.FAILED, None, "no mail server: the setting smtp is empty")
    to = channel.address.removeprefix("mailto:")
    try:
        _send(compose(message, to, settings.smtp_from, now), settings.smtp)
    except smtplib.SMTPRecipientsRefused as error:
        code, _ = error.recipients[to]
        outcome = Outcome.REFUSED if code >= 500 else Outcome.FAILED
        return Answer(outcome, code, "the mailbox is refused")
    except smtplib.SMTPResponseException as error:
        return Answer(Outcome.FAILED, error.smtp_code, type(error).__name__)
    except (OSError, smtplib.SMTPException) as error:
        return Answer(Outcome.FAILED, None, f"{type(error).__name__}: {error}"[:200])
    return Answer(Outcome.ACCEPTED, 250, "")


def compose(message: Message, to: str, sender: str, now: datetime) -> EmailMessage:
    """The message; it says that it was sent by a program, so that no absence answers it (RFC 3834)."""
    composed = EmailMessage()
    composed["From"] = sender
    composed["To"] = to
    composed["Subject"] = message.subject()
    composed["Date"] = format_datetime(now)
    composed["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2]}>"
    composed["Auto-Submitted"] = "auto-generated"
    composed.set_content(message.text())
    return composed


def _send(message: EmailMessage, server: str) -> None:
    parts = urlsplit(server)
    host = parts.hostname or ""
    context = ssl.create_default_context()
    client: smtplib.SMTP
    if parts.scheme == "smtps":
        client = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=context)
    else:
        client = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT_S)
    try:
        client.ehlo()
        if parts.scheme != "smtps" and client.has_extn("starttls"):
            client.starttls(context=context)
            client.ehlo()
        elif parts.scheme != "smtps" and parts.username:
            raise smtplib.SMTPNotSupportedError("the server offers no TLS: the password is not sent")
        if parts.username:
            client.login(unquote(parts.username), unquote(parts.password or ""))
        client.send_message(message)
        with contextlib.suppress(OSError, smtplib.SMTPException):  # it has been taken
            client.quit()
    finally:
        client.close()
