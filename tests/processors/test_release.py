"""A held reading sent again moves from held once, however often and in whatever company it comes."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.ledger import Count
from carbonstream.processors.release import Origin, release_of
from carbonstream.schemas.codes import Outcome
from carbonstream.schemas.frames import TYPE_TICK
from carbonstream.schemas.periods import HOUR_MS
from tests.processors.stream import LAYOUT, LOGS, Record, counted
from tests.processors.table import Table, by_day
from tests.processors.test_ledger import answers
from tests.processors.world import KNOWN_IDS, METERS, PARTITION, T0, Document, directory, frame, sound_rows

DIRECTORY = directory()
NEAR_IDS = KNOWN_IDS[:6]
NOT_YET = Record(
    orjson.dumps({"tick": PARTITION, "time": T0 + 4 * HOUR_MS, "reference": {"ref.meters": 0}}), TYPE_TICK
)
REGISTERED = Record(
    orjson.dumps({"tick": PARTITION, "time": T0 + 4 * HOUR_MS,
                  "reference": {t: len(log) for t, log in LOGS.items()} | {"ref.meters": len(METERS)}}),
    TYPE_TICK,
)  # fmt: skip


def released(held: list[tuple[int, dict[str, Any]]], seq: int) -> Record:
    """A frame that sends these held readings again: (offset, entry of `held`)."""
    document = frame(
        [{"meter": h["meter"], "end": h["end"], "value": h["value"]} for _, h in held],
        source="release/held", seq=seq, mode="backfill", release_source="http/gw-7",
        release_of=[{"topic": LAYOUT.readings_topic, "partition": PARTITION, "offset": at, "row": h["row"]}
                    for at, h in held],
    )  # fmt: skip
    return Record(orjson.dumps(document))


@st.composite
def releases(draw: st.DrawFn) -> tuple[list[Record], bool]:
    """Readings of meters not registered, registered then, some sent again some times; whether all were, and taken."""
    rows = draw(st.lists(st.lists(near_rows(), min_size=1, max_size=5), min_size=1, max_size=4))
    sent = [Record(orjson.dumps(frame(each, seq=n, source="http/gw-7"))) for n, each in enumerate(rows)]
    stream = [NOT_YET, *sent]
    held = [
        (at, h) for at, answer in enumerate(answers(stream)) for h in answer["held"]
    ]  # fmt: skip
    seq = 0
    if held and draw(st.booleans()):
        stream.append(released(held, seq))  # too early: nothing moves
        seq += 1
    stream.append(REGISTERED)
    for _ in range(draw(st.integers(0, 3))):
        some = draw(st.lists(st.sampled_from(held), min_size=1, max_size=8)) if held else []
        stream.append(released(some, draw(st.sampled_from([seq, seq, 0]))))
        seq += 1
        if draw(st.booleans()):
            more = draw(st.lists(near_rows(), max_size=4))
            stream.append(Record(orjson.dumps(frame(more, seq=100 + seq, source="http/gw-7"))))
    every = draw(st.booleans())
    if every and held:
        stream.append(released(held, seq + 1))
    return stream, every


@st.composite
def near_rows(draw: st.DrawFn) -> Document:
    return draw(sound_rows()) | {"meter": draw(st.sampled_from(NEAR_IDS))}


@given(releases(), st.data())
def test_both_hops_agree_and_nothing_is_counted_twice(
    given_stream: tuple[list[Record], bool], data: st.DataObject
) -> None:
    stream, every = given_stream
    table = Table(DIRECTORY)
    frames = answers(stream)
    while frames:
        size = data.draw(st.integers(1, len(frames)))
        table.store(frames[:size])
        frames = frames[size:]
    outcome = [Count(*line, n, wh) for line, (n, wh) in table.ledger.items()]
    accepted = counted(stream).take()[0]
    assert by_day(accepted) == by_day(outcome)
    assert by_day(Count(*line, n, 0) for line, n in table.converted.items()) == by_day(
        Count(c.source, c.site, c.day, c.outcome, c.readings, 0) for c in accepted
    )
    assert all(source != "release/held" for source, *_ in table.ledger)
    held = sum(n for (*_, code), (n, _) in table.ledger.items() if code == Outcome.UNKNOWN_METER)
    kept = sum(len(answer["held"]) for answer in answers(stream) if "release_of" not in answer)
    assert held == kept - len(table.released)
    assert held == 0 or not every


def test_a_release_cut_off_and_sent_again_by_another_counts_once_in_the_ledgers_own_hop() -> None:
    stream = [NOT_YET, Record(orjson.dumps(frame([row(1), row(2)], seq=0, source="http/gw-7")))]
    held = [(1, h) for h in answers(stream)[1]["held"]]
    stream += [REGISTERED, released(held[:1], 0)]
    first = counted(stream)
    second = counted([released(held, 1)], first)  # which knows what was released, as by the ledger's table
    lines = by_day(first.take()[0] + second.take()[0])
    assert [n for n, _ in lines.values()] == [2]
    assert sum(wh for _, wh in lines.values()) == 2 * 3_000


def row(quarter: int) -> Document:
    return {"meter": KNOWN_IDS[4], "end": T0 + quarter * 900_000, "value": 3}


def test_a_release_that_is_not_sound_is_an_ordinary_frame() -> None:
    origin = {"topic": "t", "partition": 1, "offset": 5, "row": 0}
    assert release_of({"release_source": "a", "release_of": [origin]}, 1) is not None
    assert release_of({"release_source": "a", "release_of": [origin]}, 2) is None
    assert release_of({"release_source": "", "release_of": [origin]}, 1) is None
    assert release_of({"release_source": "a", "release_of": [origin | {"row": -1}]}, 1) is None
    assert release_of({"release_source": "a", "release_of": [origin | {"offset": True}]}, 1) is None
    assert release_of({"release_of": [origin]}, 1) is None
    found = release_of({"release_source": "a", "release_of": [origin]}, 1)
    assert found is not None
    assert found.origins == [Origin("t", 1, 5, 0)]
