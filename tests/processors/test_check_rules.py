"""Checks that a user has added: what they hold to be sound, for whom, and what follows."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from carbonstream.schemas.codes import Check, Decision, Outcome, Quality, RuleTest
from carbonstream.schemas.topics import REF_RULES
from tests.processors.stream import TICK_OF_ALL, Record, Worker, counted
from tests.processors.world import DAILY, KNOWN_IDS, QUARTER_MS, T0, Document, frame

R0, I0, HEAT = KNOWN_IDS[0], KNOWN_IDS[4], KNOWN_IDS[6]


def rule(number: int, test: RuleTest, field: str, **values: Any) -> bytes:
    given: dict[str, Any] = {
        "record": "check", "rule": f"r{number}", "number": number, "version": 1, "carrier": None, "kind": None,
        "meter": None, "test": test, "field": field, "low": None, "high": None, "decision": "question",
    }  # fmt: skip
    return orjson.dumps(given | values)


def judged(rules: list[bytes], *documents: Document) -> list[dict[str, Any]]:
    """The answers under these rules."""
    worker = Worker.start({})
    worker.take(0, TICK_OF_ALL)
    for offset, record in enumerate(rules):
        worker.converter.reference.apply(REF_RULES, offset, record)
    for seq, document in enumerate(documents):
        worker.take(1 + seq, Record(orjson.dumps(document | {"seq": seq, "mode": "backfill"})))
    return [orjson.loads(worker.answers[1 + seq]) for seq in range(len(documents))]


def column(answer: dict[str, Any], name: str) -> list[int]:
    """A column as one entry a reading."""
    values = answer[name]
    return values if isinstance(values, list) else [values] * len(answer["meter"])


def reading(meter: str, quarter: int, value: float, **more: Any) -> Document:
    return {"meter": meter, "end": T0 + quarter * QUARTER_MS, "value": value, **more}


def test_a_value_out_of_range_is_questionable_and_counts() -> None:
    rules = [rule(7, RuleTest.RANGE, "rate", high="100", carrier=1)]
    (answer,) = judged(rules, frame([reading(I0, 1, 25.0), reading(HEAT, 1, 999.0)]))
    assert column(answer, "quality") == [Quality.VALID, Quality.VALID]  # 25 kWh in a quarter are 100 an hour
    (answer,) = judged(rules, frame([reading(I0, 1, 25.1), reading(HEAT, 1, 999.0)]))
    assert column(answer, "quality") == [Quality.QUESTIONABLE, Quality.VALID]
    assert column(answer, "code") == [Outcome.STORED, Outcome.STORED]
    assert answer["findings"] == [
        {
            "row": 0,
            "check": Check.RULE,
            "decision": Decision.QUESTION,
            "of": T0 + QUARTER_MS,
            "size": 7.0,
            "definition": "r7@1",
        }
    ]


def test_a_reading_of_an_interval_meter_can_be_rejected_and_the_ledger_agrees() -> None:
    rules = [rule(1, RuleTest.RANGE, "quantity", low="1", kind="interval", decision="reject")]
    document = frame([reading(I0, 1, 0.5), reading(I0, 2, 1.0), reading(R0, 1, 0.5), reading(R0, 2, 0.6)])
    (answer,) = judged(rules, document)
    assert sorted(column(answer, "code")) == [0, 0, Outcome.BASELINE, Outcome.RULE]
    (reject,) = answer["rejects"]
    assert (reject["code"], reject["meter"], reject["value"]) == (Outcome.RULE, I0, "0.5")
    claimed = sum(q for q, m in zip(answer["quantity"], answer["meter"], strict=True))
    counts, _ = counted([TICK_OF_ALL, Record(orjson.dumps(document | {"mode": "backfill"}))]).take()
    assert sum(c.quantity_wh for c in counts) == claimed
    assert sum(c.readings for c in counts) == 4


def test_the_reading_directly_before_is_the_measure_of_a_comparison() -> None:
    rules = [rule(1, RuleTest.COMPARISON, "rate", low="0.5", high="2", meter=I0)]
    answers = judged(
        rules,
        frame([reading(I0, 1, 10.0)]),  # nothing before it
        frame([reading(I0, 2, 20.0)]),
        frame([reading(I0, 3, 9.9)]),
        frame([reading(I0, 5, 90.0)]),  # not directly behind
    )
    assert [column(a, "quality")[0] for a in answers] == [0, 0, Quality.QUESTIONABLE, 0]


@pytest.mark.parametrize(
    ("test", "field", "bounds", "sound", "broken"),
    [
        (RuleTest.NOT_NULL, "start", {}, {"start": T0}, {}),
        (RuleTest.NOT_NULL, "unit", {}, {"unit": "kWh"}, {}),
        (RuleTest.LENGTH, "interval", {"low": "86400"}, {}, {"start": T0 - QUARTER_MS}),
    ],
)
def test_a_field_must_be_named_and_an_interval_of_its_length(
    test: RuleTest, field: str, bounds: Document, sound: Document, broken: Document
) -> None:
    rules = [rule(1, test, field, **bounds)]
    for more, quality in ((sound, Quality.VALID), (broken, Quality.QUESTIONABLE)):
        (answer,) = judged(rules, frame([reading(DAILY, 1, 1.0, **more)]))
        assert set(column(answer, "quality")) == {quality}


def test_a_rule_switched_off_or_changed_holds_no_longer() -> None:
    low = rule(1, RuleTest.RANGE, "quantity", high="1")
    document = frame([reading(I0, 1, 1.5)])
    for later, quality in (
        (rule(1, RuleTest.RANGE, "quantity", high="1", decision=None), Quality.VALID),
        (rule(1, RuleTest.RANGE, "quantity", high="2", version=2), Quality.VALID),
        (low, Quality.QUESTIONABLE),
    ):
        (answer,) = judged([low, later], document)
        assert column(answer, "quality") == [quality]
