"""The services by apprise are those whose host no subscriber can choose."""

from __future__ import annotations

import apprise
import pytest

from carbonstream.connectors.sinks.notify.sending import Channel, Message
from carbonstream.connectors.sinks.notify.services import tell
from carbonstream.processors.notices_addresses import SERVICES
from carbonstream.processors.notices_delivery import Outcome

from .changes import START, change


@pytest.mark.parametrize("scheme", sorted(SERVICES))
def test_no_address_of_a_service_names_a_host(scheme: str) -> None:
    (known,) = [
        service
        for service in apprise.Apprise().details()["schemas"]
        if scheme in (*(service["secure_protocols"] or ()), *(service["protocols"] or ()))
    ]
    assert known["details"]["templates"]
    assert not [template for template in known["details"]["templates"] if "{host}" in template]


def test_an_address_that_apprise_does_not_understand_is_refused() -> None:
    message = Message("ntc_1", START, "zh", [change().record])
    assert tell(Channel(1, "service", "twilio://", ()), message).outcome is Outcome.REFUSED
