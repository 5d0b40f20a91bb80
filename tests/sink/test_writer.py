"""What the sink's one transaction stores, by each of its paths."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carbonstream.connectors.sinks.timescale.tables import write_ledger
from carbonstream.schemas.codes import Check, Decision, Outcome
from carbonstream.schemas.settings import Settings
from tests.processors.stream import LOGS, Record, Worker, counted, streams
from tests.processors.table import Table, totals_of_rows
from tests.processors.test_ledger import answers, cut
from tests.processors.world import BY_ID, NEAR, PARTITION, QUARTER_MS, SITES, T0, Document
from tests.sink.plant import I0, I1, R0, TICK, Sink, Source, assume_short, reading


def quantities(sink: Sink) -> list[int]:
    return [row[3] for row in sink.rows()]


def estimated(source: Source, *readings: Document, quality: int = 9) -> dict[str, Any]:
    """What the estimator sends."""
    return source.send(*readings, mode="estimate", source="estimator", quality=quality)


def test_new_rows_go_the_fast_path_and_the_position_with_them(sink: Sink) -> None:
    source = Source()
    assert sink.write([source.tick, source.send(reading(I0, 1, 2), reading(R0, 1, 5))]) == "fast"
    assert sink.write([source.send(reading(I0, 2, 3), reading(R0, 2, 7))]) == "fast"
    assert sorted(quantities(sink)) == [0, 2_000, 2_000, 3_000]
    assert sink.outcomes() == {"stored": (3, 7_000), "baseline": (1, 0)}
    position = sink.all("select partition, source_offset, tick_ms, reference->'ref.meters' from position")
    assert position == [(PARTITION, 2, source.tick["tick"], source.tick["reference"]["ref.meters"])]


def test_rows_before_the_newest_go_the_staged_path(sink: Sink) -> None:
    source = Source()
    assert sink.write([source.tick, source.send(reading(I0, 5, 2))]) == "fast"
    assert sink.write([source.send(reading(I0, 3, 4))]) == "staged"
    assert sorted(quantities(sink)) == [2_000, 4_000]


def test_a_session_that_does_not_know_what_is_stored_falls_back(sink: Sink) -> None:
    source = Source()
    sink.write([source.tick, source.send(reading(I0, 1, 2), reading(I0, 2, 3))])
    sink.restart()
    assert sink.write([source.send(reading(I0, 1, 2), reading(I0, 3, 4))]) == "merged"
    assert sorted(quantities(sink)) == [2_000, 3_000, 4_000]
    assert sink.outcomes() == {"stored": (3, 9_000), "duplicate": (1, 2_000)}


def test_a_later_reading_replaces_the_stored_one_and_says_so(sink: Sink) -> None:
    source = Source()
    sink.write([source.tick, source.send(reading(I0, 1, 2), reading(I0, 2, 3))])
    marks = len(sink.all("select from change_mark"))
    before = sink.totals()
    assert sink.write([source.send(reading(I0, 1, 5))]) == "merged"
    assert sorted(quantities(sink)) == [3_000, 5_000]
    assert sink.outcomes() == {"stored": (2, 8_000), "superseded": (1, 2_000)}
    assert sink.all("select old_quantity, new_quantity, source_offset from correction") == [(2_000, 5_000, 2)]
    assert {(n, q - before[key][1]) for key, (n, q, _) in sink.totals().items()} == {(2, 3_000)}
    assert len(sink.all("select from change_mark")) == marks + 1


def test_repeats_within_a_batch_are_decided_in_order(sink: Sink) -> None:
    source = Source()
    answers = [source.tick, *(source.send(reading(I0, 1, value)) for value in (2, 3, 3, 2))]
    assert sink.write(answers) == "staged"
    assert quantities(sink) == [2_000]
    # the third is known to convert already
    assert sink.outcomes() == {"stored": (1, 2_000), "duplicate": (1, 3_000), "superseded": (2, 5_000)}
    assert sink.all("select from correction") == []


def by_source(sink: Sink) -> dict[tuple[str, str], int]:
    """Readings by source and outcome."""
    return {
        (source, Outcome(outcome).name.lower()): n
        for (source, _, _, outcome), (n, _) in sorted(sink.ledger().items())
        if n
    }


@pytest.mark.parametrize("quality", [8, 9])
@pytest.mark.parametrize("at_once", [True, False])
def test_an_estimate_never_beats_a_measurement(sink: Sink, quality: int, at_once: bool) -> None:
    source = Source()
    batches = [
        [source.tick, source.send(reading(I0, 1, 2))],
        [estimated(source, reading(I0, 1, 7), quality=quality)],
    ]
    for batch in [batches[0] + batches[1]] if at_once else batches:
        sink.write(batch)
    assert quantities(sink) == [2_000]
    assert sink.outcomes() == {"stored": (1, 2_000), "superseded": (1, 7_000)}
    assert {total for *_, total in sink.totals().values()} == {0}
    assert by_source(sink) == {("http/gw-7", "stored"): 1, ("estimator", "superseded"): 1}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_measurement_beats_an_estimate(sink: Sink, at_once: bool) -> None:
    source = Source()
    batches = [[source.tick, estimated(source, reading(I0, 1, 7))], [source.send(reading(I0, 1, 2))]]
    for batch in [batches[0] + batches[1]] if at_once else batches:
        sink.write(batch)
    assert quantities(sink) == [2_000]
    assert set(sink.totals().values()) == {(1, 2_000, 0)}
    assert sink.outcomes() == {"stored": (1, 2_000), "superseded": (1, 7_000)}
    assert by_source(sink) == {("http/gw-7", "stored"): 1, ("estimator", "superseded"): 1}
    corrections = sink.all("select old_quantity, old_quality, new_quantity, new_quality from correction")
    assert corrections == ([] if at_once else [(7_000, 9, 2_000, 0)])


def test_an_estimate_that_is_repeated_changes_nothing_and_a_better_one_replaces_it(sink: Sink) -> None:
    source = Source()
    sink.write([source.tick, estimated(source, reading(I0, 1, 7))])
    sink.write([estimated(source, reading(I0, 1, 7))])
    assert by_source(sink) == {("estimator", "stored"): 1, ("estimator", "duplicate"): 1}
    sink.write([estimated(source, reading(I0, 1, 6), quality=8)])
    assert [(row[3], row[5]) for row in sink.rows()] == [(6_000, 8)]
    assert set(sink.totals().values()) == {(0, 6_000, 6_000)}
    assert by_source(sink)[("estimator", "superseded")] == 1


def test_an_estimate_is_told_apart_in_the_totals(sink: Sink) -> None:
    source = Source()
    sink.write([source.tick, source.send(reading(I0, 1, 7)), estimated(source, reading(I0, 2, 1))])
    assert set(sink.totals().values()) == {(1, 8_000, 1_000)}  # an estimate is no reading


def test_readings_closer_together_than_a_meters_interval_count_once_an_interval(sink: Sink) -> None:
    source = Source()
    step = QUARTER_MS // 3
    thirds = [reading(I0, k / 3, 1, start=T0 + (k - 1) * step) for k in range(1, 7)]
    sink.write([source.tick, source.send(*thirds)])
    assert quantities(sink) == [1_000] * 6
    assert set(sink.totals().values()) == {(2, 6_000, 0)}
    # one that is replaced takes away what it had counted
    sink.write([source.send(*(reading(I0, k / 3, 2, start=T0 + (k - 1) * step) for k in (1, 2, 3)))])
    assert set(sink.totals().values()) == {(2, 9_000, 0)}


def test_readings_not_taken_are_kept_as_they_came(sink: Sink) -> None:
    source = Source()
    answer = source.send(
        reading(f"{SITES[NEAR]}/U0", 1, 2.5, unit="MWh"),
        reading(I0, 1, "n\0n", unit="k\0Wh"),
        reading(I1, 2, -1),
    )
    broken = source._pass(Record(b'{"source":"http/gw-7","end":[1,2]}'))
    sink.write([source.tick, answer, broken])
    assert sink.all("select source_offset, row, meter_id, start_ms, end_ms, value, unit from held") == [
        (
            1,
            0,
            f"{SITES[NEAR]}/U0",
            None,
            answer["end"][0] if isinstance(answer["end"], list) else answer["end"],
            2.5,
            "MWh",
        )
    ]
    rejects = sink.all("select source_offset, row, code, value, unit, payload from reject order by 1, 2")
    assert rejects == [
        (1, 1, 21, "n\ufffdn", "k\ufffdWh", None),
        (1, 2, 23, "-1", None, None),
        (2, -1, 42, None, None, b'{"source":"http/gw-7","end":[1,2]}'),
    ]
    assert sum(n for n, _ in sink.outcomes().values()) == 5


def test_two_unreadable_records_of_a_source_are_one_line_of_the_ledger(sink: Sink) -> None:
    source = Source()
    sink.write(
        [source.tick, source.send(reading(I0, 1, 1), shard=-1), source.send(reading(I0, 1, 1), shard=-1)]
    )
    assert sink.outcomes() == {"invalid_frame": (2, 0)}


def test_a_batch_that_fails_stores_nothing_and_can_be_written_again(sink: Sink) -> None:
    source = Source()
    sink.write([source.tick])
    answer = source.send(reading(I0, 1, 2))
    at = sink.all("select source_offset from position")
    sink.connection.execute("alter table ledger add constraint full_table check (readings < 0) not valid")
    sink.connection.commit()
    try:
        with pytest.raises(psycopg.errors.CheckViolation):
            sink.write([answer])
        assert sink.rows() == []
        assert sink.totals() == {}
        assert sink.all("select source_offset from position") == at
    finally:
        sink.connection.execute("alter table ledger drop constraint full_table")
        sink.connection.commit()
    sink.restart()
    assert sink.write([answer]) == "fast"
    assert quantities(sink) == [2_000]


def test_rows_of_a_writer_that_should_not_be_are_found_out(sink: Sink, database: Settings) -> None:
    source = Source()
    sink.write([source.tick])
    sink.connection.execute("delete from position")
    sink.connection.commit()
    with pytest.raises(RuntimeError, match="position"):
        sink.write([source.send(reading(I0, 1, 2))])
    assert sink.rows() == []


def test_a_batch_of_second_copies_moves_the_position_only(sink: Sink) -> None:
    source = Source()
    sink.write([source.tick])
    sink.position.emissions_offset = 77
    assert sink.write([]) == "fast"
    assert sink.all("select source_offset, emissions_offset from position") == [(0, 77)]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(streams(), st.data())
def test_any_cut_into_batches_gives_the_same_rows_totals_and_ledger(
    sink: Sink, stream: list[Record], data: st.DataObject
) -> None:
    frames = assume_short(answers(stream))
    for answer in frames:  # many of them as estimates
        if data.draw(st.integers(0, 4)) == 0:
            answer["quality"] = data.draw(st.sampled_from([8, 9]))
    sink.empty()
    expected = Table(sink.directory)
    for batch in cut(data, frames):
        if data.draw(st.booleans()):
            sink.restart()
        sink.write(batch)
        expected.store(batch)
        assert sink.totals() == expected.sums()
    at_once = Table(sink.directory)
    at_once.store(frames)
    assert sink.rows() == [row[:7] for row in at_once.stored_rows()]
    assert sink.totals() == at_once.sums()
    assert sink.ledger() == at_once.lines()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(streams())
def test_the_ledger_balances_in_the_database(sink: Sink, stream: list[Record]) -> None:
    frames = assume_short(answers(stream))
    sink.empty()
    worker = Worker.start({})
    for offset, record in enumerate(stream):
        worker.take(offset, record)
    sink.write(frames)
    with sink.connection.transaction(), sink.connection.cursor() as cursor:
        write_ledger(cursor, "accepted", counted(stream).take()[0])
    groups = sink.all(
        "select from (select sum(case hop when 'accepted' then readings else -readings end) n, "
        "sum(case hop when 'accepted' then quantity_wh else -quantity_wh end) wh "
        "from ledger group by source, site, day) t where n <> 0 or wh <> 0"
    )
    assert groups == []


def test_times_are_kept_to_the_millisecond(sink: Sink) -> None:
    source = Source()
    sink.write([source.tick, source.send({"meter": I0, "start": T0 + 1, "end": T0 + 900_001, "value": 1})])
    assert [row[:2] for row in sink.rows()] == [(T0 + 900_001, T0 + 1)]


def test_what_the_checks_found_is_kept_with_the_reading_it_means(sink: Sink) -> None:
    source = Source()
    answer = source.send(reading(I0, 1, 2), reading(I0, 2, 3))
    at = answer["end"][0]
    told = {"row": 1, "check": int(Check.SPIKE), "decision": int(Decision.REJECT), "of": at, "size": 0.0}
    sink.write([source.tick, answer | {"findings": [told]}])
    (found,) = sink.all(
        'select source_offset, row, "check", decision, meter, (extract(epoch from time) * 1000)::bigint from finding'
    )
    assert found == (answer["origin"]["offset"], 1, 3, 3, BY_ID[I0].number, at)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_late_index_splits_the_stored_interval_and_the_sums_stay(sink: Sink, at_once: bool) -> None:
    source = Source()
    before = [source.tick, source.send(reading(R0, 0, 10), source="http/gw-8")]
    before.append(source.send(reading(R0, 9, 100), source="http/gw-8"))  # across two hour borders
    late = [source.send(reading(R0, 5, 70)), source.send(reading(R0, 6, 70))]
    for batch in [before + late] if at_once else [before, *([answer] for answer in late)]:
        sink.write(batch)
    rows = [row for row in sink.rows() if not row[6] & 1]  # where readings end
    assert [(row[0] - T0) // QUARTER_MS for row in rows] == [0, 5, 6, 9]
    assert [row[4] for row in rows] == [10_000, 70_000, 70_000, 100_000]
    parts = [(row[1], row[0], row[3]) for row in sink.rows()]
    assert all(one[1] == other[0] for one, other in pairwise(parts))
    assert sum(quantity for *_, quantity in parts) == 90_000
    table = Table(sink.directory)
    table.store(before + late)
    assert sink.totals() == totals_of_rows(table.rows, sink.directory)
    assert {total[:2] for (_, grain, *_), total in sink.totals().items() if grain == 3} == {(3, 90_000)}
    # the readings are four, and a late one moves nothing
    assert sink.outcomes() == {"stored": (3, 90_000), "baseline": (1, 0)}
    assert {(source, sums) for (source, *_), sums in sink.ledger().items()} >= {("http/gw-7", (2, 0))}
    ends = sink.all("select (extract(epoch from time) * 1000)::bigint from correction")
    corrected = [end for (end,) in ends if end == T0 + 9 * QUARTER_MS]
    assert len(corrected) == (0 if at_once else 2)


def test_an_index_before_the_first_one_becomes_the_first(sink: Sink) -> None:
    source = Source()
    sink.write([source.tick, source.send(reading(R0, 2, 10)), source.send(reading(R0, 3, 15))])
    sink.write([source.send(reading(R0, 1, 4))])
    assert [(row[3], row[6]) for row in sink.rows()] == [(0, 4), (6_000, 0), (5_000, 0)]
    assert sink.outcomes() == {"stored": (2, 11_000), "baseline": (1, 0)}
    assert set(sink.totals().values()) == {(2, 11_000, 0)}


def test_a_row_names_the_multiplier_it_was_computed_with(sink: Sink) -> None:
    source = Source()
    changed = orjson.loads(TICK.value)
    changed["reference"]["ref.meters"] = len(LOGS["ref.meters"])
    sink.write(
        [source.tick, source.send(reading(I1, 1, 2)), source._pass(Record(orjson.dumps(changed), TICK.type))]
    )
    sink.write([source.send(reading(I1, 5, 2), reading(I1, 6, 2))])
    assert sink.all("select multiplier_version, quantity from reading order by time") == [
        (1, 666_000), (1, 1_000_000), (2, 4_666_000),
    ]  # fmt: skip
