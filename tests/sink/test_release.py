"""Held readings released into the database: rows, ledger and table held, whatever the batches."""

from __future__ import annotations

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbonstream.schemas.codes import Outcome
from tests.processors.stream import Record
from tests.processors.table import Table
from tests.processors.test_ledger import answers, cut
from tests.processors.test_release import NOT_YET, REGISTERED, released, releases, row
from tests.processors.world import KNOWN_IDS, frame
from tests.sink.plant import Sink, assume_short


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(releases(), st.data())
def test_any_cut_into_batches_releases_the_same(
    sink: Sink, given_stream: tuple[list[Record], bool], data: st.DataObject
) -> None:
    stream, _ = given_stream
    frames = assume_short(answers(stream))
    sink.empty()
    expected = Table(sink.directory)
    for batch in cut(data, frames):
        if data.draw(st.booleans()):
            sink.restart()
        sink.write(batch)
        expected.store(batch)
    assert sink.rows() == [line[:7] for line in expected.stored_rows()]
    assert sink.totals() == expected.sums()
    assert sink.ledger() == expected.lines()
    held = sink.all("select count(*), count(released_at) from held")
    assert held == [(sum(len(a["held"]) for a in frames if "release_of" not in a), len(expected.released))]


def test_a_second_copy_does_not_undo_a_correction_that_came_between(sink: Sink) -> None:
    sent = Record(frame_of([row(1)], 0))
    held = [(1, h) for h in answers([NOT_YET, sent])[1]["held"]]
    later = Record(frame_of([row(1) | {"value": 7}], 5))
    sink.write(answers([NOT_YET, sent, REGISTERED, released(held, 0), later, released(held, 1)]))
    assert [line[3] for line in sink.rows()] == [7_000]
    assert sink.outcomes() == {"stored": (1, 7_000), "superseded": (1, 3_000)}


def test_what_is_rejected_when_released_is_kept_as_a_reject_of_its_own_source(sink: Sink) -> None:
    sent = Record(frame_of([row(1) | {"value": -4}], 0))
    held = [(1, h) for h in answers([NOT_YET, sent])[1]["held"]]
    sink.write(answers([NOT_YET, sent, REGISTERED, released(held, 0), released(held, 1)]))
    assert sink.all("select source, source_offset, row, code, value from reject") == [
        ("http/gw-7", 3, 0, int(Outcome.NEGATIVE), "-4.0")
    ]
    assert sink.all("select outcome from held where released_at is not null") == [(int(Outcome.NEGATIVE),)]
    assert sink.outcomes() == {"negative": (1, 0)}


def test_a_release_of_what_kafka_no_longer_holds_is_taken_once(sink: Sink) -> None:
    entry = {"row": 3, "meter": KNOWN_IDS[4], "end": row(1)["end"], "value": 3}
    sink.write(answers([REGISTERED, released([(70, entry)], 0), released([(70, entry)], 1)]))
    assert [line[3] for line in sink.rows()] == [3_000]
    assert sink.outcomes() == {"stored": (1, 3_000), "unknown_meter": (-1, 0)}


def frame_of(rows: list[dict[str, object]], seq: int) -> bytes:
    return orjson.dumps(frame(rows, seq=seq, source="http/gw-7"))
