"""First CO2 is exact, whatever the size of quantity and coefficient."""

from __future__ import annotations

import json
from decimal import Context, Decimal
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from carbonstream.processors.checks import judge
from carbonstream.processors.coefficients import Resolved
from carbonstream.processors.emissions import Standing, answer_frame
from carbonstream.processors.frames import Frame, parse_record
from carbonstream.processors.judged import Judged
from carbonstream.processors.meters import ShardState
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.emissions import EmissionsFrame
from carbonstream.schemas.periods import month_of
from tests.processors.world import KNOWN_IDS, LIMITS, NEAR, T0, Document, frame, frames, reference, sound_rows

EXACT = Context(prec=200)
AT = Standing("readings-1", 1, 5, 4, T0, T0)
KNOWN = reference().shard(NEAR)
VALUES = st.one_of(
    st.none(),
    st.decimals(0, 100, places=4),
    st.decimals(0, 10**6, places=30),
    st.sampled_from([Decimal(0), Decimal("1E+3"), Decimal("0.110000000000000007"), Decimal("5E-40")]),
)


def answered(document: Document, factors: dict[int, Decimal | None]) -> tuple[Judged, dict[str, Any]]:
    """The answer where a carrier has this coefficient in every class and month."""

    def resolve(class_: int, carrier: int, month: int) -> Resolved | None:
        value = factors.get(carrier)
        return None if value is None else Resolved(carrier, "CN", month_of("2024-01"), 3, value, "a")

    record = parse_record(orjson.dumps(document), "")
    assert isinstance(record, Frame)
    known = KNOWN.lookup(record.meters)
    judged = judge(record, known, ShardState(), None, LIMITS)
    encoded = answer_frame(record, judged, known, resolve, {1: "electricity"}, AT)
    EmissionsFrame.model_validate_json(encoded)
    return judged, json.loads(encoded)


def column(answer: dict[str, Any], name: str) -> list[Any]:
    value = answer[name]
    return value if isinstance(value, list) else [value] * len(answer["meter"])


QUARTER = frame([{"meter": KNOWN_IDS[4], "end": T0, "value": 10**15, "unit": "Wh"}])


@given(frames() | frames(sound_rows()), st.fixed_dictionaries({1: VALUES, 2: VALUES, 10: VALUES}))
@example(QUARTER, {1: Decimal("0.57032198765432109876")})
@example(QUARTER, {1: Decimal("0.5703")})
def test_co2_is_quantity_times_coefficient_to_the_last_digit(
    document: Document, factors: dict[int, Decimal | None]
) -> None:
    document["shard"] = NEAR
    judged, answer = answered(document, factors)
    carriers = [answer["carriers"][m] for m in answer["meter"]]
    for row, (co2, at) in enumerate(zip(answer["co2"], column(answer, "coefficient"), strict=True)):
        factor = factors.get(carriers[row])
        if judged.code[row] > Outcome.BASELINE or factor is None:
            assert (co2, at) == (None, -1)
            continue
        exact = EXACT.multiply(Decimal(int(judged.quantity[row])).scaleb(-3, EXACT), factor)
        assert EXACT.scaleb(Decimal(co2), answer["co2_exponent"]) == exact
        assert Decimal(answer["coefficients"][at]["value"]) == factor


@given(frames())
def test_every_reading_is_held_or_rejected_or_taken(document: Document) -> None:
    document["shard"] = NEAR
    _, answer = answered(document, {1: Decimal("0.5")})
    codes = column(answer, "code")
    assert [h["row"] for h in answer["held"]] == [
        i for i, c in enumerate(codes) if c == Outcome.UNKNOWN_METER
    ]
    rejects = [(r["row"], r["code"]) for r in answer["rejects"]]
    assert rejects == [(i, c) for i, c in enumerate(codes) if c >= Outcome.DUPLICATE]
