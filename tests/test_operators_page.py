"""docs/operators.md says what the code does: its states, its commands, its reasons, its figures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import prometheus_client

from carbonstream.ops.warnings_command import app
from carbonstream.processors.alarm_commands import Kind, Order, Refusal
from carbonstream.processors.alarm_desk import Card, Desk, Outcome
from carbonstream.processors.alarm_states import Condition, OperatorState
from carbonstream.schemas.operator import Command
from carbonstream.streams import warn_health

PAGE = (Path(__file__).parent.parent / "docs" / "operators.md").read_text(encoding="utf-8")
EXAMPLES = [
    json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
]


def test_every_state_stands_in_the_diagram_and_every_arrow_is_walked() -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", PAGE, flags=re.DOTALL)
    assert all(state.value in diagram for state in OperatorState)
    walked = set()
    desk = Desk(0, [])
    desk.put(Card("w", "site:a", "pace", 2, 2))
    for step in (True, "ack", False, True, False, True, "ack", False, True, False, "ack"):
        if isinstance(step, bool):
            desk.condition("w", Condition(desk.cards["w"].standing.version + 1, step, 0))
        else:
            assert desk.order("w", Order(Kind.ACKNOWLEDGE, "Li Na"), "c").outcome is Outcome.APPLIED
        written = desk.written[-1]
        walked.add((written.from_state.value, written.card.state.value))
    drawn = {
        (a.replace("_", "-"), b.replace("_", "-"))
        for a, b in re.findall(r"^  (\w+) --> (\w+):", diagram, flags=re.MULTILINE)
        if "inhibited" not in (a, b)
    }
    assert walked == drawn


def test_every_example_is_a_command() -> None:
    assert len(EXAMPLES) == 5
    for example in EXAMPLES:
        Command.model_validate(example | {"id": "c1", "at": "2026-11-02T12:00:00+08:00"})


def test_every_kind_and_every_reason_is_named() -> None:
    kinds = Command.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]
    assert all(f"`{kind}`" in PAGE for kind in kinds)
    assert all(f"`{refusal.value}`" in PAGE for refusal in Refusal)


def test_every_command_of_the_line_is_named() -> None:
    names = {c.name or (c.callback.__name__ if c.callback else "") for c in app.registered_commands}
    (line,) = re.findall(r"On the command line: (.*?), each with", PAGE, flags=re.DOTALL)
    assert set(re.findall(r"`(?:carbonstream warnings )?([a-z]+)`", line)) == names


def test_every_metric_named_is_told() -> None:
    assert warn_health.EVERY_S > 0
    told = {metric.name for metric in prometheus_client.REGISTRY.collect()}
    named = set(re.findall(r"`(carbonstream_[a-z_]+)`", PAGE))
    assert len(named) == 6
    assert {name.removesuffix("_total") for name in named} <= told
