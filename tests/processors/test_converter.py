"""One partition of convert, killed at any moment and started again from what it had written."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import orjson
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from carbonstream.processors.converter import Converter
from carbonstream.processors.meters import BLOCK
from carbonstream.processors.register_history import Exchange
from carbonstream.schemas.codes import Check
from carbonstream.schemas.emissions import EmissionsFrame
from carbonstream.schemas.frames import TYPE_TICK
from carbonstream.schemas.periods import DAY_MS, HOUR_MS
from carbonstream.schemas.shards import SHARDS
from carbonstream.schemas.topics import REF_RULES
from tests.processors.stream import FIRST, PARTITION, TICK_OF_ALL, Record, Worker, streams
from tests.processors.world import BY_ID, HOURLY, KNOWN_IDS, METERS, QUARTER_MS, T0, frame


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


@settings(max_examples=settings().max_examples // 3)  # each converts a stream several times
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


def month_of_hours(seed: int, days: int, changes: dict[int, int]) -> list[Record]:
    """An hourly meter and a register of a quiet works, in the end ten times as high, then frozen.

    changes: day -> how many records of ref.rules are in force from its morning on.
    """
    chance = np.random.default_rng(seed)

    def tick(rules: int) -> Record:
        named = {"tick": PARTITION, "time": T0 + days * DAY_MS, "reference": FIRST | {REF_RULES: rules}}
        return Record(orjson.dumps(named), TYPE_TICK)

    records = [tick(0)]
    index = 0.0
    for hour in range(days * 24):
        if hour // 24 in changes and hour % 24 == 7:
            records.append(tick(changes[hour // 24]))
        value = round(50 + 30 * ((hour + 9) % 24 > 12) + float(chance.normal(0, 3)), 2)
        index += value
        late = hour >= (days - 2) * 24
        told = value * 10 if late else value
        if hour >= days * 24 - 12:
            told = 77.0
        end = T0 + (hour + 1) * HOUR_MS
        rows = [
            {"meter": HOURLY, "start": end - HOUR_MS, "end": end, "value": told},
            {"meter": METERS[0].meter_id, "start": None, "end": end, "value": round(index, 2)},
        ]
        document = frame(rows) | {"mode": "backfill", "seq": hour}
        records.append(Record(orjson.dumps(document)))
    return records


def habits_of(converter: Converter) -> dict[int, list[bytes]]:
    """By field: between them lies what was in memory before."""
    return {
        shard: [
            *(habits.recent[name][SLOTS].tobytes() for name in habits.recent.dtype.names or ()),
            *(habits.profile[name][SLOTS].tobytes() for name in habits.profile.dtype.names or ()),
            habits.habit[SLOTS].tobytes(),
        ]
        for shard, habits in converter.habits.items()
    }  # fmt: skip


@cache
def undisturbed_hours() -> tuple[list[Record], Worker]:
    stream, worker = month_of_hours(seed=1, days=18, changes={4: 1, 16: 2}), Worker.start({})
    for offset, record in enumerate(stream):
        worker.take(offset, record)
    return stream, worker


SHARES = st.floats(0, 1)
SLOTS = [*range(8), BY_ID[HOURLY].number // SHARDS]


@settings(max_examples=8, deadline=None, phases=(Phase.reuse, Phase.generate))
@given(st.lists(st.tuples(st.integers(1, 300), SHARES, SHARES, SHARES), max_size=4))
def test_habits_survive_a_kill_anywhere(kills: list[tuple[int, float, float, float]]) -> None:
    """kills: frames before it, share of a checkpoint then written (1: all), and where the next worker begins."""
    stream, undisturbed = undisturbed_hours()
    told = [orjson.loads(a)["findings"] for a in undisturbed.answers.values()]
    assert {f["check"] for findings in told for f in findings} >= {Check.UNIT_TENFOLD, Check.FROZEN}
    assert {f["definition"] for findings in told for f in findings} == {"hourly@1", "hourly@2"}
    state: dict[bytes, bytes] = {}
    worker, offset, acked, answered, confirmed = Worker.start(state), 0, 0, -1, -1
    for frames_before, written_share, begin, sure in [*kills, (len(stream), 1.0, 1.0, 1.0)]:
        for at in range(offset, min(offset + frames_before, len(stream))):
            worker.take(at, stream[at], answer=at > answered)
            answered, offset = max(answered, at), at + 1
        written = worker.checkpoint()
        kept = round(written_share * len(written))
        state |= {block.key: block.value for block in written[:kept]}
        acked = offset if kept == len(written) else acked
        confirmed = answered if kept else confirmed  # nothing is written before its answers are sure
        assert worker.answers.items() <= undisturbed.answers.items()
        finished = worker
        worker, offset = Worker.start(state), round(begin * acked)
        answered = round(confirmed + sure * (answered - confirmed))
    assert habits_of(finished.converter) == habits_of(undisturbed.converter)


def test_a_register_that_falls_is_held_until_the_next_index_tells() -> None:
    register, modulus = METERS[0].meter_id, METERS[1].meter_id
    worker = Worker.start({})
    worker.take(0, TICK_OF_ALL)

    def told(seq: int, quarter: int, meter: str, value: float) -> list[tuple[int, int]]:
        rows = [{"meter": meter, "end": T0 + quarter * QUARTER_MS, "value": value}]
        worker.take(1 + seq, Record(orjson.dumps(frame(rows) | {"seq": seq, "mode": "backfill"})))
        found = orjson.loads(worker.answers[1 + seq])["findings"]
        return [(f["check"], (f["of"] - T0) // QUARTER_MS) for f in found]

    assert [told(seq, 1 + seq, register, value) for seq, value in enumerate((500, 510, 0, 520))] == [
        [],
        [],
        [(Check.REGISTER_RESET, 3)],  # held
        [(Check.MOMENTARY_ZERO, 3)],
    ]
    assert [told(4 + seq, 5 + seq, register, value) for seq, value in enumerate((3, 9))] == [
        [(Check.REGISTER_RESET, 5)],
        [(Check.REGISTER_RESET, 5)],  # it goes on from there: began anew
    ]
    assert told(6, 1, modulus, 9_990) == []
    assert told(7, 2, modulus, 15) == [(Check.REGISTER_ROLLOVER, 2)]


def test_nothing_is_told_of_a_register_whose_exchange_was_recorded() -> None:
    register = METERS[0]
    worker = Worker.start({})
    worker.take(0, TICK_OF_ALL)
    for seq, value in enumerate((500, 510, 0, 3, 5)):
        rows = [{"meter": register.meter_id, "end": T0 + seq * QUARTER_MS, "value": value}]
        worker.take(1 + seq, Record(orjson.dumps(frame(rows) | {"seq": seq, "mode": "backfill"})))
    recorded = replace(register, exchanges=(Exchange(T0 + QUARTER_MS, 510_000, 0, None),))
    worker.converter.reference.shard(recorded.number % 64).put(recorded)
    rows = [{"meter": register.meter_id, "end": T0 + 5 * QUARTER_MS, "value": 8}]
    worker.take(6, Record(orjson.dumps(frame(rows) | {"seq": 5, "mode": "backfill"})))
    answer = orjson.loads(worker.answers[6])
    assert (answer["quantity"], answer["findings"]) == ([8_000], [])


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
