"""The canary without a Carbonstream around it; tests/ledger sees it measure the whole way."""

from __future__ import annotations

import threading

import pytest

from carbonstream.connectors.sources.canary import Canary, push, readings
from carbonstream.schemas.errors import NotReady
from carbonstream.schemas.settings import Settings

from .pushing import free_port

TOKENS = {"one": "canary/http", "another": "http/gw-7"}


@pytest.mark.parametrize(
    "lacking",
    [{"canary_meters": []}, {"push_tokens": {"another": "http/gw-7"}}, {"virtual_time": True}],
    ids=["no meters", "no token", "virtual time"],
)
def test_without_what_it_needs_it_waits_for_its_end_and_sends_nothing(lacking: dict[str, object]) -> None:
    nowhere = {
        "database": "postgresql://nobody@127.0.0.1:1/nothing",
        "http_port": free_port(),
        "metrics_port": 0,
    }
    given = {"canary_meters": ["a/C"], "push_tokens": TOKENS, "log_level": "error", **nowhere, **lacking}
    canary = Canary(Settings.model_validate(given))
    running = threading.Thread(target=canary.run)
    running.start()
    assert running.is_alive()
    canary.stop()
    running.join(10)
    assert not running.is_alive()


def test_it_reports_as_sources_of_its_own_only() -> None:
    assert Canary(Settings(push_tokens=TOKENS)).tokens == {"canary/http": "one"}


def test_each_meter_reports_one_watt_hour_that_ends_now() -> None:
    assert readings(["a/C", "b/C"], 77) == [
        {"meter": "a/C", "end": 77, "value": 1, "unit": "Wh"},
        {"meter": "b/C", "end": 77, "value": 1, "unit": "Wh"},
    ]


def test_a_source_that_does_not_answer_is_named() -> None:
    port = free_port()
    with pytest.raises(NotReady, match=f"127.0.0.1:{port}"):
        push(Settings(http_port=port), "one", readings(["a/C"], 77))
