"""One partition of convert, killed at any moment and started again from what it had written."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from carbonstream.processors.converter import Converter
from carbonstream.processors.meters import BLOCK
from carbonstream.schemas.emissions import EmissionsFrame
from tests.processors.stream import Record, Worker, streams
from tests.processors.world import KNOWN_IDS, QUARTER_MS, T0, frame


def blocks(converter: Converter) -> dict[tuple[int, int], bytes]:
    """The state, block by block; blocks nobody has touched left out."""
    found = {
        (shard, number): state.block(number)
        for shard, state in converter.shards.items()
        for number in range(len(state.newest) // BLOCK)
    }
    return {key: packed for key, packed in found.items() if packed.strip(b"\xff")}


@given(streams())
def test_every_record_gives_one_answer_that_follows_the_one_before(stream: list[Record]) -> None:
    worker, previous = Worker.start({}), -1
    for offset, record in enumerate(stream):
        worker.take(offset, record)
        answer = EmissionsFrame.model_validate_json(worker.answers[offset])
        assert (answer.origin.offset, answer.origin.previous) == (offset, previous)
        previous = offset


@given(streams(), st.data())
def test_killed_anywhere_and_started_again_it_gives_the_same_answers_and_state(
    stream: list[Record], data: st.DataObject
) -> None:
    undisturbed = Worker.start({})
    for offset, record in enumerate(stream):
        undisturbed.take(offset, record)
    state: dict[bytes, bytes] = {}
    worker, offset = Worker.start(state), 0
    acked, sure, answered = 0, -1, -1  # a checkpoint is written once the answers before it are sure
    while offset < len(stream):
        worker.take(offset, stream[offset], answer=offset > answered)
        answered, offset = max(answered, offset), offset + 1
        fate = data.draw(
            st.sampled_from(["go on", "go on", "checkpoint", "killed", "killed in a checkpoint"])
        )
        if "checkpoint" in fate:
            written = worker.checkpoint()
            sure = answered
            kept = data.draw(st.integers(0, len(written) - 1)) if "killed" in fate else len(written)
            state |= {block.key: block.value for block in written[:kept]}
            acked = offset if kept == len(written) else acked
        if "killed" in fate:
            for at, answer in worker.answers.items():
                assert answer == undisturbed.answers[at]
            worker, offset = Worker.start(state), data.draw(st.integers(0, acked))
            answered = data.draw(st.integers(sure, answered))
    for at, answer in worker.answers.items():
        assert answer == undisturbed.answers[at]
    assert blocks(worker.converter) == blocks(undisturbed.converter)
    assert worker.checkpoint()[-1] == undisturbed.checkpoint()[-1]


def test_an_answer_fits_into_its_topic_whatever_the_record_holds() -> None:
    junk = "\x01" * 200
    rows = [
        {"meter": f"{i}{junk}"[:200], "end": {"\x80" * 300: 1}, "value": junk, "unit": junk}
        for i in range(500)
    ]
    worker = Worker.start({})
    for offset, document in enumerate([frame(rows), frame(rows) | {"mode": "\x80" * 900_000}]):
        record = orjson.dumps(document)
        assert len(record) < 4 << 20
        worker.take(offset, Record(record))
        assert len(worker.answers[offset]) < 4 << 20


def test_readings_recovered_are_not_counted_a_second_time() -> None:
    rows = [{"meter": KNOWN_IDS[0], "end": T0 + i * QUARTER_MS, "value": i} for i in range(3)]
    worker = Worker.start({})
    for offset in range(3):  # unknown meters, then twice a known number
        worker.take(offset, Record(orjson.dumps(frame(rows))), answer=False)
    worker.take(3, Record(b"["), answer=False)
    assert not worker.converter.outcomes.any()
