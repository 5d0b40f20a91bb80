"""Notices by the services of processors.notices_addresses.SERVICES that are no robots, through the library apprise."""

from __future__ import annotations

from carbonstream.connectors.sinks.notify.sending import Channel, Message
from carbonstream.processors.notices_delivery import Answer, Outcome


def tell(channel: Channel, message: Message) -> Answer:
    """One attempt; apprise says only whether it succeeded."""
    import apprise  # takes a second, and few installations use it

    asset = apprise.AppriseAsset(http_redirects=False)
    service = apprise.Apprise.instantiate(channel.address, asset=asset)
    if service is None:
        return Answer(Outcome.REFUSED, None, "apprise does not understand the address")
    if service.notify(body=f"{message.text()}\n{message.id}", title=message.subject()):
        return Answer(Outcome.ACCEPTED, None, "")
    return Answer(Outcome.FAILED, None, "the service did not take it")
